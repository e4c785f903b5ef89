/** What is known of a turn where it is drawn. */

import type { ChatStore } from "../store/chat_store.ts";
import type { Branch, Turn } from "../store/model.ts";

export interface TurnProps {
  turn: Turn;
  store: ChatStore;
  isLast: boolean;
  isAsking: boolean;
  /** Whether a later turn repeats it. */
  isRetried: boolean;
  /** Where the conversation divides at this turn. */
  branch: Branch | undefined;
}
