import assert from "node:assert/strict";
import { test } from "node:test";
import { earlierPosition } from "../../../src/chat_panel/transcript/visible_turns.ts";
import { turn } from "../fake_kernel.ts";

test("a view begins with the last turns, and earlier ones are added in steps", () => {
  const turns = Array.from({ length: 120 }, (_, index) => turn(index + 1));

  const first = earlierPosition(turns, Number.POSITIVE_INFINITY);
  const second = earlierPosition(turns, first);
  const third = earlierPosition(turns, second);

  assert.deepEqual([first, second, third], [71, 21, 1]);
});
