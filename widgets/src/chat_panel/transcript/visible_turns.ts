/** The last turns of a conversation; earlier ones on request. */

import { useRef, useState } from "preact/hooks";
import type { ChatStore } from "../store/chat_store.ts";
import type { Conversation, Turn } from "../store/model.ts";

/** Turns that a view begins with, and of each request for earlier ones. */
export const PAGE_SIZE = 50;

/** The position from which turns are shown, `count` more than from `first` on. */
export function earlierPosition(
  turns: Turn[],
  first: number,
  count = PAGE_SIZE,
): number {
  const place = turns.findIndex((turn) => turn.position >= first);
  const start = place < 0 ? turns.length : place;
  return turns[Math.max(0, start - count)]?.position ?? 0;
}

interface VisibleTurns {
  turns: Turn[];
  more: boolean;
  showEarlier: () => void;
}

/**
 * What a view shows: it grows at its end by itself, and at its beginning on request,
 * from what is here and then from what the kernel has.
 */
export function useVisibleTurns(picture: Conversation, store: ChatStore): VisibleTurns {
  const { turns, instance_id, more } = picture;
  const [, drawAgain] = useState(0);
  const window = useRef({ of: "", first: 0, asked: false });
  const { current } = window;
  const oldest = turns[0]?.position ?? 0;
  if (current.of !== instance_id || turns.length === 0) {
    const first = earlierPosition(turns, Number.POSITIVE_INFINITY);
    const of = turns.length > 0 ? instance_id : "";
    Object.assign(current, { of, first, asked: false });
  } else if (current.asked && !store.loadingEarlier.value) {
    // What was asked for has come, or could not be had.
    current.asked = false;
    current.first = earlierPosition(turns, current.first);
  }
  const start = turns.findIndex((turn) => turn.position >= current.first);
  const shown = start <= 0 ? turns : turns.slice(start);
  return {
    turns: shown,
    more: more || start > 0,
    showEarlier: () => {
      if (current.first > oldest && start > 0) {
        current.first = earlierPosition(turns, current.first);
        drawAgain((times) => times + 1);
      } else {
        current.asked = true;
        store.loadEarlier();
      }
    },
  };
}
