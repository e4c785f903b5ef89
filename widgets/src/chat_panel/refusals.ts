/** Refusals go to every page that shows the panel; each tells those of its own only. */

import type { Message } from "../shared/connection.ts";

/** What this page has asked for, as far as it may be refused. */
export class Asked {
  #marks = new Set<string>();

  note(message: Message): void {
    for (const mark of marksOf(message)) this.#marks.add(mark);
  }

  /** Whether a refusal is about something that was asked here; told once. */
  owns({ what = "", message_id = "" }: Message): boolean {
    return this.#marks.delete(`${what}/${message_id}`);
  }

  /** An answer ends what has no id of its own. */
  hear({ type, what }: Message): void {
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
