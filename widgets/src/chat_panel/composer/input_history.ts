/** The messages that were written before, for the arrow keys. */

import type { Turn } from "../store/model.ts";

/** What people wrote, oldest first; the same twice in a row is once. */
export function sentTexts(turns: Turn[]): string[] {
  const texts: string[] = [];
  for (const { items } of turns) {
    const item = items.find((one) => one.kind === "user");
    if (item?.text && item.text !== texts.at(-1)) texts.push(item.text);
  }
  return texts;
}

export class InputHistory {
  #texts: string[] = [];
  /** As long as `#texts` where nothing is looked up. */
  #place = 0;
  #draft = "";

  /** The text that stands before the present one; undefined: there is none. */
  older(present: string, texts: () => string[]): string | undefined {
    if (!this.isLookingAt(present)) {
      this.#texts = texts();
      this.#place = this.#texts.length;
      this.#draft = present;
    }
    if (this.#place === 0) return undefined;
    this.#place -= 1;
    return this.#texts[this.#place];
  }

  /** The text behind the present one, at last what was being written. */
  newer(present: string): string | undefined {
    if (!this.isLookingAt(present)) return undefined;
    this.#place += 1;
    return this.#texts[this.#place] ?? this.#draft;
  }

  /** Whether the text is one that was looked up and not changed since. */
  isLookingAt(present: string): boolean {
    return this.#texts[this.#place] === present;
  }
}
