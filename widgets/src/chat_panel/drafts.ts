/** What is being written, for each conversation by itself. */

import { signal } from "@preact/signals";
import type { Attachment } from "./attachments.ts";

const KEY = "agent-runtime-nb:draft:";

/** The conversation of what is written before the kernel has told which one it is. */
const UNKNOWN = "";

/**
 * The words are kept over a reload of the page, the images as long as the page lives.
 *
 * Everything is about the conversation that was opened last, unless a key is given.
 */
export class Drafts {
  readonly text = signal("");
  readonly media = signal<Attachment[]>([]);
  #key = UNKNOWN;
  #texts = new Map<string, string>();
  #media = new Map<string, Attachment[]>();

  /** Which conversation's draft is shown. */
  get key(): string {
    return this.#key;
  }

  /** Show the draft of another conversation; `name` is "" while none is known. */
  open(name: string): void {
    const begun = this.#key === UNKNOWN ? this.text.peek() : "";
    this.#key = name;
    this.text.value = this.#texts.get(name) ?? kept(name);
    this.media.value = this.#media.get(name) ?? [];
    if (begun && this.text.value === "") this.write(begun);
  }

  write(text: string): void {
    this.text.value = text;
    this.#texts.set(this.#key, text);
    if (this.#key !== UNKNOWN) keep(this.#key, text);
  }

  /** What was taken back is a draft again, unless there is another one. */
  bringBack(text: string, media: Attachment[]): void {
    if (this.text.peek() !== "" || this.media.peek().length > 0) return;
    this.write(text);
    this.attach(() => media);
  }

  /** Change the images; `key` where it was begun, as reading a file takes a while. */
  attach(change: (media: Attachment[]) => Attachment[], key = this.#key): void {
    const media = change(this.#media.get(key) ?? []);
    this.#media.set(key, media);
    if (key === this.#key) this.media.value = media;
  }
}

function kept(name: string): string {
  try {
    return sessionStorage.getItem(KEY + name) ?? "";
  } catch {
    return "";
  }
}

/** Storage may be forbidden in a frame; the draft then lives as long as the page. */
function keep(name: string, text: string): void {
  try {
    if (text) sessionStorage.setItem(KEY + name, text);
    else sessionStorage.removeItem(KEY + name);
  } catch {}
}
