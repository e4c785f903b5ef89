/** Which `*`, `_` and `~~` begin and end emphasis, by CommonMark's rules. */

import { beginMark, endMark, literal, type Tag } from "./inline_marks.ts";

const SPACE = /^$|^\s/u;
const PUNCTUATION = /^[\p{P}\p{S}]/u;

/** Marks of one kind in a row: what of them is left, and what they begin and end. */
export class Run {
  readonly canOpen: boolean;
  readonly canClose: boolean;
  count: number;
  #mark: string;
  #length: number;
  #ends = "";
  #begins = "";

  constructor(marks: string, before: string, after: string) {
    const [spaceBefore, spaceAfter] = [SPACE.test(before), SPACE.test(after)];
    const [markBefore, markAfter] = [PUNCTUATION.test(before), PUNCTUATION.test(after)];
    const left = !spaceAfter && (!markAfter || spaceBefore || markBefore);
    const right = !spaceBefore && (!markBefore || spaceAfter || markAfter);
    this.#mark = marks.charAt(0);
    this.#length = this.count = marks.length;
    const isWord = this.#mark === "_";
    const isKnown = this.#mark !== "~" || marks.length === 2;
    this.canOpen = isKnown && left && (!isWord || !right || markBefore);
    this.canClose = isKnown && right && (!isWord || !left || markAfter);
  }

  opensFor(closer: Run): boolean {
    if (this.#mark !== closer.#mark || !this.count) return false;
    // `*a**b*`: the two in the middle end nothing.
    const isOneWay = !this.canClose && !closer.canOpen;
    const sum = this.#length + closer.#length;
    return isOneWay || sum % 3 !== 0 || this.#length % 3 === 0;
  }

  close(closer: Run): void {
    const size = Math.min(2, this.count, closer.count);
    const tag: Tag = this.#mark === "~" ? "s" : size === 2 ? "strong" : "em";
    this.count -= size;
    closer.count -= size;
    this.#begins = beginMark(tag) + this.#begins;
    closer.#ends += endMark(tag);
  }

  toString(): string {
    return this.#ends + literal(this.#mark.repeat(this.count)) + this.#begins;
  }
}

/** The runs that may still find their counterpart. */
export class OpenRuns {
  #runs: Run[] = [];
  /** So many have looked for theirs already. */
  #settled = 0;

  get length(): number {
    return this.#runs.length;
  }

  add(run: Run): void {
    if (run.canOpen || run.canClose) this.#runs.push(run);
  }

  /** From that index on: pair what is there; what can open stays. */
  match(from: number): void {
    for (const run of this.#runs.splice(Math.max(from, this.#settled))) {
      if (run.canClose) this.#close(from, run);
      if (run.canOpen && run.count) this.#runs.push(run);
    }
    if (from === 0) this.#settled = this.#runs.length;
  }

  /** What is there from that index on will find no counterpart any more. */
  drop(from: number): void {
    this.#runs.length = from;
  }

  #close(from: number, closer: Run): void {
    while (closer.count) {
      const index = this.#runs.findLastIndex((run) => run.opensFor(closer));
      const opener = this.#runs[index];
      if (!opener || index < from) return;
      opener.close(closer);
      this.drop(opener.count ? index + 1 : index);
    }
  }
}
