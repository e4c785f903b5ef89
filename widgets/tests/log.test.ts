import assert from "node:assert/strict";
import { test } from "node:test";
import { receive } from "../src/shared/log.ts";

const add = (picture: { seq: number; sum: number }, change: number) => ({
  ...picture,
  sum: picture.sum + change,
});

test("the next batch is applied and counted", () => {
  const received = receive({ seq: 4, sum: 1 }, { seq: 5, changes: [2, 3] }, add);

  assert.deepEqual(received, { kind: "applied", picture: { seq: 5, sum: 6 } });
});

test("a batch that the snapshot contained is left out", () => {
  const received = receive({ seq: 5, sum: 6 }, { seq: 5, changes: [2, 3] }, add);

  assert.deepEqual(received, { kind: "known" });
});

test("a missing batch is a gap", () => {
  const received = receive({ seq: 4, sum: 1 }, { seq: 6, changes: [2] }, add);

  assert.deepEqual(received, { kind: "gap" });
});
