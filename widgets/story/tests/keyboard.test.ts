/** Everything in the panel can be reached and left by keyboard alone. */

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { page, userEvent } from "vitest/browser";
import "../lab.css";
import { hurry, stories, type Told, tell } from "../teller.ts";
import { find, frame, type Visit } from "../visit.ts";

let slowDown: () => void;
let visit: Visit | undefined;

beforeAll(() => {
  slowDown = hurry();
});
afterAll(() => slowDown());

afterEach(() => {
  visit?.close();
  visit = undefined;
  sessionStorage.clear(); // drafts
  document.body.replaceChildren();
});

/** The story between two buttons: where one comes from and where one should get. */
async function open(name: string): Promise<HTMLElement> {
  const story = stories.find((one) => one.name === name) as Told;
  const el = document.createElement("div");
  document.body.append(button("before"), el, button("after"));
  visit = await tell(story, el);
  await frame();
  return el;
}

function button(id: string): HTMLButtonElement {
  return Object.assign(document.createElement("button"), { id, textContent: id });
}

/** Where Tab leads to, from one button to the other. */
async function walk(): Promise<HTMLElement[]> {
  const stations: HTMLElement[] = [];
  find(document.body, "#before").focus();
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

  const stations = await walk();

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
  const opener = find(el, "[data-testid=menu-button]");

  opener.focus();
  await userEvent.keyboard("{Enter}");
  await frame();
  const first = document.activeElement;
  await userEvent.keyboard("{ArrowDown}");
  const second = document.activeElement;
  await userEvent.keyboard("{Escape}");
  await frame();

  expect(first?.closest("[role=menu], [role=dialog]")).not.toBeNull();
  expect(second).not.toBe(first);
  expect(el.querySelector("[data-testid=menu]")).toBeNull();
  expect(document.activeElement).toBe(opener);
});

test("Enter sends, Shift+Enter begins a line, Escape stops", async () => {
  const el = await open("streaming");
  const composer = find<HTMLTextAreaElement>(el, "[data-testid=composer]");

  composer.focus();
  await userEvent.keyboard("one{Shift>}{Enter}{/Shift}two{Enter}");
  await frame();
  await userEvent.keyboard("{Escape}");
  await frame();

  const sent = visit?.model.sent.filter(
    ({ type }) => type === "send" || type === "stop",
  );
  expect(sent).toMatchObject([
    { type: "send", text: "one\ntwo" },
    { type: "stop", message_id: "m2" },
  ]);
});
