/**
 * Finds formulas in Markdown that streams in: `$$…$$`, `\[…\]` and `\(…\)`.
 *
 * A formula is held back until it closes and then written as `\(n\)`, which Markdown
 * takes for a formula in any place where text may stand; `formulas[n]` has its source.
 * So nothing of the source is read as Markdown, and what does not close, or spans a
 * blank line, becomes text like any other. A single dollar is money, never a formula.
 */

const LONGEST = 4_000;
const CLOSERS: Record<string, string> = { $$: "$$", "\\(": "\\)", "\\[": "\\]" };

const BLANK_LINE = /\n[ \t]*\n/;
const BLANK_LINE_OR_OPENER = /\n[ \t]*\n|(?<!\\)\\[([]/;

export interface Formula {
  source: string;
  /** On a line of its own. */
  display: boolean;
}

export interface Sink {
  write(text: string): void;
  /** Whether the next character is code or an address, which have no formulas. */
  isLiteral(): boolean;
}

export class FormulaScanner {
  readonly formulas: Formula[] = [];
  #sink: Sink;
  /** What is not written yet: the beginning of an opener, or a formula from there. */
  #held = "";

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  write(text: string): void {
    let rest = this.#held + text;
    this.#held = "";
    while (rest) {
      const taken = this.#take(rest);
      if (taken === 0) {
        this.#held = rest;
        return;
      }
      rest = rest.slice(taken);
    }
  }

  /** No more text comes: what is held back is text. */
  end(): void {
    while (this.#held) {
      const text = this.#held;
      this.#held = "";
      const length = text.length === 1 ? 1 : 2;
      this.#writeOpener(text.slice(0, length));
      this.write(text.slice(length));
    }
  }

  /** How many characters were written; 0 if more must come to know. */
  #take(rest: string): number {
    const plain = rest.search(/[$\\]/);
    if (plain !== 0) return this.#writePlain(plain < 0 ? rest : rest.slice(0, plain));
    if (this.#sink.isLiteral()) return this.#writePlain(rest.charAt(0));
    if (rest.length === 1) return 0;
    const opener = rest.slice(0, 2);
    const closer = CLOSERS[opener];
    if (closer) return this.#takeFormula(rest, opener, closer);
    const length = opener.startsWith("$") ? 1 : 2;
    return this.#writeOpener(opener.slice(0, length));
  }

  #takeFormula(rest: string, opener: string, closer: string): number {
    const text = rest.slice(2, LONGEST);
    const obstacle = text.search(opener === "$$" ? BLANK_LINE : BLANK_LINE_OR_OPENER);
    const possible = obstacle < 0 ? text : text.slice(0, obstacle);
    const end = possible.indexOf(closer);
    if (end < 0 && obstacle < 0 && rest.length < LONGEST) return 0;
    const source = possible.slice(0, Math.max(0, end)).trim();
    if (!source) return this.#writeOpener(opener);
    this.formulas.push({ source, display: opener !== "\\(" });
    this.#sink.write(`\\(${this.formulas.length - 1}\\)`);
    return 2 + end + closer.length;
  }

  #writePlain(text: string): number {
    this.#sink.write(text);
    return text.length;
  }

  /** As text: `\(` keeps its backslash, a dollar begins nothing. */
  #writeOpener(text: string): number {
    if (text.startsWith("$")) this.#sink.write(text.replaceAll("$", "\\$"));
    else this.#sink.write(text in CLOSERS ? `\\${text}` : text);
    return text.length;
  }
}
