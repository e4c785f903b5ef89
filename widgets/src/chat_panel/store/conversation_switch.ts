/** A switch to another conversation: from this page's request until it is shown. */

import type { Message } from "../../shared/connection.ts";
import type { Failure } from "./model.ts";

/** Stands for the conversation that was asked for and is not shown yet. */
export const UPCOMING = "";

/** Shown when the kernel does not answer the request. */
export const NOT_SWITCHED: Failure = {
  type: "NotShown",
  message: "the kernel answers, but shows no other conversation.",
  retryable: true,
};

export class ConversationSwitch {
  /** The type of the message that asked for it; "" while there is no switch. */
  what = "";
  #to: unknown;
  #since = 0;

  /** Whether a message asks to leave the conversation that is shown. */
  begin({ type, instance_id }: Message, shown: string): boolean {
    const isShown = instance_id === shown;
    const kinds: Record<string, boolean> = {
      new: true,
      edit: true,
      switch: !isShown,
      delete: isShown,
    };
    if (!kinds[type]) return false;
    this.what = type;
    this.#to = type === "switch" && instance_id;
    this.#since = Date.now();
    return true;
  }

  /** Another view may have gone somewhere else meanwhile. */
  endsAt(shown: string): boolean {
    return !this.#to || this.#to === shown;
  }

  wasLost(before: number): boolean {
    return this.what !== "" && this.#since < before;
  }

  end(): void {
    this.what = "";
    this.#to = undefined;
  }
}
