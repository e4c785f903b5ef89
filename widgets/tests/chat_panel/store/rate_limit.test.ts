import assert from "node:assert/strict";
import { test } from "node:test";
import {
  consecutiveTries,
  secondsLeft,
} from "../../../src/chat_panel/store/rate_limit.ts";
import { turn } from "../fake_kernel.ts";

test("a countdown ends as long after the failure as the service asked", () => {
  const error = { type: "E", message: "", retryable: true, retry_after: 8 };
  const busy = turn(1, { status: "failed", ended_at: 100, error });

  assert.equal(secondsLeft(busy, 100.5), 8);
  assert.equal(secondsLeft(busy, 107.5), 1);
  assert.equal(secondsLeft(busy, 108), 0);
  assert.equal(secondsLeft(busy, 500), 0);
});

test("tries in a row end at one that failed for another reason", () => {
  const error = { type: "E", message: "", retryable: true };
  const busy = { status: "failed" as const, error: { ...error, retry_after: 8 } };
  const turns = [
    turn(1, busy),
    turn(2, { status: "failed", error, retry_of: "t1" }),
    turn(3, { ...busy, retry_of: "t2" }),
    turn(4, { ...busy, retry_of: "t3" }),
  ];

  assert.equal(consecutiveTries(turns, turn(4, { ...busy, retry_of: "t3" })), 2);
});
