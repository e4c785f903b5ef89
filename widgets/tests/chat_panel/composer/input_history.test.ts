import assert from "node:assert/strict";
import { test } from "node:test";
import {
  InputHistory,
  sentTexts,
} from "../../../src/chat_panel/composer/input_history.ts";
import { said, turn } from "../fake_kernel.ts";

test("the arrow keys go through what was written and back to the draft", () => {
  const history = new InputHistory();
  const texts = () => ["one", "two"];

  const seen = [
    history.older("dra", texts),
    history.older("two", texts),
    history.older("one", texts),
    history.newer("one"),
    history.newer("two"),
    history.newer("dra"),
  ];

  assert.deepEqual(seen, ["two", "one", undefined, "two", "dra", undefined]);
});

test("a text that was looked up and changed is a draft again", () => {
  const history = new InputHistory();
  history.older("", () => ["one", "two"]);

  const down = history.newer("two and more");
  const up = history.older("two and more", () => ["one", "two"]);

  assert.equal(down, undefined);
  assert.equal(up, "two");
});

test("what was written twice in a row is in the history once", () => {
  const turns = ["a", "b", "b", "a"].map((text, index) =>
    turn(index, { items: said(text) }),
  );

  assert.deepEqual(sentTexts(turns), ["a", "b", "a"]);
});
