/**
 * Stands before a parser of Markdown that streams in, and reads what is inside blocks.
 *
 * A parser that never takes back what it has shown must not see an asterisk, an
 * underscore, a backtick, a bracket or a dollar before it is known what they mean. So
 * text from such a character on is held back until its counterpart has come, its block
 * has ended or it has grown long. The parser is left with blocks, lines and cells.
 */

import { lineOpener, untilBlockEnd } from "./block_boundaries.ts";
import type { BlockParser } from "./block_parser.ts";
import {
  type Excerpt,
  type Formula,
  formulaAt,
  formulaOpener,
  LONGEST_FORMULA,
} from "./formulas.ts";
import { literal, stripMarks } from "./inline_marks.ts";
import { InlineReader, lastCharacter, plainLength } from "./inline_reader.ts";

const LONGEST = 400;
/** An address is waited for, however long: images may be data. */
const ADDRESS = /^(?:h|\[[^\n]{0,400}?\]\()[^\s()]*/;
const TASK = /^\[[ x]\] /;

/** What the scanner needs of the parser that it stands before. */
type Parser = Pick<BlockParser, "write" | "nextPosition">;

export class MarkdownScanner {
  /** What `\(n\)` stands for in what was written. */
  readonly formulas: Formula[] = [];
  #parser: Parser;
  #held = "";
  #before = "";

  constructor(parser: Parser) {
    this.#parser = parser;
  }

  write(text: string): void {
    this.#read(this.#held + stripMarks(text), false);
  }

  /** No more text comes: what is held back is decided. */
  end(): void {
    this.#read(this.#held, true);
  }

  #read(text: string, isComplete: boolean): void {
    let rest = text;
    while (rest) {
      const taken = this.#take({ text: rest, isComplete, isCut: false });
      if (!taken) break;
      this.#before = lastCharacter(rest.slice(0, taken));
      rest = rest.slice(taken);
    }
    this.#held = rest;
  }

  /** How many characters were written; 0 if more must come to know. */
  #take(excerpt: Excerpt): number {
    const { text } = excerpt;
    const ordinary = plainLength(text, 0);
    if (ordinary) return this.#write(ordinary, text.slice(0, ordinary));
    const position = this.#parser.nextPosition();
    const opener = position.isLineStart ? lineOpener(part(excerpt, LONGEST)) : "";
    if (opener === undefined) return 0;
    if (opener) return this.#write(opener.length, opener);
    if (position.isCode) return this.#write(1, text.charAt(0));
    if (position.isItemStart && text.startsWith("[")) {
      if (text.length < 4 && !excerpt.isComplete) return 0;
      if (TASK.test(text)) return this.#write(4, text.slice(0, 4));
    }
    if (formulaOpener(text, 0)) return this.#takeFormula(excerpt);
    const block = untilBlockEnd(part(excerpt, longest(text)), position);
    const reader = new InlineReader(block, this.#before, (found) => this.#keep(found));
    const known = this.formulas.length;
    const reading = reader.read();
    // They are found again.
    if (!reading) this.formulas.length = known;
    return reading ? this.#write(reading.length, reading.written) : 0;
  }

  #takeFormula(excerpt: Excerpt): number {
    const found = formulaAt(part(excerpt, LONGEST_FORMULA), 0, this.#before);
    if (found === "more") return 0;
    if (found) return this.#write(found.length, `\\(${this.#keep(found)}\\)`);
    return this.#write(2, literal(excerpt.text.slice(0, 2)));
  }

  #keep({ source, display }: Formula): number {
    return this.formulas.push({ source, display }) - 1;
  }

  #write(length: number, written: string): number {
    this.#parser.write(written);
    return length;
  }
}

/** The beginning of an excerpt, beyond which nothing is waited for. */
function part({ text, isComplete }: Excerpt, length: number): Excerpt {
  const isCut = text.length >= length;
  return { text: text.slice(0, length), isComplete: isComplete || isCut, isCut };
}

function longest(text: string): number {
  return Math.max(LONGEST, (ADDRESS.exec(text)?.[0].length ?? 0) + 2);
}
