/** The panel's state and what a person can do, shared by all views of one model. */

import type { AnyModel } from "@anywidget/types";
import { computed, signal } from "@preact/signals";
import { Connection, type Message } from "../shared/connection.ts";
import { SecondRoad } from "../shared/second_road.ts";
import type { Attachment } from "./attachments.ts";
import { Conversations } from "./conversations.ts";
import { keepDraft, keptDraft } from "./drafts.ts";
import { isRateLimited, MOST_TRIES, secondsLeft, triesInARow } from "./limits.ts";
import {
  type Change,
  type Conversation,
  type Decision,
  EMPTY,
  type Failure,
  isInWork,
  mergeSnapshot,
  reduce,
  stoppable,
  type Turn,
  withPage,
} from "./model.ts";
import { newId, type Sending, unconfirmed } from "./outbox.ts";
import { status } from "./status.ts";

const SEND_AGAIN_AFTER = 5_000;
/** Milliseconds in which the same key does not stop a second turn. */
const STOPS_APART = 1_000;

/** A message that is being written anew. */
export interface Editing {
  turn: string;
  /** As what it was sent; until then it is only written. */
  message?: string;
  refused?: Failure;
}

export class ChatStore {
  readonly connection: Connection<Conversation, Change>;
  readonly road: SecondRoad;
  readonly conversations: Conversations;
  readonly outbox = signal<Sending[]>([]);
  readonly draft = signal("");
  readonly attached = signal<Attachment[]>([]);
  readonly editing = signal<Editing | null>(null);
  readonly problem = signal<Failure | null>(null);
  readonly loadingEarlier = signal(false);
  /** Turns whose retry or discard the kernel has not shown yet. */
  readonly pressed = signal<ReadonlySet<string>>(new Set());
  /** Turns that are not tried again by themselves. */
  readonly givenUp = signal<ReadonlySet<string>>(new Set());
  /** The kernel's clock in POSIX seconds, as fine as somebody needs to look at it. */
  readonly now = signal(Date.now() / 1000);
  readonly sending = computed(() => unconfirmed(this.outbox.value, this.picture.value));
  /** Nobody is there who could do something, and nobody will be. */
  readonly dead = computed(
    () =>
      this.connection.link.value === "gone" || this.picture.value.phase === "stopped",
  );
  readonly readOnly = computed(() => this.picture.value.read_only === true);
  readonly status = computed(() =>
    status(
      this.picture.value,
      this.connection.link.value,
      this.sending.value.filter((message) => !message.refused).length,
    ),
  );
  /** The id of what Stop would stop: a turn, or a message on its way. */
  readonly stopTarget = computed(() => {
    const turn = stoppable(this.picture.value.turns);
    return turn?.id ?? this.sending.value.find((message) => !message.refused)?.id;
  });
  /** Messages on their way that will wait behind a turn. */
  readonly comingQueued = computed(() =>
    this.picture.value.turns.some(isInWork)
      ? this.sending.value.filter((message) => !message.refused)
      : [],
  );
  /** The turn that is tried again by itself after a while. */
  readonly countingDown = computed(() => {
    const { turns } = this.picture.value;
    const last = turns.at(-1);
    if (!last || !isRateLimited(last) || last.discarded) return undefined;
    if (this.readOnly.value || this.givenUp.value.has(last.id)) return undefined;
    return triesInARow(turns, last) <= MOST_TRIES ? last.id : undefined;
  });
  #lastStop = { id: "", at: 0 };
  #shown: string;

