/** When a busy service may be asked again, and how often that is done by itself. */

import type { Turn } from "./model.ts";

export const MAX_TRIES = 3;

/** Whether the turn failed because a service asks for patience. */
export function isRateLimited(turn: Turn | undefined): boolean {
  return turn?.status === "failed" && typeof turn.error?.retry_after === "number";
}

/** Seconds until it may be tried again, by the kernel's clock; 0 when it may be now. */
export function secondsLeft(turn: Turn, now: number): number {
  const end = (turn.ended_at ?? 0) + (turn.error?.retry_after ?? 0);
  return Math.max(0, Math.ceil(end - now));
}

/** The last turn, if a service has put it off and it is not tried too often yet. */
export function autoRetryTurn(turns: Turn[]): string | undefined {
  const last = turns.at(-1);
  if (!last || !isRateLimited(last) || last.discarded) return undefined;
  return consecutiveTries(turns, last) <= MAX_TRIES ? last.id : undefined;
}

/** How many tries in a row, up to this turn, a service has put off. */
export function consecutiveTries(turns: Turn[], last: Turn): number {
  let tries = 0;
  let turn: Turn | undefined = last;
  while (isRateLimited(turn)) {
    tries += 1;
    const before: string | undefined = turn?.retry_of;
    turn = before ? turns.find((other) => other.id === before) : undefined;
  }
  return tries;
}
