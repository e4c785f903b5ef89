/** Whoever presses something that goes away by that is not lost: the focus stays near. */

import { expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import type { Turn } from "../../../src/chat_panel/store/model.ts";
import { scene } from "../../kernel.ts";
import { composer, fill, find, nextFrame, paste, write } from "../../user_actions.ts";
import { id, open, receive, sent, show } from "../open_story.ts";

/** Where the focus is, once the browser has drawn what was done. */
async function place(): Promise<string> {
  for (let count = 0; count < 3; count += 1) await nextFrame();
  const at = document.activeElement as HTMLElement;
  return at.dataset.testid ?? at.tagName;
}

async function press(el: HTMLElement, control: string, key = "Enter"): Promise<string> {
  find(el, control).focus();
  await userEvent.keyboard(`{${key}}`);
  return place();
}

test.each([
  ["approval", "approve"],
  ["approval", "approve-conversation"],
  ["streaming", "stop"],
  ["failed", "retry"],
  ["rate-limited", "give-up"],
  ["interrupted", "discard"],
  ["queued", "withdraw"],
  ["empty", "starter"],
  ["refused", "send-again"],
  ["attachments", "remove-attachment"],
])("%s: whoever presses %s is in the composer", async (name, control) => {
  const el = await open(name);

  expect(await press(el, id(control))).toBe("composer");
});

test("whoever denies with a reason is in the composer", async () => {
  const el = await open("denying");
  find(el, id("deny-reason")).focus();

  await userEvent.keyboard("too dear{Enter}");

  expect(await place()).toBe("composer");
});

test("whoever does not deny after all is at Deny again", async () => {
  const el = await open("approval");
  const opened = await press(el, id("deny"));

  await userEvent.keyboard("{Escape}");

  expect([opened, await place()]).toEqual(["deny-reason", "deny"]);
});

test("Enter that is pressed twice on a button does not send the draft", async () => {
  const el = await open("approval");
  await write(el, "not yet");

  await press(el, id("approve"));
  await userEvent.keyboard("{Enter}");
  await nextFrame();

  expect(sent("answer").length).toBe(1);
  expect(sent("send")).toEqual([]);
});

test("what is written at once after a press is sent by Enter", async () => {
  const el = await open("approval");

  await press(el, id("approve"));
  await userEvent.keyboard("thanks{Enter}");
  await nextFrame();

  expect(sent("send")).toMatchObject([{ text: "thanks" }]);
});

test("whoever names the conversation is at its name, and can go on at once", async () => {
  const el = await open("renaming");

  const at = await press(el, id("rename-input"));
  fill(composer(el), "hello");
  composer(el).focus();
  await userEvent.keyboard("{Enter}");
  await nextFrame();

  expect(at).toBe("conversations");
  expect(sent("send").length).toBe(1);
});

test("whoever loads earlier turns stays at the button while it loads", async () => {
  const el = await open("long-history", { answers: {} });

  expect(await press(el, id("load-earlier"))).toBe("load-earlier");
  await press(el, id("load-earlier"));
  expect(sent("earlier").length).toBe(1);
});

test("whoever has loaded the beginning is at the first turn", async () => {
  const el = await open("long-history");
  const top = () => el.querySelector(id("turn"));
  const before = top();

  await press(el, id("load-earlier"));
  await expect.poll(() => el.querySelector(id("load-earlier"))).toBeNull();

  expect(await place()).toBe("turn");
  expect(document.activeElement).toBe(top());
  expect(top()).not.toBe(before);
});

test("whoever goes to the last branch is at the other arrow", async () => {
  const { branches = [] } = scene("branches").picture;
  const branch = branches[0];
  const step = branch?.index === 0 ? 1 : -1;
  const [pressed, other] = step > 0 ? ["next", "previous"] : ["previous", "next"];
  const el = await open("branches");
  const index = (branch?.index ?? 0) + step;
  const instance_id = branch?.options[index]?.instance_id ?? "";

  await press(el, id(`branch-${pressed}`));
  await show({ seq: 2, instance_id, phase: "loading", turns: [] });
  const between = await place();
  const turns = scene("branches").picture.turns.map(
    (turn, at): Turn => (at === 0 ? turn : { ...turn, id: `b${at}` }),
  );
  await show({
    seq: 3,
    instance_id,
    turns,
    branches: branches.map((b) => ({ ...b, index })),
  });

  expect(between).not.toBe("BODY");
  expect(await place()).toBe(`branch-${other}`);
});

test("images that are read do not call back who has gone on", async () => {
  const el = await open("thought");
  await write(el, "What is on this picture?");
  await paste(el, "harbour.png");
  find(el, id("menu-button")).focus();

  await expect.poll(() => el.querySelector(id("attachment"))).not.toBeNull();

  expect(await place()).toBe("menu-button");
});

test("the focus stays where it is when the person did nothing", async () => {
  const outside = document.createElement("button");
  outside.dataset.testid = "outside";
  const el = await open("approval");
  document.body.append(outside);
  find(el, id("approve")).focus();
  const turn = find(el, id("turn")).dataset.turn;
  outside.focus();

  const changes = [{ op: "patch", id: turn, set: { items: [] } }];
  receive({ type: "batch", seq: 2, changes });

  expect(await place()).toBe("outside");
});

test.each([
  ["conversations", "[role=dialog]"],
  ["menu-button", "[role=menu]"],
])("Escape at %s closes what it has opened", async (opener, opened) => {
  const el = await open("thought");
  find(el, id(opener)).click();
  await place();
  const before = el.querySelector(opened);
  find(el, id(opener)).focus();

  await userEvent.keyboard("{Escape}");

  expect(before).not.toBeNull();
  expect(await place()).toBe(opener);
  expect(el.querySelector(opened)).toBeNull();
});

test("the list closes behind whoever goes out of it by Tab", async () => {
  const el = await open("conversations");
  find(el, id("conversation-search")).focus();

  await userEvent.tab();
  await nextFrame();

  expect(el.querySelector("[role=dialog]")).toBeNull();
  expect(document.activeElement).not.toBe(document.body);
});

test("what would be lost is told with the question", async () => {
  const el = await open("deleting");
  const dialog = find(el, "[role=alertdialog]");

  const told = document.getElementById(dialog.getAttribute("aria-describedby") ?? "");

  expect(told?.textContent).toContain("cannot be undone");
});

test("a conversation is chosen by pointer where a press moves the focus outside", async () => {
  const el = await open("conversations");
  // As JupyterLab's output areas are.
  el.tabIndex = -1;

  await userEvent.click(el.querySelectorAll(id("conversation-item"))[2] as Element);
  await nextFrame();

  expect(sent("switch").length).toBe(1);
});
