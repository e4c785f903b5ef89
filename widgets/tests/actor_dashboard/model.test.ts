import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type BoardPicture,
  EMPTY_BOARD,
  type Row,
  reduceBoard,
  sparkline,
} from "../../src/actor_dashboard/model.ts";
import { count, duration, elapsed, short } from "../../src/shared/format.ts";

function row(id: string, more: Partial<Row> = {}): Row {
  const [type = "", conversation = ""] = id.split("/");
  return {
    id,
    type,
    conversation,
    activity: "idle",
    turns: 1,
    waiting: 0,
    doing: "",
    since: null,
    last_status: null,
    error_type: null,
    latencies: [],
    ...more,
  };
}

function board(...rows: Row[]): BoardPicture {
  return { ...EMPTY_BOARD, rows };
}

test("a changed row stays in its place, a new one is sorted in", () => {
  const before = board(row("a/1"), row("b/1"));

  const changed = reduceBoard(before, { op: "row", row: row("a/1", { turns: 2 }) });
  const after = reduceBoard(changed, { op: "row", row: row("a/2") });

  assert.deepEqual(
    after.rows.map((one) => one.id),
    ["a/1", "a/2", "b/1"],
  );
  assert.equal(after.rows[0]?.turns, 2);
  assert.equal(after.rows[2], before.rows[1]);
});

test("an actor that is gone has no row", () => {
  const after = reduceBoard(board(row("a/1"), row("b/1")), { op: "gone", id: "a/1" });

  assert.deepEqual(
    after.rows.map((one) => one.id),
    ["b/1"],
  );
});

test("a sparkline spans its box and needs two values", () => {
  assert.equal(sparkline([1], 50, 16), "");
  assert.equal(sparkline([0, 4, 2], 50, 16), "0.0,15.0 25.0,1.0 50.0,8.0");
  assert.equal(sparkline([0, 0], 50, 16), "0.0,15.0 50.0,15.0");
});

test("durations are short and never show sixty seconds", () => {
  assert.deepEqual([0.0001, 0.0123, 1.25, 9.96, 59.4, 59.6, 75, 3_700].map(duration), [
    "0 s",
    "12 ms",
    "1.3 s",
    "10 s",
    "59 s",
    "1 min 0 s",
    "1 min 15 s",
    "1 h 1 min",
  ]);
});

test("figures in words", () => {
  assert.equal(elapsed(4.9), "4 s");
  assert.equal(elapsed(-1), "0 s");
  assert.equal(count(1, "actor"), "1 actor");
  assert.equal(count(1200, "actor"), "1,200 actors");
  assert.equal(short("a  b\nc", 4), "a b…");
});
