/** The panel's state and what a person can do, shared by all views of one model. */

import type { AnyModel } from "@anywidget/types";
import { computed, signal } from "@preact/signals";
import { Connection, type Message } from "../shared/connection.ts";
import { SecondRoad } from "../shared/second_road.ts";
import { type Attachment, attachmentsOf } from "./attachments.ts";
import { Conversations } from "./conversations.ts";
import { Drafts } from "./drafts.ts";
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
import { anew, newId, onceMore, type Sending, unconfirmed } from "./outbox.ts";
import { PressedTurns } from "./pressed_turns.ts";
import { Asked } from "./refusals.ts";
import { status } from "./status.ts";

/** Milliseconds after which something that the kernel has not shown was lost. */
const LOST_AFTER = 5_000;
/** Milliseconds in which the same key does not stop a second turn. */
const STOPS_APART = 1_000;

/** A message that is being written anew. */
export interface Editing {
  turn: string;
  /** What was sent; until then it is only written. */
  sent?: Sending;
  refused?: Failure;
}

export class ChatStore {
  readonly connection: Connection<Conversation, Change>;
  readonly road: SecondRoad;
  readonly conversations: Conversations;
  readonly outbox = signal<Sending[]>([]);
  readonly drafts = new Drafts();
  readonly editing = signal<Editing | null>(null);
  readonly problem = signal<Failure | null>(null);
  readonly loadingEarlier = signal(false);
  #pressedTurns = new PressedTurns();
  readonly pressed = this.#pressedTurns.since;
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
  /** A branch that somebody goes to by an arrow; done once it is there. */
  stepping: { to: string; step: number; isDone?: boolean } | undefined;
  #asked = new Asked();
  #earlierAskedAt = 0;
  #lastStop = { id: "", at: 0 };
  /** An edit that was on its way when its branch, or something else, was shown. */
  #left: { sent: Sending; to: string } | undefined;
  #shown: string;

  constructor(model: AnyModel) {
    this.connection = new Connection<Conversation, Change>(model, {
      empty: EMPTY,
      reduce,
      merge: mergeSnapshot,
      onMessage: (message) => this.#take(message),
      onPong: () => this.#recover(),
    });
    this.road = new SecondRoad(this.connection);
    this.conversations = new Conversations((message) => this.#send(message));
    this.#shown = this.picture.value.instance_id;
    this.#openDraft();
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

  say(text: string, media: Attachment[] = []): void {
    this.#deliver(this.#written(text, media));
  }

  sayAgain(message: Sending): void {
    this.drop(message.id);
    this.#deliver(anew(message));
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
    const sent = this.#written(text, media);
    this.editing.value = { turn, sent };
    const images = media.map(({ uri }) => uri);
    this.#ask({ type: "edit", turn, message_id: sent.id, text, media: images });
  }

  // --- turns --------------------------------------------------------------------------

  /** Stop a turn in work, withdraw one that waits, or a message on its way. */
  stop(id: string): void {
    this.#lastStop = { id, at: Date.now() };
    this.#end(id);
  }

  /** Take back a message that waits; it comes back if nothing else is written. */
  withdraw(id: string): void {
    const said = this.turn(id)?.items.find((item) => item.kind === "user");
    const coming = this.outbox.value.find((message) => message.id === id);
    if (said) this.drafts.bringBack(said.text, attachmentsOf(said));
    else if (coming) this.drafts.bringBack(coming.text, coming.media);
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
    this.#insist(id, { type: "stop", message_id: id }, arrived);
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
    this.#ask({ type: "retry", turn: turn.id });
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
    this.#ask({ type: "discard", turn: turn.id });
  }

  answer(turn: Turn, requestId: string, decision: Decision, reason?: string): void {
    const isAnswered = () =>
      this.turn(turn.id)?.items.some(
        (item) =>
          item.kind === "approval" && item.id === requestId && item.answer !== null,
      ) ?? false;
    const said = reason ? { decision, reason } : { decision };
    const message = { type: "answer", turn: turn.id, request_id: requestId, ...said };
    this.#insist(requestId, message, isAnswered);
  }

  loadEarlier(): void {
    const first = this.picture.value.turns[0];
    if (!first || this.loadingEarlier.value) return;
    this.loadingEarlier.value = true;
    this.#earlierAskedAt = Date.now();
    this.#ask({ type: "earlier", before: first.position });
  }

  // --- to the kernel ------------------------------------------------------------------

  #written(text: string, media: Attachment[]): Sending {
    const conversation = this.picture.value.instance_id;
    const sentAt = Date.now();
    return { id: newId(), conversation, text, media, sentAt, times: 1 };
  }

  #deliver(message: Sending): void {
    this.outbox.value = [...this.outbox.value, message];
    this.#post(message);
  }

