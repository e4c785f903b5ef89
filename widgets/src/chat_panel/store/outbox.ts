/** Messages that the kernel has not confirmed. */

import type { Attachment } from "./attachments.ts";
import { UPCOMING } from "./conversation_switch.ts";
import type { Conversation, Failure, Turn } from "./model.ts";

/** Shown at once, and sent again if needed. */
export interface OutgoingMessage {
  id: string;
  /** The conversation that it was written in; the panel may show another one since. */
  conversation: string;
  text: string;
  media: Attachment[];
  /** The last time, in milliseconds by this machine's clock. */
  sentAt: number;
  /** How often it was sent. */
  times: number;
  refused?: Failure;
}

/** A message that is being written anew. */
export interface MessageEdit {
  turn: string;
  /** What was sent; until then it is only written. */
  sent?: OutgoingMessage;
  refused?: Failure;
}

/** How often a message is sent to a kernel that answers, but does not take it. */
const MOST_TIMES = 4;

/** What one is told of such a message. */
const NOT_TAKEN: Failure = {
  type: "NotTaken",
  message: "the kernel answers, but does not take it.",
  retryable: true,
};

/** A new message for a conversation. */
export function newOutgoing(
  conversation: string,
  text: string,
  media: Attachment[],
): OutgoingMessage {
  return { id: newId(), conversation, text, media, sentAt: Date.now(), times: 1 };
}

/** The message as it is when nothing was heard of it: sent once more, or given up. */
export function withAnotherAttempt(message: OutgoingMessage): OutgoingMessage {
  if (message.times >= MOST_TIMES) return { ...message, refused: NOT_TAKEN };
  return { ...message, times: message.times + 1, sentAt: Date.now() };
}

/** The message to be sent anew; one that the kernel may have after all keeps its id. */
export function asNewMessage(message: OutgoingMessage): OutgoingMessage {
  const { refused, ...rest } = message;
  const id = refused === NOT_TAKEN ? message.id : newId();
  return { ...rest, id, times: 1, sentAt: Date.now() };
}

/** Whether it is for a conversation that is to come, and is sent then. */
export function awaitsConversation({ conversation }: OutgoingMessage): boolean {
  return conversation === UPCOMING;
}

/** What was written here and is no turn yet. */
export function unconfirmed(
  outbox: OutgoingMessage[],
  picture: Conversation,
): OutgoingMessage[] {
  return withoutTurns(outbox, picture.turns).filter(
    (message) =>
      message.conversation === picture.instance_id && !awaitsConversation(message),
  );
}

/** Messages that are no turns yet. */
export function withoutTurns(
  outbox: OutgoingMessage[],
  turns: Turn[],
): OutgoingMessage[] {
  if (outbox.length === 0) return outbox;
  const known = new Set(turns.map((turn) => turn.id));
  return outbox.filter((message) => !known.has(message.id));
}

export function newId(): string {
  // randomUUID is missing on pages that are served without TLS.
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
