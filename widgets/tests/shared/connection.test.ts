import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { AnyModel } from "@anywidget/types";
import { Connection, type Message } from "../../src/shared/connection.ts";

interface Sum {
  seq: number;
  sum: number;
}

/** A kernel's side of a model, as far as a connection sees it. */
class FakeModel {
  sent: Message[] = [];
  saved: unknown[] = [];
  #listeners = new Map<string, (message?: unknown) => void>();
  #snapshot: unknown;

  constructor(snapshot?: unknown) {
    this.#snapshot = snapshot;
  }

  get = () => this.#snapshot;
  set = (_name: string, value: unknown) => this.saved.push(value);
  send = (message: Message) => this.sent.push(message);
  on = (name: string, listener: (message?: unknown) => void) => {
    this.#listeners.set(name, listener);
  };
  tell = (name: string, message?: unknown) => this.#listeners.get(name)?.(message);
  kinds = () => this.sent.map((message) => message.type);
}

function connect(snapshot?: Sum) {
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const model = new FakeModel(snapshot);
  const connection = new Connection<Sum, number>(model as unknown as AnyModel, {
    empty: { seq: 0, sum: 0 },
    reduce: (picture, change) => ({ ...picture, sum: picture.sum + change }),
  });
  const end = () => {
    connection.dispose();
    mock.timers.reset();
  };
  return { model, connection, end };
}

test("it starts from the state that the model has", () => {
  const { connection, end } = connect({ seq: 7, sum: 3 });

  assert.deepEqual(connection.picture.value, { seq: 7, sum: 3 });
  end();
});

test("a gap asks for the picture and the answer closes it", () => {
  const { model, connection, end } = connect();

  model.tell("msg:custom", { type: "batch", seq: 3, changes: [1] });
  model.tell("msg:custom", { type: "snapshot", snapshot: { seq: 3, sum: 9 } });
  model.tell("msg:custom", { type: "batch", seq: 4, changes: [1] });

  assert.deepEqual(model.kinds(), ["ping", "resync"]);
  assert.deepEqual(connection.picture.value, { seq: 4, sum: 10 });
  end();
});

test("batches behind a gap do not ask again before the answer came", () => {
  const { model, end } = connect();

  for (const seq of [3, 4, 5]) {
    model.tell("msg:custom", { type: "batch", seq, changes: [1] });
  }
  model.tell("msg:custom", { type: "snapshot", snapshot: { seq: 5, sum: 3 } });
  model.tell("msg:custom", { type: "batch", seq: 7, changes: [1] });

  assert.deepEqual(model.kinds(), ["ping", "resync", "resync"]);
  end();
});

test("a pong with a higher number finds a lost last batch", () => {
  const { model, end } = connect();

  model.tell("msg:custom", { type: "pong", seq: 1, now: 0 });

  assert.deepEqual(model.kinds(), ["ping", "resync"]);
  end();
});

test("no answer at the start may be a busy kernel, or none", () => {
  const { model, connection, end } = connect();

  mock.timers.tick(6_000);
  const before = [connection.link.value, connection.hasAnswered];
  model.tell("msg:custom", { type: "pong", seq: 0, now: 0 });

  assert.deepEqual(before, ["silent", false]);
  assert.deepEqual([connection.link.value, connection.hasAnswered], ["live", true]);
  end();
});

test("an overdue answer is a busy kernel, and the answer ends that", () => {
  const { model, connection, end } = connect();
  model.tell("msg:custom", { type: "pong", seq: 0, now: 0 });

  connection.ping();
  mock.timers.tick(6_000);
  const overdue = connection.link.value;
  model.tell("msg:custom", { type: "pong", seq: 0, now: 0 });

  assert.equal(overdue, "silent");
  assert.equal(connection.link.value, "live");
  end();
});

test("a restarted kernel that does not answer is gone", () => {
  const { model, connection, end } = connect();
  model.tell("msg:custom", { type: "pong", seq: 0, now: 0 });

  model.tell("comm_live_update");
  mock.timers.tick(6_000);

  assert.equal(connection.link.value, "gone");
  end();
});

test("a connection that refuses a message is gone at once", () => {
  const { model, connection, end } = connect();
  model.send = () => {
    throw new Error("Cannot send");
  };

  connection.send({ type: "list" });

  assert.equal(connection.link.value, "gone");
  end();
});

test("the model's copy for saved notebooks is set once for many batches", () => {
  const { model, end } = connect();

  for (const seq of [1, 2, 3]) {
    model.tell("msg:custom", { type: "batch", seq, changes: [1] });
  }
  mock.timers.tick(1_000);

  assert.deepEqual(model.saved, [{ seq: 3, sum: 3 }]);
  end();
});
