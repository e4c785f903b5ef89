/** Where a paragraph, a heading or a cell ends, as far as one can tell so far. */

import type { Excerpt } from "./formulas.ts";

/** What the text stands in. */
export interface BlockContext {
  kind: "paragraph" | "heading" | "cell";
  isQuoted: boolean;
}

const BLOCK =
  /^[ \t]*(?:\n|>|\||#{1,6} |([-*_])(?: *\1){2,} *\n|[-+*] |`{3,}[^`\n]*\n|\d+\. )/;
const BLOCK_SO_FAR =
  /^[ \t]*(?:#{1,6}|\+|([-*_])(?: *\1)* *|`{1,2}|`{3,}[^`\n]*|\d+\.?)?$/;
const QUOTED = /^[ \t]*>/;

export interface BlockText extends Excerpt, BlockContext {
  /** The block is known to end where the text does. */
  isEnded: boolean;
}

/**
 * What a line begins with if that is no text, such as a bullet, a rule or a fence; "" if
 * there is nothing of these, undefined if that is not known yet.
 */
export function lineOpener({ text, isComplete }: Excerpt): string | undefined {
  if (!isComplete && BLOCK_SO_FAR.test(text)) return undefined;
  const [found = ""] = BLOCK.exec(isComplete ? `${text}\n` : text) ?? [];
  return found.replace("\n", "");
}

/** The text up to the end of its block; the first character is always of it. */
export function untilBlockEnd(excerpt: Excerpt, around: BlockContext): BlockText {
  const { text, isComplete, isCut } = excerpt;
  const isOneLine = around.kind !== "paragraph";
  const ending = around.kind === "cell" ? /\n|(?<!\\)\|/g : /\n/g;
  ending.lastIndex = 1;
  for (let end = ending.exec(text); end; end = ending.exec(text)) {
    const upToHere = { ...around, text: text.slice(0, end.index) };
    const line = text.slice(end.index + 1).replace(around.isQuoted ? QUOTED : "", "");
    if (isOneLine || BLOCK.test(isComplete ? `${line}\n` : line))
      return { ...upToHere, isComplete: true, isCut: false, isEnded: true };
    if (!isComplete && BLOCK_SO_FAR.test(line))
      return { ...upToHere, isComplete: false, isCut, isEnded: false };
  }
  return { ...around, text, isComplete, isCut, isEnded: isComplete && !isCut };
}
