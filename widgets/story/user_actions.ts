/** What a person does in a story: typing, clicking, pasting. */

import type { FakeModel } from "./fake_model.ts";

export interface MountedStory {
  el: HTMLElement;
  model: FakeModel;
  /** Take the view away. */
  close: () => void;
}

export function find<E extends HTMLElement>(el: HTMLElement, selector: string): E {
  const found = el.querySelector<E>(selector);
  if (!found) throw new Error(`the story has no ${selector}`);
  return found;
}

export function click(el: HTMLElement, selector: string): void {
  find(el, selector).click();
}

export function composer(el: HTMLElement): HTMLTextAreaElement {
  return find<HTMLTextAreaElement>(el, "[data-testid=composer]");
}

export function fill(box: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  box.value = text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Type a text, and press a key when it is there. */
export async function write(
  el: HTMLElement,
  text: string,
  key?: string,
): Promise<void> {
  fill(composer(el), text);
  await nextFrame();
  if (key) press(el, key);
}

export function press(el: HTMLElement, key: string): void {
  composer(el).dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}

/** Paste a picture into the composer. */
export async function paste(el: HTMLElement, name: string): Promise<void> {
  const canvas = Object.assign(document.createElement("canvas"), {
    width: 64,
    height: 48,
  });
  const pen = canvas.getContext("2d");
  if (pen) {
    pen.fillStyle = "#e87722";
    pen.fillRect(0, 0, 64, 48);
    pen.fillStyle = "#1b4965";
    pen.fillRect(0, 32, 64, 16);
  }
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done));
  if (!blob) throw new Error("the canvas gave no picture");
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([blob], name, { type: "image/png" }));
  composer(el).dispatchEvent(
    new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }),
  );
}

/** Until the next frame, in which the widget has drawn what was done. */
export function nextFrame(): Promise<void> {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}
