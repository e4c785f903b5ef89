/** Every state of the widgets in a real browser: complaints, access, keys, themes. */

import axe from "axe-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { commands, page } from "vitest/browser";
import { speedUpTimers, stories } from "../mount_story.ts";
import { nextFrame } from "../user_actions.ts";
import { open } from "./open_story.ts";

const complaints: unknown[] = [];
let slowDown: () => void;

beforeAll(() => {
  slowDown = speedUpTimers();
  for (const kind of ["error", "warn"] as const) {
    console[kind] = (...parts: unknown[]) => complaints.push(parts);
  }
  addEventListener("error", (event) => complaints.push(event.message));
  addEventListener("unhandledrejection", (event) => complaints.push(event.reason));
});

afterAll(() => slowDown());

afterEach(async () => {
  document.body.dataset.jpThemeLight = "true";
  await commands.emulate({ forcedColors: "none", reducedMotion: "no-preference" });
  await page.viewport(900, 800);
});

/** What axe finds, one line each: the rule, what it means, where. */
async function violations(el: HTMLElement): Promise<string[]> {
  const found = await axe.run(el, {
    resultTypes: ["violations"],
    // A panel in a notebook is no page: its cell is the landmark.
    rules: { region: { enabled: false } },
  });
  return found.violations.flatMap(({ id, help, nodes }) =>
    nodes.map(
      (node) => `${id}: ${help} (${node.target.join(" ")}) ${node.failureSummary}`,
    ),
  );
}

/** Controls that are cut off or stick out at the side. */
function stickingOut(el: HTMLElement): string[] {
  const { left, right } = el.getBoundingClientRect();
  return [...el.querySelectorAll<HTMLElement>("button, input, textarea, summary")]
    .filter((control) => {
      const box = control.getBoundingClientRect();
      const seen = box.width > 1 && !isScrolled(control, el);
      return seen && (box.right > right + 1 || box.left < left - 1);
    })
    .map((control) => control.outerHTML.slice(0, 120));
}

/** Whether it is inside of something that scrolls sideways by itself. */
function isScrolled(control: HTMLElement, el: HTMLElement): boolean {
  for (let at = control.parentElement; at && at !== el; at = at.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(at).overflowX)) return true;
  }
  return false;
}

const SMALL = 24;

/** Controls that are smaller than a finger needs; links in a text may be. */
function tooSmall(el: HTMLElement): string[] {
  return [...el.querySelectorAll<HTMLElement>("button, input, textarea, summary")]
    .filter((control) => {
      const { width, height } = control.getBoundingClientRect();
      return width > 0 && (width < SMALL - 0.5 || height < SMALL - 0.5);
    })
    .map((control) => {
      const { width, height } = control.getBoundingClientRect();
      return `${width} x ${height}: ${control.outerHTML.slice(0, 120)}`;
    });
}

describe.each(stories)("$name", ({ name }) => {
  test("keeps the rules in the light theme, in silence", async () => {
    const el = await open(name);

    expect.soft(await violations(el)).toEqual([]);
    expect.soft(tooSmall(el)).toEqual([]);
    expect.soft(complaints.splice(0)).toEqual([]);
  });

  test("has no violation in the dark theme", async () => {
    document.body.dataset.jpThemeLight = "false";
    const el = await open(name);

    expect(await violations(el)).toEqual([]);
  });

  test("fits into 320 pixels, and grows in silence", async () => {
    await page.viewport(320, 700);
    const el = await open(name);

    expect.soft(await violations(el)).toEqual([]);
    expect.soft(stickingOut(el)).toEqual([]);
    expect(document.documentElement.scrollWidth).toBeLessThanOrEqual(320);
    await page.viewport(900, 800);
    await nextFrame();
    expect(complaints.splice(0)).toEqual([]);
  });

  test("holds still where motion is not wanted, and shows in forced colours", async () => {
    await commands.emulate({ forcedColors: "active", reducedMotion: "reduce" });
    const el = await open(name);

    expect(moving(el)).toEqual([]);
    expect(invisible(el)).toEqual([]);
  });
});

/** Elements that go on moving. */
function moving(el: HTMLElement): string[] {
  return el
    .getAnimations({ subtree: true })
    .filter((animation) => {
      const { duration, iterations } = animation.effect?.getComputedTiming() ?? {};
      return Number(duration) * Number(iterations) > 300;
    })
    .map((animation) => {
      const { target } = animation.effect as KeyframeEffect;
      return target?.outerHTML.slice(0, 120) ?? "";
    });
}

/** Controls whose only sign is a colour that forced colours take away. */
function invisible(el: HTMLElement): string[] {
  return [...el.querySelectorAll<HTMLElement>("button")]
    .filter((button) => {
      const icon = button.querySelector("svg");
      return (
        button.textContent?.trim() === "" &&
        (!icon || icon.getBoundingClientRect().width === 0)
      );
    })
    .map((button) => button.outerHTML.slice(0, 120));
}
