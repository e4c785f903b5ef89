import assert from "node:assert/strict";
import { test } from "node:test";
import {
  InputHistory,
  sentTexts,
} from "../../../src/chat_panel/composer/input_history.ts";
import { rejectionReason } from "../../../src/chat_panel/store/attachments.ts";
import { ConversationActions } from "../../../src/chat_panel/store/conversations.ts";
import {
  consecutiveTries,
  secondsLeft,
} from "../../../src/chat_panel/store/rate_limit.ts";
import {
  BLOCK_SIZE,
  groupTurns,
} from "../../../src/chat_panel/transcript/turn_blocks.ts";
import { earlierPosition } from "../../../src/chat_panel/transcript/visible_turns.ts";
import { said, turn } from "../fake_kernel.ts";

function menu() {
  const sent: Record<string, unknown>[] = [];
  const files: string[][] = [];
  const conversationActions = new ConversationActions(
    (message) => sent.push(message),
    (...file) => files.push(file),
  );
  return { conversationActions, sent, files };
}

const named = (id: string) => ({ instance_id: id, activity: "idle", turns: 1 });

test("an answer to an earlier search does not replace a later one", () => {
  const { conversationActions } = menu();
  conversationActions.list("os");
  conversationActions.list("oslo");

  conversationActions.take({
    type: "conversations",
    items: [named("a")],
    search: "oslo",
  });
  conversationActions.take({
    type: "conversations",
    items: [named("b")],
    search: "os",
  });

  const ids = conversationActions.listed.value?.items.map((item) => item.instance_id);
  assert.deepEqual(ids, ["a"]);
});

test("a list goes on behind what is shown, and is asked for once", () => {
  const { conversationActions, sent } = menu();
  conversationActions.list();
  const page = { type: "conversations", search: "" };
  conversationActions.take({ ...page, items: [named("a")], next: "x" });

  conversationActions.listMore();
  conversationActions.listMore();
  conversationActions.take({ ...page, items: [named("b")], next: null });

  assert.deepEqual(sent.slice(1), [{ type: "list", search: "", after: "x" }]);
  const ids = conversationActions.listed.value?.items.map((item) => item.instance_id);
  assert.deepEqual(ids, ["a", "b"]);
});

test("only the page that asked for an export offers the file", () => {
  const asked = menu();
  const other = menu();
  const file = { type: "export", file_name: "a.md", media_type: "text/markdown" };
  asked.conversationActions.export("c1", "markdown");

  for (const { conversationActions } of [asked, other]) {
    conversationActions.take({ ...file, text: "# a" });
    conversationActions.take({ ...file, text: "# a" });
  }

  assert.deepEqual(asked.files, [["a.md", "text/markdown", "# a"]]);
  assert.deepEqual(other.files, []);
});

test("what is done with a conversation names it", () => {
  const { conversationActions, sent } = menu();

  conversationActions.forget("c1");
  conversationActions.disallow("c1", "delete_file");
  conversationActions.export("c1", "json");

  assert.deepEqual(sent, [
    { type: "forget", instance_id: "c1" },
    { type: "disallow", instance_id: "c1", tool: "delete_file" },
    { type: "export", instance_id: "c1", format: "json" },
  ]);
});

test("an empty name takes the name away", () => {
  const { conversationActions, sent } = menu();

  conversationActions.rename("c", "  ");

  assert.deepEqual(sent, [{ type: "rename", instance_id: "c", name: null }]);
});

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

test("a view begins with the last turns, and earlier ones are added in steps", () => {
  const turns = Array.from({ length: 120 }, (_, index) => turn(index + 1));

  const first = earlierPosition(turns, Number.POSITIVE_INFINITY);
  const second = earlierPosition(turns, first);
  const third = earlierPosition(turns, second);

  assert.deepEqual([first, second, third], [71, 21, 1]);
});

test("a file that cannot be sent is named with the reason", () => {
  const image = { name: "a.png", type: "image/png", size: 1_000 };

  assert.equal(rejectionReason(image, 0), null);
  assert.match(
    rejectionReason({ ...image, type: "application/pdf" }, 0) ?? "",
    /PNG, JPEG/,
  );
  assert.equal(rejectionReason({ ...image, size: 6_000_000 }, 0), null);
  assert.match(
    rejectionReason({ ...image, size: 60_000_000 }, 0) ?? "",
    /57\.2 MB.*40 MB/,
  );
  const moving = { ...image, type: "image/gif", size: 6_000_000 };
  assert.match(rejectionReason(moving, 0) ?? "", /5\.7 MB.*5 MB/);
  assert.match(rejectionReason(image, 10) ?? "", /10 images/);
});
