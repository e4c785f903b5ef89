/**
 * A long list in blocks, so that a change at its end costs the last block only.
 *
 * A block that holds the same turns as before is the same array as before: a component
 * that is given it has nothing to draw again.
 */

import type { Turn } from "../store/model.ts";

export const BLOCK_SIZE = 24;

/** A block's key does not change when earlier turns come in front of it. */
export interface TurnBlock {
  key: number;
  turns: Turn[];
}

export function groupTurns(turns: Turn[], before: TurnBlock[]): TurnBlock[] {
  const known = new Map(before.map((block) => [block.key, block]));
  const blocks: TurnBlock[] = [];
  let start = 0;
  for (let end = 1; end <= turns.length; end += 1) {
    const key = keyOf(turns[start]);
    if (end < turns.length && keyOf(turns[end]) === key) continue;
    const block = known.get(key);
    const isSame = block && holds(block.turns, turns, start, end);
    blocks.push(isSame ? block : { key, turns: turns.slice(start, end) });
    start = end;
  }
  return blocks;
}

function keyOf(turn: Turn | undefined): number {
  return Math.floor((turn?.position ?? 0) / BLOCK_SIZE);
}

function holds(block: Turn[], turns: Turn[], start: number, end: number): boolean {
  if (block.length !== end - start) return false;
  return block.every((turn, index) => turn === turns[start + index]);
}
