import assert from "node:assert/strict";
import { test } from "node:test";
import { open, turn } from "../fake_kernel.ts";

test("a message is shown as sending until it is a turn", () => {
  const { store, show } = open();

  store.sendMessage("Hello");
  const before = store.sending.value.map((message) => message.text);
  const id = store.sending.value[0]?.id ?? "";
  show({ turns: [turn(1, { id })] });

  assert.deepEqual(before, ["Hello"]);
  assert.deepEqual(store.sending.value, []);
  assert.deepEqual(store.outbox.value, []);
  store.dispose();
});

test("a message stays in the conversation that it was written in", () => {
  const { store, sent, show } = open("c1");
  store.sendMessage("Hello");

  show({ instance_id: "c2" });

  assert.deepEqual(store.sending.value, []);
  assert.equal(sent.at(-1)?.instance_id, "c1");
  store.dispose();
});

test("a refused message is kept with its reason and not sent again by itself", () => {
  const { store, tell } = open();
  store.sendMessage("Hello");
  const id = store.sending.value[0]?.id;
  const error = { type: "MailboxFull", message: "full", retryable: true };

  tell({ type: "refused", message_id: id, error });

  assert.equal(store.sending.value[0]?.refused?.message, "full");
  assert.equal(store.problem.value, null);
  store.dispose();
});

test("nothing can be done once the runtime was stopped", () => {
  const { store, show, tell } = open();
  tell({ type: "pong", seq: 1, now: 0 });
  show({ phase: "offline" });
  const away = store.dead.value;

  show({ phase: "stopped" });

  assert.equal(away, false);
  assert.equal(store.dead.value, true);
  store.dispose();
});

test("a retry names the turn only, and is under way until the kernel shows it", () => {
  const { store, sent, show } = open();

  store.retry(turn(3));
  const message = sent.at(-1);
  const before = store.pendingTurns.value.has("t3");
  show({ turns: [turn(3), turn(4, { id: "t3~2", retry_of: "t3" })] });

  assert.deepEqual(message, { type: "retry", turn: "t3", instance_id: "c1" });
  assert.deepEqual([before, store.pendingTurns.value.has("t3")], [true, false]);
  store.dispose();
});

test("a refused retry can be pressed again and says why", () => {
  const { store, tell } = open();
  store.retry(turn(3));
  const error = { type: "Unavailable", message: "away", retryable: true };

  tell({ type: "refused", message_id: "t3", what: "retry", error });

  assert.equal(store.pendingTurns.value.size, 0);
  assert.equal(store.problem.value?.message, "away");
  store.dispose();
});

test("images go with the message as data URIs", () => {
  const { store, sentOf } = open();

  store.sendMessage("Look", [{ name: "a.png", uri: "data:image/png;base64,AA" }]);

  assert.deepEqual(sentOf("send")[0]?.media, ["data:image/png;base64,AA"]);
  store.dispose();
});

test("Stop means the turn in work, and a message on its way before there is one", () => {
  const { store, show } = open();
  store.sendMessage("Hello");
  const onItsWay = store.stopTarget.value;
  const id = store.sending.value[0]?.id;

  show({ turns: [turn(1, { status: "running" }), turn(2, { status: "waiting" })] });

  assert.equal(onItsWay, id);
  assert.equal(store.stopTarget.value, "t1");
  store.dispose();
});

test("the key that stopped a turn does not stop the next one by accident", () => {
  const { store, sentOf, show } = open();
  show({ turns: [turn(1, { status: "running" }), turn(2, { status: "waiting" })] });
  store.stopByKey();

  show({
    seq: 3,
    turns: [turn(1, { status: "cancelled" }), turn(2, { status: "running" })],
  });
  store.stopByKey();

  assert.deepEqual(
    sentOf("stop").map((message) => message.message_id),
    ["t1"],
  );
  store.dispose();
});

test("a message that is withdrawn comes back, and the key still stops the turn", () => {
  const { store, sentOf, show } = open();
  const said = { kind: "user" as const, text: "and for kids?", media: [] };
  const running = turn(1, { status: "running" });
  show({ turns: [running, turn(2, { status: "waiting", items: [said] })] });

  store.withdraw("t2");
  store.stopByKey();

  assert.equal(store.drafts.text.value, "and for kids?");
  assert.deepEqual(
    sentOf("stop").map((message) => message.message_id),
    ["t2", "t1"],
  );
  store.dispose();
});

