/** The panel's state and what a person can do, shared by all views of one model. */

import type { AnyModel } from "@anywidget/types";
import { computed, type Signal, signal } from "@preact/signals";
import { Connection, type Message } from "../../shared/connection.ts";
import { SideChannel } from "../../side_channel/side_channel.ts";
import { type Attachment, attachmentsOf } from "./attachments.ts";
import { ConversationSwitch, NOT_SWITCHED, UPCOMING } from "./conversation_switch.ts";
import { ConversationActions } from "./conversations.ts";
import { Drafts } from "./drafts.ts";
import {
  type Conversation,
  type ConversationChange,
  type Decision,
  EMPTY_CONVERSATION,
  type Failure,
  isAnswered,
  isInWork,
  mergeSnapshot,
  reduceConversation,
  stopArrived,
  stoppableTurn,
  type Turn,
  withEarlierPage,
} from "./model.ts";
import {
  asNewMessage,
  awaitsConversation,
  type MessageEdit,
  newOutgoing,
  type OutgoingMessage,
  unconfirmed,
  withAnotherAttempt,
  withoutTurns,
} from "./outbox.ts";
import { OwnRequests } from "./own_requests.ts";
import { PendingTurnActions } from "./pending_turn_actions.ts";
import { autoRetryTurn, secondsLeft } from "./rate_limit.ts";
import { statusOf } from "./status.ts";

/** Milliseconds after which something that the kernel has not shown was lost. */
const LOST_AFTER = 5_000;
/** Milliseconds in which the same key does not stop a second turn. */
const STOPS_APART = 1_000;

