/** The kernel's side of the chat panel's store, for tests. */

import type { AnyModel } from "@anywidget/types";
import { type Conversation, EMPTY, type Turn } from "../src/chat_panel/model.ts";
import { ChatStore } from "../src/chat_panel/store.ts";

export function turn(position: number, more: Partial<Turn> = {}): Turn {
  return { id: `t${position}`, position, status: "completed", items: [], ...more };
}

export function said(text: string): Turn["items"] {
  return [{ kind: "user", text, media: [] }];
}

/** A store and what it sends; `tell` is a message of the kernel, `show` a picture. */
export function open(instanceId = "c1") {
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
  const sentOf = (type: string) => sent.filter((message) => message.type === type);
  return { store, sent, sentOf, show, tell: (message: unknown) => listener(message) };
}