  constructor(model: AnyModel) {
    this.connection = new Connection<Conversation, Change>(model, {
      empty: EMPTY,
      reduce,
      merge: mergeSnapshot,
      onMessage: (message) => this.#take(message),
      onPong: () => this.#sendAgain(),
    });
    this.road = new SecondRoad(this.connection);
    this.conversations = new Conversations((message) => this.connection.send(message));
    this.#shown = this.picture.value.instance_id;
    this.draft.value = keptDraft(this.#draftKey());
    this.picture.subscribe((picture) => this.#follow(picture));
  }

  get picture() {
    return this.connection.picture;
  }

  tick(): void {
    this.now.value = this.time();
  }

  /** POSIX seconds by the kernel's clock. */
  time(): number {
    return Date.now() / 1000 + this.connection.clockOffset;
  }

  turn(id: string): Turn | undefined {
    return this.picture.peek().turns.findLast((turn) => turn.id === id);
  }

  dispose(): void {
    this.road.dispose();
    this.connection.dispose();
  }

  // --- messages -----------------------------------------------------------------------

  write(text: string): void {
    this.draft.value = text;
    keepDraft(this.#draftKey(), text);
  }

  say(text: string, media: Attachment[] = []): void {
    const conversation = this.picture.value.instance_id;
    const message = { id: newId(), conversation, text, media, sentAt: Date.now() };
    this.outbox.value = [...this.outbox.value, message];
    this.#post(message);
  }

  sayAgain(message: Sending): void {
    this.drop(message.id);
    this.say(message.text, message.media);
  }

  /** Forget a message that was not sent. */
  drop(id: string): void {
    this.outbox.value = this.outbox.value.filter((message) => message.id !== id);
  }

  /** Begin to write a turn's message anew; null ends that. */
  edit(turn: string | null): void {
    this.editing.value = turn === null ? null : { turn };
  }

  /** Say something else in a turn's place: the kernel forks the conversation. */
  sayInstead(turn: string, text: string, media: Attachment[]): void {
    const message = newId();
    this.editing.value = { turn, message };
    const images = media.map(({ uri }) => uri);
    this.connection.send({
      type: "edit",
      turn,
      message_id: message,
      text,
      media: images,
    });
  }

  // --- turns --------------------------------------------------------------------------

  /** Stop a turn in work, withdraw one that waits, or a message on its way. */
  stop(id: string): void {
    this.#lastStop = { id, at: Date.now() };
    this.#end(id);
  }

  /** Take back a message that waits; its words come back if nothing else is written. */
  withdraw(id: string): void {
    const said = this.turn(id)?.items.find((item) => item.kind === "user");
    if (said && this.draft.value === "") this.write(said.text);
    this.#end(id);
  }

  #end(id: string): void {
    const wasRefused = this.turn(id)?.stop === "refused";
    const arrived = () => {
      const turn = this.turn(id);
      if (!turn) return false;
      const isRefused = turn.stop === "refused" && !wasRefused;
      return isRefused || (turn.status !== "waiting" && turn.status !== "running");
    };
    this.road.press(id, { type: "stop", message_id: id }, arrived);
  }

  /** By a key, which pressed twice must not stop the next turn too. */
  stopByKey(): void {
    const id = this.stopTarget.value;
    const { id: before, at } = this.#lastStop;
    const isAccident = before !== id && Date.now() - at < STOPS_APART;
    if (id && !isAccident) this.stop(id);
  }

  retry(turn: Turn): void {
    this.#press(turn.id);
    this.connection.send({ type: "retry", turn: turn.id });
  }

  /** Try again what a service has put off, if the time has come and nobody gave up. */
  retryByItself(id: string): void {
    const turn = this.turn(id);
    const isOff = this.dead.value || this.pressed.value.has(id);
    if (!turn || isOff || this.countingDown.value !== id) return;
    if (secondsLeft(turn, this.time()) === 0) this.retry(turn);
  }

  giveUp(id: string): void {
    this.givenUp.value = new Set([...this.givenUp.value, id]);
  }

  discard(turn: Turn): void {
    this.#press(turn.id);
    this.connection.send({ type: "discard", turn: turn.id });
  }

  answer(turn: Turn, requestId: string, decision: Decision, reason?: string): void {
    const isAnswered = () =>
      this.turn(turn.id)?.items.some(
        (item) =>
          item.kind === "approval" && item.id === requestId && item.answer !== null,
      ) ?? false;
    const said = reason ? { decision, reason } : { decision };
    const message = { type: "answer", turn: turn.id, request_id: requestId, ...said };
    this.road.press(requestId, message, isAnswered);
  }

  loadEarlier(): void {
    const first = this.picture.value.turns[0];
    if (!first || this.loadingEarlier.value) return;
    this.loadingEarlier.value = true;
    this.connection.send({ type: "earlier", before: first.position });
  }

  // --- the kernel's side --------------------------------------------------------------

  #post({ id, conversation, text, media }: Sending): void {
    const address = { message_id: id, instance_id: conversation };
    const images = media.map(({ uri }) => uri);
    this.connection.send({ type: "send", ...address, text, media: images });
  }

  #follow(picture: Conversation): void {
    const { turns, instance_id } = picture;
    if (instance_id !== this.#shown) {
      this.#shown = instance_id;
      this.editing.value = null;
      this.pressed.value = new Set();
      this.problem.value = null;
      this.loadingEarlier.value = false;
    }
    const outbox = this.outbox.peek();
    if (outbox.length > 0) {
      const known = new Set(turns.map((turn) => turn.id));
      const left = outbox.filter((message) => !known.has(message.id));
      if (left.length < outbox.length) this.outbox.value = left;
    }
    if (this.pressed.peek().size > 0) this.#release(turns);
  }

  /** What was pressed has come: the turn is repeated, or discarded. */
  #release(turns: Turn[]): void {
    const left = new Set(this.pressed.peek());
    for (const turn of turns) {
      if (turn.retry_of) left.delete(turn.retry_of);
      if (turn.discarded) left.delete(turn.id);
    }
    if (left.size < this.pressed.peek().size) this.pressed.value = left;
  }

  #press(id: string): void {
    this.problem.value = null;
    this.pressed.value = new Set([...this.pressed.value, id]);
  }

  /** The same id twice is one request, so sending again is safe. */
  #sendAgain(): void {
    const before = Date.now() - SEND_AGAIN_AFTER;
    for (const message of this.sending.value) {
      if (!message.refused && message.sentAt < before) this.#post(message);
    }
  }

  #take(message: Message): void {
    if (this.road.take(message) || this.conversations.take(message)) return;
    if (message.type === "refused") {
      this.#refused(String(message.message_id), message.error as Failure, message.what);
    } else if (message.type === "page") {
      this.#takePage(message as unknown as Conversation);
    }
  }

  #takePage({ instance_id, turns, more, restored_until }: Conversation): void {
    this.loadingEarlier.value = false;
    const { value } = this.picture;
    if (instance_id !== value.instance_id) return;
    this.connection.picture.value = withPage(value, turns, more, restored_until);
  }

  #refused(id: string, failure: Failure, what: unknown): void {
    this.conversations.refused(what);
    const editing = this.editing.value;
    if (what === "earlier" || what === undefined) this.loadingEarlier.value = false;
    if (editing?.message === id) {
      this.editing.value = { turn: editing.turn, refused: failure };
      return;
    }
    const pressed = new Set(this.pressed.value);
    if (pressed.delete(id)) this.pressed.value = pressed;
    const known = this.outbox.value.some((message) => message.id === id);
    if (!known) this.problem.value = failure;
    this.outbox.value = this.outbox.value.map((message) =>
      message.id === id ? { ...message, refused: failure } : message,
    );
  }

  #draftKey(): string {
    const { type_name, instance_id } = this.picture.value;
    return `${type_name}/${instance_id}`;
  }
}