export class ChatStore {
  readonly connection: Connection<Conversation, ConversationChange>;
  readonly picture: Signal<Conversation>;
  readonly sideChannel: SideChannel;
  readonly conversationActions: ConversationActions;
  readonly outbox = signal<OutgoingMessage[]>([]);
  readonly drafts = new Drafts();
  readonly editing = signal<MessageEdit | null>(null);
  readonly problem = signal<Failure | null>(null);
  readonly loadingEarlier = signal(false);
  #pendingTurns = new PendingTurnActions();
  readonly pendingTurns = this.#pendingTurns.since;
  /** Turns that are not tried again by themselves. */
  readonly givenUp = signal<ReadonlySet<string>>(new Set());
  /** The kernel's clock in POSIX seconds, as fine as somebody needs to look at it. */
  readonly now = signal(Date.now() / 1000);
  readonly sending = computed(() => unconfirmed(this.outbox.value, this.picture.value));
  #going = computed(() => this.sending.value.filter((message) => !message.refused));
  /** Nobody is there who could do something, and nobody will be. */
  readonly dead = computed(
    () =>
      this.connection.link.value === "gone" || this.picture.value.phase === "stopped",
  );
  readonly isReadOnly = computed(() => this.picture.value.read_only === true);
  readonly status = computed(() =>
    statusOf(this.picture.value, this.connection.link.value, this.#going.value.length),
  );
  /** The id of what Stop would stop: a turn, or a message on its way. */
  readonly stopTarget = computed(() => {
    const turn = stoppableTurn(this.picture.value.turns);
    return turn?.id ?? this.#going.value[0]?.id;
  });
  /** Messages on their way that will wait behind a turn, or for their conversation. */
  readonly comingQueued = computed(() => [
    ...(this.picture.value.turns.some(isInWork) ? this.#going.value : []),
    ...this.outbox.value.filter(awaitsConversation),
  ]);
  /** The turn that is tried again by itself after a while. */
  readonly autoRetryTarget = computed(() => {
    const id = autoRetryTurn(this.picture.value.turns);
    const isOff = this.isReadOnly.value || (id && this.givenUp.value.has(id));
    return isOff ? undefined : id;
  });
  /** A branch that somebody goes to by an arrow; done once it is there. */
  branchNavigation: { to: string; step: number; isDone?: boolean } | undefined;
  #ownRequests = new OwnRequests();
  #switch = new ConversationSwitch();
  #earlierAskedAt = 0;
  #lastStop = { id: "", at: 0 };
  /** An edit that was on its way when its branch, or something else, was shown. */
  #left: { sent: OutgoingMessage; to: string } | undefined;
  #shown: string;

  constructor(model: AnyModel) {
    this.connection = new Connection<Conversation, ConversationChange>(model, {
      empty: EMPTY_CONVERSATION,
      reduce: reduceConversation,
      merge: mergeSnapshot,
      onMessage: (message) => this.#take(message),
      onPong: () => this.#recover(),
    });
    this.picture = this.connection.picture;
    this.sideChannel = new SideChannel(this.connection);
    this.conversationActions = new ConversationActions((message) =>
      this.#send(message),
    );
    this.#shown = this.picture.value.instance_id;
    this.#openDraft();
    this.picture.subscribe((picture) => this.#follow(picture));
    this.connection.link.subscribe((link) => link === "gone" && this.#stay());
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
    this.sideChannel.dispose();
    this.connection.dispose();
  }

  // --- messages -----------------------------------------------------------------------

  sendMessage(text: string, media: Attachment[] = []): void {
    const conversation = this.#switch.what ? UPCOMING : this.#shown;
    this.#deliver(newOutgoing(conversation, text, media));
  }

  resendMessage(message: OutgoingMessage): void {
    this.dropMessage(message.id);
    this.#deliver(asNewMessage(message));
  }

  /** Forget a message that was not sent. */
  dropMessage(id: string): void {
    this.outbox.value = this.outbox.value.filter((message) => message.id !== id);
  }

  /** Begin to write a turn's message anew; null ends that. */
  edit(turn: string | null): void {
    this.editing.value = turn === null ? null : { turn };
  }

  /** Say something else in a turn's place: the kernel forks the conversation. */
  sendEdited(turn: string, text: string, media: Attachment[]): void {
    const sent = newOutgoing(this.#shown, text, media);
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
    if (said) this.drafts.restore(said.text, attachmentsOf(said));
    else if (coming) this.drafts.restore(coming.text, coming.media);
    if (coming && awaitsConversation(coming)) this.dropMessage(id);
    else this.#end(id);
  }

  #end(id: string): void {
    const wasRefused = this.turn(id)?.stop === "refused";
    const arrived = () => stopArrived(this.turn(id), wasRefused);
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
  autoRetry(id: string): void {
    const turn = this.turn(id);
    const isOff = this.dead.value || this.pendingTurns.value.has(id);
    if (!turn || isOff || this.autoRetryTarget.value !== id) return;
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
    const said = reason ? { decision, reason } : { decision };
    const message = { type: "answer", turn: turn.id, request_id: requestId, ...said };
    this.#insist(requestId, message, () => isAnswered(this.turn(turn.id), requestId));
  }

  loadEarlier(): void {
    const first = this.picture.value.turns[0];
    if (!first || this.loadingEarlier.value) return;
    this.loadingEarlier.value = true;
    this.#earlierAskedAt = Date.now();
    this.#ask({ type: "earlier", before: first.position });
  }

  // --- to the kernel ------------------------------------------------------------------

  #deliver(message: OutgoingMessage): void {
    this.outbox.value = [...this.outbox.value, message];
    if (!awaitsConversation(message)) this.#post(message);
  }

  #post({ id, conversation, text, media }: OutgoingMessage): void {
    const address = { message_id: id, instance_id: conversation };
    const images = media.map(({ uri }) => uri);
    this.#send({ type: "send", ...address, text, media: images });
  }

  #send(message: Message): void {
    this.#ownRequests.record(message);
    if (this.#switch.begin(message, this.#shown)) this.drafts.open(UPCOMING);
    this.connection.send(message);
  }

  /** Something about the conversation that is shown; another view may switch it. */
  #ask(message: Message): void {
    this.#send(this.#addressed(message));
  }

  /** The same for what must land, also while a cell blocks the kernel. */
  #insist(key: string, message: Message, arrived: () => boolean): void {
    this.#ownRequests.record(message);
    this.sideChannel.deliver(key, this.#addressed(message), arrived);
  }

  #addressed(message: Message): Message {
    return { ...message, instance_id: this.picture.value.instance_id };
  }

  // --- the kernel's side --------------------------------------------------------------

  #follow(picture: Conversation): void {
    const { turns, instance_id } = picture;
    if (instance_id !== this.#shown) this.#switched(instance_id);
    const outbox = this.outbox.peek();
    const left = withoutTurns(outbox, turns);
    if (left.length < outbox.length) {
      this.outbox.value = left;
      // The kernel listens again; what it has made a turn of can be stopped.
      this.sideChannel.resend();
    }
    this.#pendingTurns.settle(turns);
    const message = this.#ownRequests.conflictNotice(picture);
    if (message) this.problem.value = { type: "Overtaken", message, retryable: false };
  }

  #switched(instanceId: string): void {
    this.#shown = instanceId;
    if (this.#switch.endsAt(instanceId)) this.#arrive();
    const { sent, refused } = this.editing.peek() ?? {};
    this.#left = sent && { sent, to: instanceId };
    this.editing.value = null;
    this.#pendingTurns.clear();
    this.problem.value = null;
    this.loadingEarlier.value = false;
    if (this.branchNavigation?.to !== instanceId) this.branchNavigation = undefined;
    this.sideChannel.forget();
    if (sent && refused) this.#refusedEdit(sent.id, refused);
  }

  /** What was written for the conversation that has come is its own. */
  #arrive(): void {
    this.#switch.end();
    this.#openDraft();
    for (const message of this.outbox.peek().filter(awaitsConversation)) {
      this.dropMessage(message.id);
      this.#deliver({ ...message, conversation: this.#shown, sentAt: Date.now() });
    }
  }