  #post({ id, conversation, text, media }: Sending): void {
    const address = { message_id: id, instance_id: conversation };
    const images = media.map(({ uri }) => uri);
    this.#send({ type: "send", ...address, text, media: images });
  }

  #send(message: Message): void {
    this.#asked.note(message);
    this.connection.send(message);
  }

  /** Something about the conversation that is shown; another view may switch it. */
  #ask(message: Message): void {
    this.#send(this.#addressed(message));
  }

  /** The same for what must land, also while a cell blocks the kernel. */
  #insist(key: string, message: Message, arrived: () => boolean): void {
    this.#asked.note(message);
    this.road.press(key, this.#addressed(message), arrived);
  }

  #addressed(message: Message): Message {
    return { ...message, instance_id: this.picture.value.instance_id };
  }

  // --- the kernel's side --------------------------------------------------------------

  #follow(picture: Conversation): void {
    const { turns, instance_id } = picture;
    if (instance_id !== this.#shown) this.#switched(instance_id);
    const outbox = this.outbox.peek();
    if (outbox.length > 0) {
      const known = new Set(turns.map((turn) => turn.id));
      const left = outbox.filter((message) => !known.has(message.id));
      if (left.length < outbox.length) {
        this.outbox.value = left;
        // The kernel listens again; what it has made a turn of can be stopped.
        this.road.again();
      }
    }
    this.#pressedTurns.settle(turns);
  }

  #switched(instanceId: string): void {
    this.#shown = instanceId;
    this.#openDraft();
    const { sent, refused } = this.editing.peek() ?? {};
    this.#left = sent && { sent, to: instanceId };
    this.editing.value = null;
    this.#pressedTurns.clear();
    this.problem.value = null;
    this.loadingEarlier.value = false;
    if (this.stepping?.to !== instanceId) this.stepping = undefined;
    this.road.forget();
    if (sent && refused) this.#refusedEdit(sent.id, refused);
  }

  #openDraft(): void {
    const { type_name, instance_id } = this.picture.peek();
    this.drafts.open(instance_id && `${type_name}/${instance_id}`);
  }

  #press(id: string): void {
    this.problem.value = null;
    this.#pressedTurns.press(id);
  }

  /** The kernel answers: what it did not hear, or was not heard of it, was lost. */
  #recover(): void {
    const before = Date.now() - LOST_AFTER;
    for (const message of this.sending.value) {
      if (message.refused || message.sentAt >= before) continue;
      const next = onceMore(message);
      this.#replace(next);
      // The same id twice is one request.
      if (!next.refused) this.#post(next);
    }
    this.road.again();
    if (this.#earlierAskedAt < before) this.loadingEarlier.value = false;
    this.#pressedTurns.dropBefore(before);
  }

  #take(message: Message): void {
    this.#asked.hear(message);
    if (this.road.take(message) || this.conversations.take(message)) return;
    if (message.type === "refused") {
      if (this.#asked.owns(message)) this.#refused(message);
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

  #refused({ message_id, what, error }: Message): void {
    const id = String(message_id);
    const failure = error as Failure;
    this.conversations.refused(what);
    this.road.forget(id);
    if (what === "earlier") this.loadingEarlier.value = false;
    this.#pressedTurns.drop(id);
    if (this.#refusedEdit(id, failure, what)) return;
    const message = this.outbox.value.find((one) => one.id === id);
    if (message) this.#replace({ ...message, refused: failure });
    else this.problem.value = failure;
  }

  #replace(message: Sending): void {
    this.outbox.value = this.outbox.value.map((one) =>
      one.id === message.id ? message : one,
    );
  }

  /** Keep the words: in the editor, or as a message that was not sent. */
  #refusedEdit(id: string, refused: Failure, what?: unknown): boolean {
    const { turn, sent } = this.editing.peek() ?? {};
    const hasBranch = what !== "edit";
    if (turn && sent?.id === id) {
      // Where it was its branch that did not take it, that is shown next.
      this.editing.value = hasBranch ? { turn, sent, refused } : { turn, refused };
      return true;
    }
    const left = this.#left;
    if (left?.sent.id !== id) return false;
    this.#left = undefined;
    const conversation = hasBranch ? left.to : left.sent.conversation;
    this.outbox.value = [...this.outbox.value, { ...left.sent, conversation, refused }];
    if (conversation !== this.#shown) this.problem.value = refused;
    return true;
  }
}
