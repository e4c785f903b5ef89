/** Messages that the kernel has not confirmed. */

import type { Attachment } from "./attachments.ts";
import type { Conversation, Failure } from "./model.ts";

/** Shown at once, and sent again if needed. */
export interface Sending {
  id: string;
  /** The conversation that it was written in; the panel may show another one since. */
  conversation: string;
  text: string;
  media: Attachment[];
  /** Milliseconds by this machine's clock. */
  sentAt: number;
  refused?: Failure;
}

/** What was written here and is no turn yet. */
export function unconfirmed(outbox: Sending[], picture: Conversation): Sending[] {
  if (outbox.length === 0) return outbox;
  const known = new Set(picture.turns.map((turn) => turn.id));
  return outbox.filter(
    (message) => message.conversation === picture.instance_id && !known.has(message.id),
  );
}

export function newId(): string {
  // randomUUID is missing on pages that are served without TLS.
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
