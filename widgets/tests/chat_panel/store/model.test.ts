import assert from "node:assert/strict";
import { test } from "node:test";
import {
  branchesByTurn,
  type Conversation,
  type ConversationChange,
  EMPTY_CONVERSATION,
  interruptionText,
  lastRestoredTurn,
  mergeSnapshot,
  queuedTurns,
  reduceConversation,
  retriedTurnIds,
  stoppableTurn,
  type Turn,
  turnAwaitingApproval,
  withEarlierPage,
} from "../../../src/chat_panel/store/model.ts";
import { statusOf } from "../../../src/chat_panel/store/status.ts";
import {
  completeSentences,
  speakable,
} from "../../../src/chat_panel/transcript/speech_text.ts";
import { turn } from "../fake_kernel.ts";

function conversation(turns: Turn[], more: Partial<Conversation> = {}): Conversation {
  const base = {
    ...EMPTY_CONVERSATION,
    type_name: "a",
    instance_id: "c",
    phase: "live" as const,
  };
  return { ...base, turns, ...more };
}

function positions(picture: Conversation): number[] {
  return picture.turns.map((one) => one.position);
}

test("an answer grows by what is appended", () => {
  const changes: ConversationChange[] = [
    { op: "turn", turn: turn(1, { status: "running" }) },
    { op: "item", id: "t1", index: 0, item: { kind: "text", text: "Hel" } },
    { op: "append", id: "t1", index: 0, field: "text", text: "lo" },
    { op: "patch", id: "t1", set: { status: "completed", duration: 2 } },
  ];

  const picture = changes.reduce(reduceConversation, EMPTY_CONVERSATION);

  assert.deepEqual(picture.turns[0]?.items, [{ kind: "text", text: "Hello" }]);
  assert.equal(picture.turns[0]?.duration, 2);
});

test("a change makes new objects only on its way", () => {
  const before = conversation([turn(1), turn(2)]);

  const after = reduceConversation(before, {
    op: "patch",
    id: "t2",
    set: { status: "failed" },
  });

  assert.equal(after.turns[0], before.turns[0]);
  assert.notEqual(after.turns[1], before.turns[1]);
  assert.equal(before.turns[1]?.status, "completed");
});

test("turns stand in the order of their positions and once", () => {
  const picture = [turn(2), turn(1), turn(2)].reduce(
    (before, one) => reduceConversation(before, { op: "turn", turn: one }),
    EMPTY_CONVERSATION,
  );

  assert.deepEqual(positions(picture), [1, 2]);
});

test("a change of an unknown turn is left out", () => {
  const before = conversation([turn(1)]);

  const after = reduceConversation(before, {
    op: "patch",
    id: "x",
    set: { status: "failed" },
  });

  assert.equal(after, before);
});

test("a new snapshot keeps the earlier pages of the same conversation", () => {
  const old = conversation([turn(1), turn(2), turn(3)], { more: false });

  const merged = mergeSnapshot(old, conversation([turn(3), turn(4)], { more: true }));

  assert.deepEqual(positions(merged), [1, 2, 3, 4]);
  assert.equal(merged.more, false);
});

test("a new snapshot that does not join the old pages stands alone", () => {
  const old = conversation([turn(1), turn(2)]);

  const merged = mergeSnapshot(old, conversation([turn(9)], { more: true }));

  assert.deepEqual(positions(merged), [9]);
});

test("a snapshot of another conversation keeps nothing", () => {
  const old = conversation([turn(1), turn(2)]);
  const next = conversation([turn(2)], { instance_id: "other", more: true });

  assert.equal(mergeSnapshot(old, next), next);
});

test("a page that came twice is shown once", () => {
  const page = conversation([turn(1), turn(2)]);
  const once = withEarlierPage(conversation([turn(3)], { more: true }), page);

  const twice = withEarlierPage(once, page);

  assert.deepEqual(positions(twice), [1, 2, 3]);
});

const asking = turn(1, {
  items: [{ kind: "approval", id: "r", name: "f", arguments: "{}", answer: null }],
});

test("a question can be answered until something is said after it", () => {
  assert.equal(turnAwaitingApproval([asking]), asking);
  assert.equal(turnAwaitingApproval([asking, turn(2)]), undefined);
});

