/** Where the next character comes to stand, by the state of the parser of blocks. */

import * as smd from "streaming-markdown";
import type { Place } from "./scanner.ts";

const LINE_START = /^[\n \t>]?$/;
const ITEM_START = /^[-*] $/;
const INDENTED = 4;

/** Asked when all text before has been written. */
export function placeOf(parser: smd.Parser): Place {
  const { token, pending, len } = parser;
  const line = lineOf(parser);
  const open = parser.tokens.subarray(0, len + 1);
  const isInside = !line.isLineStart && !line.isCode;
  const isHeading = open.some((one) => one >= smd.HEADING_1 && one <= smd.HEADING_6);
  const isCell = pending === "|" || open.includes(smd.TABLE);
  return {
    ...line,
    isItemStart: token === smd.MAYBE_TASK ? pending === "" : ITEM_START.test(pending),
    isQuoted: parser.blockquote_idx > 0 || pending === ">",
    kind: isInside && isCell ? "cell" : isInside && isHeading ? "heading" : "paragraph",
  };
}

function lineOf(parser: smd.Parser): { isCode: boolean; isLineStart: boolean } {
  const { token, pending } = parser;
  switch (token) {
    case smd.CODE_FENCE:
      return { isCode: true, isLineStart: false };
    case smd.CODE_BLOCK:
      return isBegin(pending.startsWith("\n"));
    case smd.NEWLINE:
      return afterNewline(parser);
    case smd.LINE_BREAK:
      return { isCode: false, isLineStart: LINE_START.test(pending) };
    case smd.DOCUMENT:
    case smd.BLOCKQUOTE:
    case smd.LIST_ORDERED:
    case smd.LIST_UNORDERED: {
      const width = { " ": 1, "\t": 4 }[pending] ?? 0;
      const isCode = parser.indent_len + width >= INDENTED;
      return { isCode, isLineStart: LINE_START.test(pending) };
    }
    default:
      return { isCode: false, isLineStart: pending === "\n" };
  }
}

function isBegin(isLineStart: boolean) {
  return { isCode: !isLineStart, isLineStart };
}

/** In or after a fence; code is indented against the item of a list that it is in. */
function afterNewline({ tokens, spaces, len, indent_len }: smd.Parser) {
  const left = spaces
    .subarray(0, len + 1)
    .reduce((rest, own) => rest - own, indent_len);
  const isFence = tokens[len] === smd.CODE_FENCE && left >= 0;
  return { isCode: isFence || left >= INDENTED, isLineStart: !isFence };
}
