/** What people are told who listen. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Item, Turn } from "../../../src/chat_panel/store/model.ts";
import {
  type Announced,
  announcement,
  distinct,
} from "../../../src/chat_panel/transcript/announcements.ts";
import { turn } from "../fake_kernel.ts";

const text = (words: string): Item => ({ kind: "text", text: words });
const tool = (name: string): Item => ({
  kind: "tool",
  id: "c1",
  name,
  arguments: "{}",
  result: null,
  failed: false,
});
const question = (name: string): Item => ({
  kind: "approval",
  id: "r",
  name,
  arguments: "{}",
  answer: null,
});

/** Somebody who has heard what there is to hear of some turns. */
function listener(...turns: Turn[]): Announced {
  const said = { id: "", length: 0, open: false, asked: "" };
  announcement(said, turns);
  return said;
}

test("a question for approval is told once, and is not the end of an answer", () => {
  const ear = listener(turn(1, { status: "running" }));
  const asked = [turn(1, { items: [question("book")] })];

  const first = announcement(ear, asked);
  const second = announcement(ear, asked);

  assert.equal(first, "The agent asks for your approval to run book.");
  assert.equal(second, "");
});

test("a turn that is stopped is told with what it still said", () => {
  const items = [text("One. Tw")];
  const ear = listener(turn(1, { status: "running", items }));

  const words = announcement(ear, [turn(1, { status: "cancelled", items })]);

  assert.equal(words, "Tw Stopped.");
});

test("a busy service is said to be asked again only when it is", () => {
  const error = { type: "E", message: "", retryable: true, retry_after: 8 };
  const busy = turn(1, { status: "failed", error });

  const told = ["t1", undefined].map((triedAgain) =>
    announcement(listener(turn(1, { status: "running" })), [busy], triedAgain),
  );

  assert.deepEqual(told, [
    "The model's service is busy; it is tried again.",
    "The model's service is busy.",
  ]);
});

test("what was there before somebody looked is not told", () => {
  const words = announcement(listener(), [turn(1, { items: [text("Old.")] })]);

  assert.equal(words, "");
});

test("the rest of an answer is told though the next turn has begun already", () => {
  const ear = listener(turn(1, { status: "running", items: [text("One. T")] }));
  const next = turn(3, { status: "running", items: [text("Four. F")] });

  const words = announcement(ear, [
    turn(1, { items: [text("One. Two.")] }),
    turn(2, { items: [text("Three.")] }),
    next,
    turn(4, { status: "waiting" }),
  ]);

  assert.equal(
    words,
    "Two. The answer is complete. Three. The answer is complete. Four.",
  );
  assert.equal(announcement(ear, [next]), "");
});

test("a message that was withdrawn hides nothing of the turn in work", () => {
  const ear = listener(turn(1, { status: "running" }));
  const withdrawn = turn(2, { status: "cancelled", began: false });

  const words = announcement(ear, [
    turn(1, { status: "running", items: [text("One. T")] }),
    withdrawn,
  ]);

  assert.equal(words, "One.");
});

test("a message that waits is told of once it is answered, however fast", () => {
  const ear = listener(turn(1, { status: "waiting" }));

  const words = announcement(ear, [turn(1, { items: [text("Done.")] })]);

  assert.equal(words, "Done. The answer is complete.");
});

test("a tool is called by its name, an answer without its marks", () => {
  const running = (...items: Item[]) => [turn(1, { status: "running", items })];
  const ear = listener(turn(1, { status: "running" }));

  const used = announcement(
    ear,
    running(text("**Now** _this_.\n"), tool("find__hotel_*")),
  );
  const asked = announcement(ear, [turn(1, { items: [question("book_hotel")] })]);

  assert.equal(used, "Now this. Using find__hotel_*.");
  assert.equal(asked, "The agent asks for your approval to run book_hotel.");
});

test("the same words twice are another text, so that both are told", () => {
  const once = distinct("", "Renamed.");

  const twice = distinct(once, "Renamed.");

  assert.equal(once, "Renamed.");
  assert.notEqual(twice, once);
  assert.equal(twice.trim(), "Renamed.");
  assert.equal(distinct(twice, "Renamed."), once);
});
