import assert from "node:assert/strict";
import { test } from "node:test";
import { applyBatch } from "../../src/shared/state_sync.ts";

const add = (picture: { seq: number; sum: number }, change: number) => ({
  ...picture,
  sum: picture.sum + change,
});

test("the next batch is applied and counted", () => {
  const received = applyBatch({ seq: 4, sum: 1 }, { seq: 5, changes: [2, 3] }, add);

  assert.deepEqual(received, {
    kind: "applied",
    picture: { seq: 5, sum: 6 },
    last: 3,
  });
});

test("a batch that the snapshot contained is left out", () => {
  const received = applyBatch({ seq: 5, sum: 6 }, { seq: 5, changes: [2, 3] }, add);

  assert.deepEqual(received, { kind: "known" });
});

const append = (
  picture: { seq: number; said: string },
  change: { to: string; text?: string | undefined },
) => ({ ...picture, said: `${picture.said}${change.to}:${change.text} ` });

test("a batch of mere text goes on where the last one ended", () => {
  const first = { seq: 5, changes: [{ to: "a", text: "Hel" }] };
  const one = applyBatch({ seq: 4, said: "" }, first, append);
  assert(one.kind === "applied");

  const two = applyBatch(one.picture, { seq: 6, text: "lo" }, append, one.last);

  assert(two.kind === "applied");
  assert.equal(two.picture.said, "a:Hel a:lo ");
});

test("a batch of mere text is a gap for whoever does not know where it belongs", () => {
  const received = applyBatch({ seq: 4, said: "" }, { seq: 5, text: "lo" }, append);

  assert.deepEqual(received, { kind: "gap" });
});

test("a missing batch is a gap", () => {
  const received = applyBatch({ seq: 4, sum: 1 }, { seq: 6, changes: [2] }, add);

  assert.deepEqual(received, { kind: "gap" });
});
