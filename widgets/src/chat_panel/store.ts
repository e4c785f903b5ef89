/** The panel's state and what a person can do, shared by all views of one model. */

import type { AnyModel } from "@anywidget/types";
import { computed, signal } from "@preact/signals";
import { Connection, type Message } from "../shared/connection.ts";
import {
  type Change,
  type Conversation,
  EMPTY,
  type Failure,
  mergeSnapshot,
  reduce,
  type Turn,
  withPage,
} from "./model.ts";
import { status } from "./status.ts";

const SEND_AGAIN_AFTER = 5_000;

/** A message that the kernel has not confirmed: shown at once, sent again if needed. */
export interface Sending {
  id: string;
  /** The conversation that it was written in; the panel may show another one since. */
  conversation: string;
  text: string;
  /** Milliseconds by this machine's clock. */
  sentAt: number;
  refused?: Failure;
}

export interface ConversationName {
  instance_id: string;
  activity: string;
  turns: number | null;
}

export class ChatStore {
  readonly connection: Connection<Conversation, Change>;
  readonly outbox = signal<Sending[]>([]);
  readonly conversations = signal<ConversationName[] | null>(null);
  readonly draft = signal("");
  readonly problem = signal<Failure | null>(null);
  readonly loadingEarlier = signal(false);
  /** The kernel's clock in POSIX seconds, as fine as somebody needs to look at it. */
  readonly now = signal(Date.now() / 1000);
  readonly sending = computed(() => unconfirmed(this.outbox.value, this.picture.value));
  /** Nobody is there who could do something, and nobody will be. */
  readonly dead = computed(
    () =>
      this.connection.link.value === "gone" || this.picture.value.phase === "stopped",
  );
  readonly status = computed(() =>
    status(
      this.picture.value,
      this.connection.link.value,
      this.sending.value.filter((message) => !message.refused).length,
    ),
  );

  constructor(model: AnyModel) {
    this.connection = new Connection<Conversation, Change>(model, {
      empty: EMPTY,
      reduce,
      merge: mergeSnapshot,
      onMessage: (message) => this.#take(message),
      onPong: () => this.#sendAgain(),
    });
    this.draft.value = this.#storedDraft();
    this.picture.subscribe((picture) => this.#forgetConfirmed(picture));
  }

  get picture() {
    return this.connection.picture;
  }

  tick(): void {
    this.now.value = Date.now() / 1000 + this.connection.clockOffset;
  }

  write(text: string): void {
    this.draft.value = text;
    try {
      if (text) sessionStorage.setItem(this.#draftKey(), text);
      else sessionStorage.removeItem(this.#draftKey());
    } catch {
      // Storage may be forbidden in a frame; the draft then lives as long as the page.
    }
  }

  say(text: string): void {
    const conversation = this.picture.value.instance_id;
    const message = { id: newId(), conversation, text, sentAt: Date.now() };
    this.outbox.value = [...this.outbox.value, message];
    this.#post(message);
  }

  sayAgain(message: Sending): void {
    this.discard(message.id);
    this.say(message.text);
  }

  discard(id: string): void {
    this.outbox.value = this.outbox.value.filter((message) => message.id !== id);
  }

  stop(turn: Turn): void {
    this.connection.send({ type: "stop", message_id: turn.id });
  }

  retry(turn: Turn): void {
    const { id, position } = turn;
    this.connection.send({ type: "retry", turn: id, position, message_id: newId() });
  }

  answer(turn: Turn, requestId: string, approved: boolean): void {
    const message = { type: "answer", turn: turn.id, request_id: requestId, approved };
    this.connection.send(message);
  }

  loadEarlier(): void {
    const first = this.picture.value.turns[0];
    if (!first || this.loadingEarlier.value) return;
    this.loadingEarlier.value = true;
    this.connection.send({ type: "earlier", before: first.position });
  }

  listConversations(): void {
    this.connection.send({ type: "list" });
  }

  switchTo(instanceId: string): void {
    this.connection.send({ type: "switch", instance_id: instanceId });
  }

  startConversation(): void {
    this.connection.send({ type: "new" });
  }

  #post(message: Sending): void {
    const { id, conversation, text } = message;
    const address = { message_id: id, instance_id: conversation };
    this.connection.send({ type: "send", ...address, text });
  }

  #forgetConfirmed(picture: Conversation): void {
    const known = new Set(picture.turns.map((turn) => turn.id));
    const outbox = this.outbox.peek();
    const left = outbox.filter((message) => !known.has(message.id));
    if (left.length < outbox.length) this.outbox.value = left;
  }

  /** The same id twice is one request, so sending again is safe. */
  #sendAgain(): void {
    const before = Date.now() - SEND_AGAIN_AFTER;
    for (const message of this.sending.value) {
      if (!message.refused && message.sentAt < before) this.#post(message);
    }
  }

  #take(message: Message): void {
    switch (message.type) {
      case "refused":
        this.#refused(String(message.message_id), message.error as Failure);
        break;
      case "conversations":
        this.conversations.value = message.items as ConversationName[];
        break;
      case "page":
        this.loadingEarlier.value = false;
        if (message.instance_id === this.picture.value.instance_id) {
          const { turns, more } = message as unknown as Conversation;
          this.connection.picture.value = withPage(this.picture.value, turns, more);
        }
        break;
    }
  }

  #refused(id: string, failure: Failure): void {
    this.loadingEarlier.value = false;
    const known = this.outbox.value.some((message) => message.id === id);
    if (!known) this.problem.value = failure;
    this.outbox.value = this.outbox.value.map((message) =>
      message.id === id ? { ...message, refused: failure } : message,
    );
  }

  #draftKey(): string {
    const { type_name, instance_id } = this.picture.value;
    return `agent-runtime-nb:draft:${type_name}/${instance_id}`;
  }

  #storedDraft(): string {
    try {
      return sessionStorage.getItem(this.#draftKey()) ?? "";
    } catch {
      return "";
    }
  }
}

/** What was written here and is no turn yet. */
export function unconfirmed(outbox: Sending[], picture: Conversation): Sending[] {
  const known = new Set(picture.turns.map((turn) => turn.id));
  return outbox.filter(
    (message) => message.conversation === picture.instance_id && !known.has(message.id),
  );
}

function newId(): string {
  // randomUUID is missing on pages that are served without TLS.
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