  /** One has not left: what was written meanwhile is added to the draft. */
  #stay(): void {
    if (!this.#switch.what) return;
    const held = this.outbox.peek().filter(awaitsConversation);
    for (const { id } of held) this.dropMessage(id);
    this.drafts.prepend(held);
    this.#switch.end();
    this.#openDraft();
  }

  #openDraft(): void {
    const { type_name, instance_id } = this.picture.peek();
    this.drafts.open(instance_id && `${type_name}/${instance_id}`);
  }

  #press(id: string): void {
    this.problem.value = null;
    this.#pendingTurns.add(id);
  }

  /** The kernel answers: what it did not hear, or was not heard of it, was lost. */
  #recover(): void {
    const before = Date.now() - LOST_AFTER;
    for (const message of this.sending.value) {
      if (message.refused || message.sentAt >= before) continue;
      const next = withAnotherAttempt(message);
      this.#replace(next);
      // The same id twice is one request.
      if (!next.refused) this.#post(next);
    }
    this.sideChannel.resend();
    if (this.#switch.wasLost(before)) {
      const { what } = this.#switch;
      const message_id = this.editing.value?.sent?.id;
      this.#refused({ type: "refused", what, message_id, error: NOT_SWITCHED });
    }
    if (this.#earlierAskedAt < before) this.loadingEarlier.value = false;
    this.#pendingTurns.dropBefore(before);
  }

  #take(message: Message): void {
    this.#ownRequests.settle(message);
    if (this.sideChannel.take(message) || this.conversationActions.take(message))
      return;
    if (message.type === "refused") {
      if (this.#ownRequests.owns(message)) this.#refused(message);
    } else if (message.type === "page") {
      this.loadingEarlier.value = false;
      const page = message as unknown as Conversation;
      if (page.instance_id === this.#shown)
        this.picture.value = withEarlierPage(this.picture.value, page);
    }
  }

  #refused({ message_id, what, error }: Message): void {
    const id = String(message_id);
    const failure = error as Failure;
    this.conversationActions.refused(what);
    if (what === this.#switch.what) this.#stay();
    this.sideChannel.forget(id);
    if (what === "earlier") this.loadingEarlier.value = false;
    this.#pendingTurns.drop(id);
    if (this.#refusedEdit(id, failure, what)) return;
    const message = this.outbox.value.find((one) => one.id === id);
    if (message) this.#replace({ ...message, refused: failure });
    else this.problem.value = failure;
  }

  #replace(message: OutgoingMessage): void {
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
