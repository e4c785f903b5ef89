import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BLOCK_SIZE,
  groupTurns,
} from "../../../src/chat_panel/transcript/turn_blocks.ts";
import { turn } from "../fake_kernel.ts";

test("a change at the end of 5,000 turns makes one block new", () => {
  const turns = Array.from({ length: 5_000 }, (_, index) => turn(index + 1));
  const before = groupTurns(turns, []);

  const after = groupTurns(
    turns.with(4_999, turn(5_000, { status: "running" })),
    before,
  );

  const changed = after.filter((block, index) => block !== before[index]);
  assert.equal(before.length, Math.floor(5_000 / BLOCK_SIZE) + 1);
  assert.deepEqual(
    changed.map((block) => block.turns.at(-1)?.status),
    ["running"],
  );
});

test("earlier turns in front leave the blocks behind them as they are", () => {
  const later = Array.from({ length: 100 }, (_, index) => turn(101 + index));
  const earlier = Array.from({ length: 50 }, (_, index) => turn(51 + index));
  const before = groupTurns(later, []);

  const after = groupTurns([...earlier, ...later], before);

  const ids = after.flatMap((block) => block.turns.map((one) => one.position));
  assert.deepEqual(
    ids,
    Array.from({ length: 150 }, (_, index) => 51 + index),
  );
  // One block has turns of both.
  assert.equal(before.filter((block) => !after.includes(block)).length, 1);
});
