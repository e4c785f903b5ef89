/** Another view, or code, switches the panel to another conversation under a person. */

import { expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import type { Conversation, Turn } from "../../../src/chat_panel/store/model.ts";
import { scene } from "../../kernel.ts";
import { click, composer, find, nextFrame, paste, write } from "../../user_actions.ts";
import { id, initial, leave, open, receive, sent, show } from "../open_story.ts";

function switchTo(
  instance_id: string,
  more: Partial<Conversation> = {},
): Promise<void> {
  return show({ instance_id, name: null, ...more });
}

async function askToForget(el: HTMLElement): Promise<void> {
  click(el, id("menu-button"));
  await nextFrame();
  click(el, id("forget"));
  await nextFrame();
}

test("what is to be forgotten is named, and goes with the message", async () => {
  const el = await open("thought");
  const name = find(el, id("conversation")).textContent ?? "";

  await askToForget(el);
  const asked = find(el, id("confirm")).textContent;
  click(el, id("forget-confirm"));

  expect(asked).toContain(name);
  const instance_id = initial().instance_id;
  expect(sent("forget")).toMatchObject([{ instance_id }]);
});

test("a question about a conversation closes when another one comes", async () => {
  const el = await open("thought");
  await askToForget(el);

  await switchTo("other");

  expect(el.querySelector(id("confirm"))).toBeNull();
  expect(el.querySelector(id("menu"))).toBeNull();
  expect(document.activeElement).toBe(find(el, id("menu-button")));
  expect(sent("forget")).toEqual([]);
});

test("nothing is deleted before one sees which conversation it is", async () => {
  const el = await open("thought");
  await switchTo("other", { phase: "loading", turns: [] });

  click(el, id("menu-button"));
  await nextFrame();

  expect(find(el, id("delete")).matches(":disabled")).toBe(true);
});

test("the menu closes too, and takes the focus from nobody", async () => {
  const el = await open("menu");
  composer(el).focus();

  await switchTo("other");

  expect(el.querySelector(id("menu"))).toBeNull();
  expect(document.activeElement).toBe(composer(el));
});

test("a draft stays in its conversation, over a reload of the page too", async () => {
  const el = await open("thought");
  const instance_id = initial().instance_id;
  await write(el, "words for the first");
  await paste(el, "harbour.png");
  await expect.poll(() => el.querySelector(id("attachment"))).not.toBeNull();

  await switchTo("other");
  const inOther = [composer(el).value, el.querySelector(id("attachment"))];
  composer(el).focus();
  await userEvent.keyboard("{Enter}");
  await write(el, "words for the other");
  await switchTo(instance_id);

  expect(inOther).toEqual(["", null]);
  expect(sent("send")).toEqual([]);
  expect(composer(el).value).toBe("words for the first");
  expect(el.querySelector(id("attachment"))).not.toBeNull();
  leave();
  const again = await open("thought");
  expect(composer(again).value).toBe("words for the first");
  await switchTo("other");
  expect(composer(again).value).toBe("words for the other");
});

test("what is written after New conversation is said in that one", async () => {
  const el = await open("thought");
  await write(el, "words for the first");
  click(el, id("menu-button"));
  await nextFrame();
  click(el, id("new-conversation"));
  await nextFrame();
  const box = composer(el).value;

  await write(el, "first words", "Enter");
  await write(el, "and more");
  const held = [sent("send"), find(el, id("queued")).textContent];
  await switchTo("other", { turns: [] });

  expect(box).toBe("");
  expect(held).toEqual([[], "1first words"]);
  expect(sent("send")).toMatchObject([{ instance_id: "other", text: "first words" }]);
  expect(composer(el).value).toBe("and more");
  await switchTo(initial().instance_id);
  expect(composer(el).value).toBe("words for the first");
});

/** The branches with many turns behind the place where they part. */
function longBranches(): { picture: Conversation; other: Partial<Conversation> } {
  const { picture } = scene("branches");
  const last = picture.turns.at(-1) as Turn;
  const filler = (prefix: string): Turn[] =>
    Array.from({ length: 30 }, (_, index) => ({
      ...last,
      id: `${prefix}${index}`,
      position: last.position + 1 + index,
    }));
  const [branch] = picture.branches ?? [];
  const at = picture.turns.findIndex((turn) => turn.id === branch?.after) + 1;
  const index = branch?.index === 0 ? 1 : 0;
  const parted = picture.turns.map((turn, place) =>
    place < at ? turn : { ...turn, id: `other-${place}` },
  );
  const branches = picture.branches?.map((one) => ({ ...one, index })) ?? [];
  return {
    picture: { ...picture, turns: [...picture.turns, ...filler("here")] },
    other: { turns: [...parted, ...filler("there")], branches },
  };
}

test("whoever goes to another branch sees the place where it begins", async () => {
  const { picture, other } = longBranches();
  const el = await open("branches", { picture });
  const [branch] = picture.branches ?? [];
  const step = branch?.index === 0 ? "next" : "previous";
  const to = branch?.options[other.branches?.[0]?.index ?? 0]?.instance_id ?? "";

  click(el, id(`branch-${step}`));
  await switchTo(to, { phase: "loading", turns: [], branches: picture.branches ?? [] });
  await switchTo(to, { ...other, branches: picture.branches ?? [] });
  receive({
    type: "batch",
    seq: 2,
    changes: [{ op: "panel", set: { branches: other.branches } }],
  });
  for (let count = 0; count < 5; count += 1) await nextFrame();

  const log = find(el, id("transcript"));
  const control = find(el, id("branch")).getBoundingClientRect();
  const seen = log.getBoundingClientRect();
  expect(log.scrollHeight).toBeGreaterThan(2 * log.clientHeight);
  expect(control.top).toBeGreaterThan(seen.top);
  expect(control.bottom).toBeLessThan(seen.bottom);
});
