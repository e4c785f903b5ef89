/**
 * The parser of blocks, and the one module that knows the library behind it.
 *
 * `streaming-markdown` tells a renderer what begins and ends and which text stands
 * between, and never takes back what it has told. It does not tell where the next
 * character will stand, which the scanner has to know before it decides what that
 * character means. So `nextPosition` reads the library's state: `token`, `tokens`, `len`,
 * `pending`, `spaces`, `indent_len` and `blockquote_idx`, none of which it promises to
 * keep. Relied on as well: its tokens are numbered as in `TAGS`, `\(…\)` is a formula
 * whose text is told as it is, and U+FDD0 to U+FDEF mean nothing to it.
 *
 * package.json therefore names an exact version, and the tests of this module compare
 * `nextPosition` with where the library really draws what comes next.
 */

import * as smd from "streaming-markdown";
import type { BlockContext } from "./block_boundaries.ts";

/**
 * The HTML elements that the library's tokens would be, in the order of their numbers;
 * there is no first one, and the second is the document.
 */
const TAGS =
  ",,p,h1,h2,h3,h4,h5,h6,pre,pre,code,em,em,strong,strong,s,a,a,img,blockquote,br,hr,ul,ol,li,input,table,tr,td,math,math".split(
    ",",
  );

const ATTRIBUTES = {
  [smd.HREF]: "href",
  [smd.SRC]: "src",
  [smd.LANG]: "lang",
  [smd.CHECKED]: "checked",
  [smd.START]: "start",
} as const;

export type BlockAttribute = (typeof ATTRIBUTES)[smd.Attr];

/** Draws what the parser finds, in the order of the text. */
export interface BlockRenderer {
  /** An HTML element begins; a "span" if the library has something that is not known. */
  begin(tag: string): void;
  /** What has begun last, and has not ended, ends. */
  end(): void;
  /** More text of what has begun last. */
  text(piece: string): void;
  /** About what has begun last. */
  attribute(name: BlockAttribute, value: string): void;
}

/** Where the next character comes to stand. */
export interface Position extends BlockContext {
  /** In code, or so far indented that it would be. */
  isCode: boolean;
  isLineStart: boolean;
  /** Right behind the bullet or the number of a list's item. */
  isItemStart: boolean;
}

const LINE_START = /^[\n \t>]?$/;
const ITEM_START = /^[-*] $/;
const INDENTED = 4;

export class BlockParser {
  #parser: smd.Parser;

  constructor(renderer: BlockRenderer) {
    this.#parser = smd.parser({
      data: renderer,
      add_token: (to: BlockRenderer, token) => to.begin(TAGS[token] ?? "span"),
      end_token: (to: BlockRenderer) => to.end(),
      add_text: (to: BlockRenderer, text) => to.text(text),
      set_attr: (to: BlockRenderer, attribute, value) =>
        to.attribute(ATTRIBUTES[attribute], value),
    });
  }

  write(text: string): void {
    smd.parser_write(this.#parser, text);
  }

  /** No more text comes; nothing may be written or asked any more. */
  end(): void {
    smd.parser_end(this.#parser);
  }

  /** Asked when all text before has been written. */
  nextPosition(): Position {
    return positionOf(this.#parser);
  }
}

function positionOf(parser: smd.Parser): Position {
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
      return codeOrLineStart(pending.startsWith("\n"));
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

function codeOrLineStart(isLineStart: boolean) {
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
