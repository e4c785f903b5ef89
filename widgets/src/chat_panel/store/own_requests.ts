/**
 * The requests of this page. The kernel sends refusals to every page that shows the
 * panel; each shows only those of its own requests. And a notice says what another page
 * did meanwhile.
 */

import type { Message } from "../../shared/connection.ts";
import type { Conversation, Turn } from "./model.ts";

export class OwnRequests {
  #marks = new Set<string>();
  /** Answers by the question, until it is known what holds. */
  #answers = new Map<unknown, unknown>();
  /** Conversations: one that had turns, and one that is emptied by this page. */
  #full = "";
  #emptied: unknown;

  record(message: Message): void {
    for (const mark of marksOf(message)) this.#marks.add(mark);
    const { type, request_id, decision, instance_id } = message;
    if (decision) {
      const answer = decision === "deny" ? "denied" : decision;
      this.#answers.set(request_id, answer);
    }
    if (type === "forget" || type === "delete") this.#emptied = instance_id;
  }

  /** What others did that somebody here would not expect, a sentence or nothing. */
  conflictNotice({ instance_id, phase, turns }: Conversation): string | undefined {
    const wasFull = this.#full === instance_id;
    if (turns.length > 0) this.#full = instance_id;
    else if (!wasFull || phase === "live") this.#full = "";
    if (this.#answers.size > 0) return this.#overruled(turns);
    if (!wasFull || this.#full) return undefined;
    const isOwn = this.#emptied === instance_id;
    this.#emptied = undefined;
    return isOwn ? undefined : "What was said here was deleted elsewhere.";
  }

  #overruled(turns: Turn[]): string | undefined {
    for (const item of turns.flatMap(({ items }) => items)) {
      if (item.kind !== "approval" || !item.answer) continue;
      const pressed = this.#answers.get(item.id);
      this.#answers.delete(item.id);
      if (pressed && pressed !== item.answer)
        return `Another view answered first: ${item.answer === "denied" ? "denied" : "approved"}.`;
    }
    return undefined;
  }

  /** Whether a refusal answers a request of this page; true once. */
  owns({ what = "", message_id = "" }: Message): boolean {
    return this.#marks.delete(`${what}/${message_id}`);
  }

  /** An answer settles a request that has no id of its own. */
  settle({ type, what }: Message): void {
    const done = type === "done" ? what : ANSWERS[type];
    if (done) this.#marks.delete(`${done}/`);
  }
}

const ANSWERS: Record<string, string> = {
  page: "earlier",
  conversations: "list",
  export: "export",
};

/** Under which kind and id the kernel would refuse a message. */
function marksOf({ type, message_id, turn }: Message): string[] {
  // An answer to questions is a request, with an id that follows from the turn.
  if (type === "answer") return [`/${turn}-answer`];
  const about = `${type}/${message_id ?? turn ?? ""}`;
  // Sending has no kind; an edit is sent as well, once there is a branch for it.
  return type === "send" || type === "edit" ? [about, `/${message_id}`] : [about];
}
