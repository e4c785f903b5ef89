/** Everything in the panel can be reached and left by keyboard alone. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";
import { speedUpTimers, stories } from "../../mount_story.ts";
import { find, nextFrame } from "../../user_actions.ts";
import { id, open, sent } from "../open_story.ts";

let slowDown: () => void;

beforeAll(() => {
  slowDown = speedUpTimers();
});
afterAll(() => slowDown());

function button(id: string): HTMLButtonElement {
  return Object.assign(document.createElement("button"), { id, textContent: id });
}

/** Where Tab leads to, from a button before the widget to one behind it. */
async function walk(el: HTMLElement): Promise<HTMLElement[]> {
  const stations: HTMLElement[] = [];
  const before = button("before");
  el.before(before);
  el.after(button("after"));
  before.focus();
  for (let step = 0; step < 200; step += 1) {
    await userEvent.tab();
    const at = document.activeElement as HTMLElement;
    if (at.id === "after") return stations;
    stations.push(at);
  }
  throw new Error("Tab never got out of the panel");
}

/** Controls that can be seen and used, and that Tab should get to. */
function controls(el: HTMLElement): HTMLElement[] {
  const all = "button, input, textarea, select, summary, a[href]";
  return [...el.querySelectorAll<HTMLElement>(all)].filter(
    (control) =>
      control.checkVisibility({ visibilityProperty: true }) &&
      !control.matches(":disabled, [role^=menuitem], [tabindex='-1']"),
  );
}

/** Where focus is seen: an outline or a ring around it or its box. */
function showsFocus(at: HTMLElement): boolean {
  return [at, at.parentElement, at.parentElement?.parentElement].some((one) => {
    if (!one) return false;
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(one);
    const outlined = outlineStyle !== "none" && Number.parseFloat(outlineWidth) > 0;
    return outlined || boxShadow !== "none";
  });
}

const WALKED = stories.filter(({ name }) => name !== "menu").map(({ name }) => name);

test.each(WALKED)("Tab gets to every control of %s and out again", async (name) => {
  await page.viewport(900, 800);
  const el = await open(name);

  const stations = await walk(el);

  const missed = controls(el).filter((control) => !stations.includes(control));
  expect(missed.map((control) => control.outerHTML.slice(0, 160))).toEqual([]);
  const dim: string[] = [];
  for (const station of stations) {
    station.focus({ focusVisible: true } as FocusOptions);
    if (!showsFocus(station)) dim.push(station.outerHTML.slice(0, 160));
  }
  expect(dim).toEqual([]);
});

test("the menu opens, is walked with arrows, and Escape closes it", async () => {
  const el = await open("thought");
  const opener = find(el, id("menu-button"));

  opener.focus();
  await userEvent.keyboard("{Enter}");
  await nextFrame();
  const first = document.activeElement;
  await userEvent.keyboard("{ArrowDown}");
  const second = document.activeElement;
  await userEvent.keyboard("{Escape}");
  await nextFrame();

  expect(first?.closest("[role=menu], [role=dialog]")).not.toBeNull();
  expect(second).not.toBe(first);
  expect(el.querySelector(id("menu"))).toBeNull();
  expect(document.activeElement).toBe(opener);
});

test("Enter sends, Shift+Enter begins a line, Escape stops", async () => {
  const el = await open("streaming");
  const composer = find<HTMLTextAreaElement>(el, id("composer"));

  composer.focus();
  await userEvent.keyboard("one{Shift>}{Enter}{/Shift}two{Enter}");
  await nextFrame();
  await userEvent.keyboard("{Escape}");
  await nextFrame();

  expect(sent("send", "stop")).toMatchObject([
    { type: "send", text: "one\ntwo" },
    { type: "stop", message_id: "m2" },
  ]);
});
