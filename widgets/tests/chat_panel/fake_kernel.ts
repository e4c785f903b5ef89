/** The kernel's side of the chat panel's store, for tests. */

import { mock } from "node:test";
import type { AnyModel } from "@anywidget/types";
import { ChatStore } from "../../src/chat_panel/store/chat_store.ts";
import {
  type Conversation,
  EMPTY_CONVERSATION,
  type Turn,
} from "../../src/chat_panel/store/model.ts";

export const PONG = { type: "pong", seq: 1, now: 0 };

export function turn(position: number, more: Partial<Turn> = {}): Turn {
  return { id: `t${position}`, position, status: "completed", items: [], ...more };
}

export function said(text: string): Turn["items"] {
  return [{ kind: "user", text, media: [] }];
}

/**
 * A store and what it sends; `tell` is a message of the kernel, `show` a picture, and
 * `part` ends the connection with the kernel.
 */
export function open(instanceId = "c1") {
  const sent: Record<string, unknown>[] = [];
  let listener: (message: unknown) => void = () => {};
  let isClosed = false;
  const model = {
    get: () => ({ ...EMPTY_CONVERSATION, seq: 1, instance_id: instanceId }),
    set: () => {},
    send: (message: Record<string, unknown>) => {
      if (isClosed) throw new Error("the comm is closed");
      sent.push(message);
    },
    on: (name: string, one: typeof listener) => {
      if (name === "msg:custom") listener = one;
    },
  };
  const store = new ChatStore(model as unknown as AnyModel);
  const show = (more: Partial<Conversation>) => {
    const snapshot = {
      ...EMPTY_CONVERSATION,
      seq: 2,
      instance_id: instanceId,
      ...more,
    };
    listener({ type: "snapshot", snapshot });
  };
  const sentOf = (type: string) => sent.filter((message) => message.type === type);
  const part = () => {
    isClosed = true;
    store.connection.ping();
  };
  const tell = (message: unknown) => listener(message);
  return { store, sent, sentOf, show, tell, part };
}

/** A store whose clock the test moves. */
export function openByClock() {
  mock.timers.reset(); // also after a test that failed
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const kernel = open();
  const end = () => {
    kernel.store.dispose();
    mock.timers.reset();
  };
  return { ...kernel, end, wait: (ms: number) => mock.timers.tick(ms) };
}
