import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnyModel } from "@anywidget/types";
import { type Conversation, EMPTY, type Turn } from "../src/chat_panel/model.ts";
import { ChatStore } from "../src/chat_panel/store.ts";

function turn(id: string): Turn {
  return { id, position: 1, status: "completed", items: [] };
}

/** A store and what it sends; `tell` is the kernel's side. */
function open(instanceId = "c1") {
  const sent: Record<string, unknown>[] = [];
  let listener: (message: unknown) => void = () => {};
  const model = {
    get: () => ({ ...EMPTY, seq: 1, instance_id: instanceId }),
    set: () => {},
    send: (message: Record<string, unknown>) => sent.push(message),
    on: (name: string, one: typeof listener) => {
      if (name === "msg:custom") listener = one;
    },
  };
  const store = new ChatStore(model as unknown as AnyModel);
  const show = (more: Partial<Conversation>) => {
    const snapshot = { ...EMPTY, seq: 2, instance_id: instanceId, ...more };
    listener({ type: "snapshot", snapshot });
  };
  return { store, sent, show, tell: (message: unknown) => listener(message) };
}

test("a message is shown as sending until it is a turn", () => {
  const { store, show } = open();

  store.say("Hello");
  const before = store.sending.value.map((message) => message.text);
  const id = store.sending.value[0]?.id ?? "";
  show({ turns: [turn(id)] });

  assert.deepEqual(before, ["Hello"]);
  assert.deepEqual(store.sending.value, []);
  assert.deepEqual(store.outbox.value, []);
  store.connection.dispose();
});

test("a message stays in the conversation that it was written in", () => {
  const { store, sent, show } = open("c1");
  store.say("Hello");

  show({ instance_id: "c2" });

  assert.deepEqual(store.sending.value, []);
  assert.equal(sent.at(-1)?.instance_id, "c1");
  store.connection.dispose();
});

test("a refused message is kept with its reason and not sent again by itself", () => {
  const { store, tell } = open();
  store.say("Hello");
  const id = store.sending.value[0]?.id;
  const error = { type: "MailboxFull", message: "full", retryable: true };

  tell({ type: "refused", message_id: id, error });

  assert.equal(store.sending.value[0]?.refused?.message, "full");
  assert.equal(store.problem.value, null);
  store.connection.dispose();
});

test("nothing can be done once the runtime was stopped", () => {
  const { store, show, tell } = open();
  tell({ type: "pong", seq: 1, now: 0 });
  show({ phase: "offline" });
  const away = store.dead.value;

  show({ phase: "stopped" });

  assert.equal(away, false);
  assert.equal(store.dead.value, true);
  store.connection.dispose();
});

test("a retry says where the turn stands", () => {
  const { store, sent } = open();

  store.retry({ ...turn("t3"), position: 3 });

  const { message_id, ...retry } = sent.at(-1) ?? {};
  assert.deepEqual(retry, { type: "retry", turn: "t3", position: 3 });
  assert.notEqual(message_id, "t3");
  store.connection.dispose();
});

test("an earlier page is put in front once it arrives", () => {
  const { store, sent, show, tell } = open();
  show({ turns: [{ ...turn("t9"), position: 9 }], more: true });

  store.loadEarlier();
  store.loadEarlier();
  tell({ type: "page", instance_id: "c1", turns: [turn("t1")], more: false });

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
  store.connection.dispose();
});
