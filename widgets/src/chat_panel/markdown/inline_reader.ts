/**
 * Reads what stands inside a block: emphasis, code, links and formulas.
 *
 * What it finds is written so that nothing is left to guess: emphasis and code as marks,
 * links as `[text](address)`, formulas as `\(n\)`, and the rest as itself.
 */

import type { BlockText } from "./block_boundaries.ts";
import { OpenRuns, Run } from "./emphasis.ts";
import { type Formula, formulaAt, formulaOpener } from "./formulas.ts";
import { beginMark, endMark, literal, SEPARATOR } from "./inline_marks.ts";

const SPECIAL = /[$\\`*_~[\]]|(?<![\p{L}\p{N}])h/gu;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const ESCAPES = /\\([!-/:-@[-`{-~])/g;
const BACKTICKS = /`+/g;
const MARKS = /\*+|_+|~+/y;
const WORD_END = /[\p{L}\p{N}]$/u;
const URL_TEXT = /https?:\/\/[^\s<>[\]`"]+/y;
const URL_TAIL = /[?!.,:;*_~']+$/;
const URL_TAIL_OR_CLOSER = /[?!.,:;*_~')]+$/;
const URL_SO_FAR = /h(?:t(?:t(?:p(?:s?(?::\/{0,2})?)?)?)?)?$/y;
const TARGET =
  /\(\s*(?:<([^<>\n]*)>|((?!<)(?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*\))*))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/y;

/** How many characters from there on mean nothing but themselves. */
export function plainLength(text: string, at: number): number {
  SPECIAL.lastIndex = at;
  const found = SPECIAL.exec(text);
  return (found ? found.index : text.length) - at;
}

/** The last character, also if it is one of two halves. */
export function lastCharacter(text: string): string {
  return /.$/su.exec(text.slice(-2))?.[0] ?? "";
}

export interface Reading {
  /** How many characters were read. */
  length: number;
  written: string;
}

interface Bracket {
  part: number;
  runs: number;
  isImage: boolean;
}

export class InlineReader {
  #block: BlockText;
  #text: string;
  #before: string;
  #keep: (formula: Formula) => number;
  #at = 0;
  #parts: (string | Run)[] = [];
  #runs = new OpenRuns();
  #brackets: Bracket[] = [];

  /** `keep` stores a formula and tells its number. */
  constructor(block: BlockText, before: string, keep: (formula: Formula) => number) {
    this.#block = block;
    this.#text = block.text;
    this.#before = before;
    this.#keep = keep;
  }

  /** The shortest beginning that is decided; undefined if more text must come. */
  read(): Reading | undefined {
    while (this.#at < this.#text.length) {
      const length = this.#step();
      if (!length) return undefined;
      this.#at += length;
      if (this.#brackets.length) continue;
      this.#runs.match(0);
      if (!this.#runs.length) return this.#reading();
    }
    if (!this.#block.isComplete) return undefined;
    this.#runs.match(0);
    return this.#block.isEnded ? this.#reading() : this.#first();
  }

  /** The length of what is at the place; 0 if that is not known yet. */
  #step(): number {
    switch (this.#text[this.#at]) {
      case "\\":
      case "$":
        return this.#formula() ?? this.#escape();
      case "`":
        return this.#code();
      case "*":
      case "_":
      case "~":
        return this.#run();
      case "[":
        return this.#openBracket();
      case "]":
        return this.#closeBracket();
      case "h":
        return this.#url();
      default:
        return this.#take(plainLength(this.#text, this.#at), (text) => text);
    }
  }

  #take(length: number, write: (text: string) => string): number {
    this.#parts.push(write(this.#text.slice(this.#at, this.#at + length)));
    return length;
  }

  #match(pattern: RegExp, at = this.#at): RegExpExecArray | null {
    pattern.lastIndex = at;
    return pattern.exec(this.#text);
  }

  /** Whether more text could make something else of what reaches to there. */
  #isOpen(at: number): boolean {
    return at >= this.#text.length && !this.#block.isComplete;
  }

  #previous(): string {
    return this.#at ? lastCharacter(this.#text.slice(0, this.#at)) : this.#before;
  }

  #formula(): number | undefined {
    const found = formulaAt(this.#block, this.#at, this.#previous());
    if (found === "more") return 0;
    if (found) this.#parts.push(`\\(${this.#keep(found)}\\)`);
    return found?.length;
  }

  #escape(): number {
    if (formulaOpener(this.#text, this.#at)) return this.#take(2, literal);
    if (this.#text[this.#at] === "$") return this.#take(1, literal);
    if (this.#isOpen(this.#at + 1)) return 0;
    if (this.#text[this.#at + 1] === "\n") return this.#take(1, () => "");
    const isEscape = PUNCTUATION.test(this.#text.charAt(this.#at + 1));
    return this.#take(isEscape ? 2 : 1, (text) => literal(text.slice(-1)));
  }

  #code(): number {
    BACKTICKS.lastIndex = this.#at;
    const [opener = ""] = BACKTICKS.exec(this.#text) ?? [];
    const begins = this.#at + opener.length;
    let closer = BACKTICKS.exec(this.#text);
    while (closer && closer[0].length !== opener.length)
      closer = BACKTICKS.exec(this.#text);
    const ends = closer ? closer.index + opener.length : this.#text.length;
    if (this.#isOpen(ends)) return 0;
    if (!closer) return this.#take(opener.length, literal);
    const code = this.#codeText(this.#text.slice(begins, closer.index));
    this.#parts.push(beginMark("code") + literal(code) + endMark("code"));
    return ends - this.#at;
  }

  #codeText(text: string): string {
    const { isQuoted, kind } = this.#block;
    const line = text.replace(isQuoted ? /\n[ \t>]*/g : /\n[ \t]*/g, " ");
    const code = kind === "cell" ? line.replaceAll("\\|", "|") : line;
    return /^ .*[^ ].* $/.test(code) ? code.slice(1, -1) : code;
  }

  #run(): number {
    const [marks = ""] = this.#match(MARKS) ?? [];
    const ends = this.#at + marks.length;
    if (this.#isOpen(ends)) return 0;
    const after = this.#text.slice(ends, ends + 2);
    const run = new Run(marks, this.#previous(), after);
    this.#parts.push(run);
    this.#runs.add(run);
    return marks.length;
  }

  #openBracket(): number {
    const isText = this.#block.isComplete && this.#text.indexOf("]", this.#at) < 0;
    if (isText) return this.#take(1, literal);
    const isImage = this.#previous() === "!" && this.#text[this.#at - 2] !== "\\";
    const bracket = { part: this.#parts.length, runs: this.#runs.length, isImage };
    this.#brackets.push(bracket);
    return this.#take(1, literal);
  }

  #closeBracket(): number {
    const bracket = this.#brackets.at(-1);
    if (!bracket) return this.#take(1, literal);
    const ends = this.#at + 1;
    if (this.#isOpen(ends)) return 0;
    const target = this.#match(TARGET, ends);
    const isTarget = this.#text[ends] === "(";
    if (isTarget && !target && !this.#block.isComplete) return 0;
    this.#brackets.pop();
    const isEmpty = bracket.part + 1 === this.#parts.length;
    if (!target || (isEmpty && !bracket.isImage)) return this.#take(1, literal);
    this.#link(bracket, target[1] ?? target[2] ?? "");
    return 1 + target[0].length;
  }

  #link({ part, runs, isImage }: Bracket, address: string): void {
    this.#runs.match(runs);
    this.#runs.drop(runs);
    this.#parts[part] = "[";
    this.#parts.push(`](${literal(address.replace(ESCAPES, "$1"))})`);
    // There are no links in links.
    if (!isImage) this.#brackets = this.#brackets.filter((outer) => outer.isImage);
  }

  #url(): number {
    if (WORD_END.test(this.#previous())) return this.#take(1, String);
    if (!this.#block.isComplete && this.#match(URL_SO_FAR)) return 0;
    const [all = ""] = this.#match(URL_TEXT) ?? [];
    if (this.#isOpen(this.#at + all.length)) return 0;
    const tail = all.includes("(") ? URL_TAIL : URL_TAIL_OR_CLOSER;
    const address = all.replace(tail, "");
    if (!address) return this.#take(1, literal);
    // There are no links in links.
    if (this.#brackets.length) return this.#take(address.length, literal);
    return this.#take(address.length, (text) => {
      const shown = literal(text);
      return `${SEPARATOR}[${shown}](${shown})`;
    });
  }

  #reading(): Reading {
    const written = this.#parts.join("");
    return { length: this.#at, written };
  }

  /** The excerpt ends before its block: only what it begins with is text now. */
  #first(): Reading {
    const [first = ""] = this.#parts;
    if (first instanceof Run && first.count === 0) return this.#reading();
    const length = first instanceof Run ? first.count : 1;
    return { length, written: literal(this.#text.slice(0, length)) };
  }
}