test("a turn was retried if any later turn repeats it", () => {
  const turns = [turn(1), turn(2), turn(3, { retry_of: "t1" })];

  assert.deepEqual([...retriedTurnIds(turns)], ["t1"]);
});

test("a branch stands at the turn behind the last shared one", () => {
  const options = [
    { instance_id: "c", name: null },
    { instance_id: "d", name: "by bus" },
  ];
  const branches = [
    { after: "t1", options, index: 0 },
    { after: null, options, index: 1 },
    { after: "gone", options, index: 0 },
  ];

  const places = branchesByTurn(conversation([turn(1), turn(2)], { branches }));

  assert.deepEqual([...places.keys()], ["t2", "t1"]);
  assert.deepEqual(places.get("t1")?.index, 1);
});

test("a branch whose turn is still to come stands at the end", () => {
  const branches = [{ after: "t1", options: [], index: 0 }];

  const places = branchesByTurn(conversation([turn(1)], { branches }));

  assert.deepEqual([...places.keys()], [""]);
});

test("the first branch is not shown before the first turn is", () => {
  const branches = [{ after: null, options: [], index: 0 }];

  const places = branchesByTurn(conversation([turn(51)], { branches, more: true }));

  assert.equal(places.size, 0);
});

test("only what waits behind another turn is queued", () => {
  const waiting = [turn(2, { status: "waiting" }), turn(3, { status: "waiting" })];
  const behind = [turn(1, { status: "running" }), ...waiting];

  const ids = [waiting, behind].map((turns) => queuedTurns(turns).map((one) => one.id));

  assert.deepEqual(ids, [["t3"], ["t2", "t3"]]);
  assert.equal(stoppableTurn(waiting)?.id, "t2");
  assert.equal(stoppableTurn(behind)?.id, "t1");
});

test("the restored line stands behind the last turn of the earlier kernel", () => {
  const turns = [turn(1), turn(3), turn(5)];

  assert.equal(lastRestoredTurn(conversation(turns, { restored_until: 4 })), "t3");
  assert.equal(
    lastRestoredTurn(conversation(turns, { restored_until: null })),
    undefined,
  );
});

test("an interrupted turn that never ran does not claim that it did", () => {
  const lost = turn(1, { status: "interrupted", began: false });

  assert.match(interruptionText(lost), /before this turn began/);
  assert.match(interruptionText(turn(2)), /during this turn/);
});

const rateLimited = turn(1, {
  status: "failed",
  error: { type: "RateLimited", message: "busy", retryable: true, retry_after: 9 },
});

test("the status names what matters most", () => {
  const cases: [Conversation, Parameters<typeof statusOf>[1], number, string][] = [
    [conversation([]), "live", 0, "ready"],
    [conversation([]), "live", 1, "waiting"],
    [conversation([turn(1, { status: "running" })]), "live", 0, "thinking"],
    [conversation([turn(1, { status: "stopping" })]), "live", 0, "stopping"],
    [conversation([asking]), "live", 0, "needs you"],
    [conversation([turn(1, { status: "failed" })]), "live", 0, "failed"],
    [conversation([turn(1, { status: "interrupted" })]), "live", 0, "interrupted"],
    [conversation([turn(1, { status: "cancelled" })]), "live", 0, "stopped"],
    [
      conversation([turn(1, { status: "failed", discarded: true })]),
      "live",
      0,
      "ready",
    ],
    [conversation([rateLimited]), "live", 0, "service busy"],
    [conversation([turn(1)], { read_only: true }), "live", 0, "read only"],
    [conversation([turn(1, { status: "running" })]), "silent", 0, "kernel is busy"],
    [conversation([]), "gone", 0, "not connected"],
    [conversation([], { phase: "offline" }), "live", 0, "runtime is away"],
    [conversation([], { phase: "stopped" }), "live", 0, "runtime stopped"],
  ];

  for (const [picture, link, sending, text] of cases) {
    assert.equal(statusOf(picture, link, sending).text, text);
  }
});

test("only whole sentences are announced", () => {
  assert.equal(completeSentences("One. Two. Thr", 0), "One. Two.");
  assert.equal(completeSentences("One. Two. Thr", 9), "");
  assert.equal(completeSentences("Costs 3.5", 0), "");
});

test("marks of Markdown are not spoken", () => {
  const spoken = speakable("## A **bold** [link](https://x.org)\n```py\nx\n```");

  assert.equal(spoken, "A bold link code block");
});