test("an edit is sent once and its refusal comes back to the editor", () => {
  const { store, sentOf, tell } = open();
  store.edit("t2");

  store.sendEdited("t2", "by bus", []);
  const { message_id, instance_id: _, ...edit } = sentOf("edit")[0] ?? {};
  const error = {
    type: "InvalidRequest",
    message: "stop that first",
    retryable: false,
  };
  tell({ type: "refused", message_id, what: "edit", error });

  assert.deepEqual(edit, { type: "edit", turn: "t2", text: "by bus", media: [] });
  assert.equal(store.editing.value?.refused?.message, "stop that first");
  assert.equal(store.editing.value?.sent, undefined);
  assert.equal(store.problem.value, null);
  store.dispose();
});

test("another conversation ends what was begun in the one before", () => {
  const { store, show } = open("c1");
  store.edit("t2");
  store.retry(turn(1));

  show({ instance_id: "edit-1" });

  assert.equal(store.editing.value, null);
  assert.equal(store.pendingTurns.value.size, 0);
  store.dispose();
});

test("an approval is answered with a decision and its reason", () => {
  const { store, sentOf } = open();

  store.answer(turn(1), "r1", "deny", "too dear");

  const { type: _, instance_id: __, ...answer } = sentOf("answer")[0] ?? {};
  const decision = { decision: "deny", reason: "too dear" };
  assert.deepEqual(answer, { turn: "t1", request_id: "r1", ...decision });
  store.dispose();
});

test("messages behind a turn in work are in the queue, a refused one is not", () => {
  const { store, show, tell } = open();
  show({ turns: [turn(1, { status: "running" })] });
  store.sendMessage("first");
  store.sendMessage("second");
  const id = store.sending.value[0]?.id;
  const error = { type: "MailboxFull", message: "full", retryable: true };

  tell({ type: "refused", message_id: id, error });

  assert.deepEqual(
    store.comingQueued.value.map((message) => message.text),
    ["second"],
  );
  store.dispose();
});

const busy = (position: number, more = {}) =>
  turn(position, {
    status: "failed",
    ended_at: Date.now() / 1000 - 60,
    error: { type: "RateLimited", message: "busy", retryable: true, retry_after: 5 },
    ...more,
  });

test("what a service put off is tried again by itself three times in a row", () => {
  const { store, sentOf, show } = open();
  const turns = [busy(1), busy(2, { retry_of: "t1" }), busy(3, { retry_of: "t2" })];

  show({ turns });
  store.autoRetry("t3");
  show({ seq: 3, turns: [...turns, busy(4, { retry_of: "t3" })] });
  store.autoRetry("t4");

  assert.deepEqual(
    sentOf("retry").map((message) => message.turn),
    ["t3"],
  );
  assert.equal(store.autoRetryTarget.value, undefined);
  store.dispose();
});

test("nothing is tried again before its time, nor when a person gave up", () => {
  const { store, sentOf, show } = open();
  show({ turns: [busy(1, { ended_at: Date.now() / 1000 })] });
  store.autoRetry("t1");

  show({ seq: 3, turns: [busy(1)] });
  store.giveUp("t1");
  store.autoRetry("t1");

  assert.deepEqual(sentOf("retry"), []);
  store.dispose();
});

test("an earlier page is put in front once it arrives", () => {
  const { store, sent, show, tell } = open();
  show({ turns: [turn(9)], more: true });

  store.loadEarlier();
  store.loadEarlier();
  tell({ type: "page", instance_id: "c1", turns: [turn(1)], more: false });

  const asked = sent.filter((message) => message.type === "earlier");
  assert.deepEqual(
    asked.map((message) => message.before),
    [9],
  );
  assert.deepEqual(
    store.picture.value.turns.map((one) => one.id),
    ["t1", "t9"],
  );
  assert.equal(store.loadingEarlier.value, false);
  store.dispose();
});
