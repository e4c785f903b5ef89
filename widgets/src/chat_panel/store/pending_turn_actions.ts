/** Turns for which retry or discard was requested here and is not in the snapshot yet. */

import { signal } from "@preact/signals";
import type { Turn } from "./model.ts";

export class PendingTurnActions {
  /** By the turn's id, in milliseconds of this machine's clock. */
  readonly since = signal<ReadonlyMap<string, number>>(new Map());

  add(id: string): void {
    this.since.value = new Map(this.since.value).set(id, Date.now());
  }

  /** Drop what the kernel has done: the turn is repeated, or discarded. */
  settle(turns: Turn[]): void {
    if (this.since.peek().size === 0) return;
    const come = new Set<string | undefined>(turns.map((turn) => turn.retry_of));
    for (const turn of turns) if (turn.discarded) come.add(turn.id);
    this.#keep((id) => !come.has(id));
  }

  /** It was refused. */
  drop(id: string): void {
    this.#keep((other) => other !== id);
  }

  /** Drop what was requested before this moment: it was lost. */
  dropBefore(moment: number): void {
    this.#keep((_, since) => since >= moment);
  }

  clear(): void {
    this.#keep(() => false);
  }

  #keep(isKept: (id: string, since: number) => boolean): void {
    const before = this.since.peek();
    const kept = [...before].filter(([id, since]) => isKept(id, since));
    if (kept.length < before.size) this.since.value = new Map(kept);
  }
}
