/** Answers of the kernel that come late, never, or to another page. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { WIDGET_CHANNEL_TIMEOUT } from "../../../src/side_channel/side_channel.ts";
import { open, openByClock, PONG, turn } from "../fake_kernel.ts";

const BUSY = { type: "Unavailable", message: "away", retryable: true };

/** Stop of the turn in work was pressed, and nothing was heard of it. */
function withHeldStop() {
  const kernel = openByClock();
  kernel.show({ turns: [turn(1, { status: "running" })] });
  kernel.store.stop("t1");
  kernel.wait(WIDGET_CHANNEL_TIMEOUT);
  return kernel;
}

/** Stop was pressed for a message on its way, and waits for the kernel. */
function withStopOnItsWay() {
  const kernel = openByClock();
  kernel.store.sendMessage("do it");
  const id = kernel.store.sending.value[0]?.id ?? "";
  kernel.store.stop(id);
  kernel.wait(WIDGET_CHANNEL_TIMEOUT);
  return { ...kernel, id };
}

test("Stop of a message on its way is sent again once the message is a turn", () => {
  const { store, id, sentOf, show, end } = withStopOnItsWay();

  const held = store.sideChannel.deliveries.value.get(id)?.state;
  show({ turns: [turn(1, { id, status: "running" })] });

  assert.equal(held, "held");
  assert.deepEqual(store.sideChannel.deliveries.value.get(id), {
    state: "sent",
    reason: "",
  });
  assert.deepEqual(
    sentOf("stop").map(({ message_id, instance_id }) => [message_id, instance_id]),
    [
      [id, "c1"],
      [id, "c1"],
    ],
  );
  end();
});

test("what was held up is sent again when the kernel answers", () => {
  const { store, sentOf, tell, end } = withHeldStop();

  tell({ ...PONG, seq: 2 });

  assert.equal(store.sideChannel.deliveries.value.get("t1")?.reason, "");
  assert.equal(sentOf("stop").length, 2);
  end();
});

test("a message that was refused is not stopped any more", () => {
  const { store, id, sentOf, tell, end } = withStopOnItsWay();

  tell({ type: "refused", message_id: id, error: BUSY });
  tell(PONG);

  assert.equal(store.sideChannel.deliveries.value.size, 0);
  assert.equal(sentOf("stop").length, 1);
  end();
});

test("what was pressed in one conversation is not sent again in another", () => {
  const { store, sentOf, show, tell, end } = withHeldStop();

  show({ instance_id: "c2" });
  tell({ ...PONG, seq: 2 });

  assert.equal(store.sideChannel.deliveries.value.size, 0);
  assert.equal(sentOf("stop").length, 1);
  end();
});

test("what another page was refused is not told here", () => {
  const { store, tell } = open();

  tell({ type: "refused", message_id: "of-another-page", error: BUSY });
  tell({ type: "refused", message_id: "t3", what: "retry", error: BUSY });
  tell({ type: "refused", message_id: "", what: "rename", error: BUSY });

  assert.equal(store.problem.value, null);
  store.dispose();
});

test("what was asked here is told when it is refused, each kind by its own mark", () => {
  const { store, tell } = open();
  const told: unknown[] = [];
  const refuse = (message_id: string, what?: string) => {
    store.problem.value = null;
    tell({ type: "refused", message_id, what, error: BUSY });
    told.push([what, store.problem.value !== null]);
  };

  store.conversationActions.rename("c1", "Oslo");
  store.answer(turn(4), "r1", "once");
  store.stop("t5");
  refuse("", "rename");
  refuse("t4-answer");
  refuse("t5", "stop");
  refuse("", "forget");
  store.conversationActions.rename("c1", "Rome");
  tell({ type: "done", what: "rename", instance_id: "c1" });
  refuse("", "rename");

  assert.deepEqual(told, [
    ["rename", true],
    [undefined, true],
    ["stop", true],
    ["forget", false],
    ["rename", false],
  ]);
  store.dispose();
});

test("a page of earlier turns that never comes can be asked for again", () => {
  const { store, sentOf, show, tell, wait, end } = openByClock();
  show({ turns: [turn(9)], more: true });
  store.loadEarlier();

  tell({ ...PONG, seq: 2 });
  const atOnce = store.loadingEarlier.value;
  wait(5_001);
  tell({ ...PONG, seq: 2 });

  assert.deepEqual([atOnce, store.loadingEarlier.value], [true, false]);
  store.loadEarlier();
  assert.equal(sentOf("earlier").length, 2);
  end();
});

test("a retry of which nothing is heard can be pressed again", () => {
  const { store, show, tell, wait, end } = openByClock();
  show({ turns: [turn(3, { status: "failed" })] });
  store.retry(turn(3));

  tell({ ...PONG, seq: 2 });
  const atOnce = store.pendingTurns.value.has("t3");
  wait(5_001);
  tell({ ...PONG, seq: 2 });

  assert.deepEqual([atOnce, store.pendingTurns.value.has("t3")], [true, false]);
  end();
});

test("a message that a kernel does not take, though it answers, is given up", () => {
  const { store, sentOf, tell, wait, end } = openByClock();
  store.sendMessage("Hello");
  const id = store.sending.value[0]?.id;

  for (let pongs = 0; pongs < 20; pongs += 1) {
    wait(6_000);
    tell(PONG);
    tell(PONG);
  }

  const [message] = store.sending.value;
  assert.equal(sentOf("send").length, 4);
  assert.match(message?.refused?.message ?? "", /does not take/);
  // Its id stays: if the kernel has it after all, it is not said twice.
  if (message) store.resendMessage(message);
  assert.equal(sentOf("send").at(-1)?.message_id, id);
  assert.equal(store.sending.value[0]?.refused, undefined);
  end();
});

const approval = (answer: string | null) =>
  turn(1, {
    items: [{ kind: "approval", id: "r1", name: "book", arguments: "{}", answer }],
  } as Parameters<typeof turn>[1]);

test("who answered a question too late is told what held", () => {
  const told = (["once", "deny"] as const).map((decision) => {
    const { store, show } = open();
    show({ turns: [approval(null)] });
    store.answer(approval(null), "r1", decision);
    show({ turns: [approval(decision === "deny" ? "conversation" : "denied")] });
    store.dispose();
    return store.problem.value?.message;
  });

  assert.deepEqual(told, [
    "Another view answered first: denied.",
    "Another view answered first: approved.",
  ]);
});

test("an answer that holds, and one that another view gave alone, is not told", () => {
  const { store, show } = open();
  show({ turns: [approval(null)] });
  store.answer(approval(null), "r1", "deny");
  show({ turns: [approval("denied")] });
  const own = store.problem.value;

  show({ turns: [approval("once")] });

  assert.deepEqual([own, store.problem.value], [null, null]);
  store.dispose();
});

test("it is said when a conversation was emptied elsewhere, and only then", () => {
  const live = { phase: "live" as const };
  const full = { ...live, turns: [turn(1)] };
  const elsewhere = open("c1");
  elsewhere.show(full);
  elsewhere.show(live);
  const here = open("c1");
  here.show(full);
  here.store.conversationActions.forget("c1");
  here.show(live);
  const switched = open("c1");
  switched.show(full);
  switched.show({ ...live, instance_id: "c2" });
  const away = open("c1");
  away.show(full);
  away.show({ phase: "loading" });

  assert.deepEqual(
    [elsewhere, here, switched, away].map(({ store }) => store.problem.value?.message),
    ["What was said here was deleted elsewhere.", undefined, undefined, undefined],
  );
  for (const { store } of [elsewhere, here, switched, away]) store.dispose();
});
