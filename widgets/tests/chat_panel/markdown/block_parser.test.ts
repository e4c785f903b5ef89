/** What is relied on of the library behind the parser; a new version may change it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BlockParser,
  type BlockRenderer,
  type Position,
} from "../../../src/chat_panel/markdown/block_parser.ts";

interface Told {
  /** All that has begun, in order. */
  begun: string[];
  /** What has begun and not ended, the outermost first. */
  open: string[];
  /** Each piece of text with what was open then. */
  pieces: { text: string; within: string[] }[];
  attributes: string[];
}

/** A parser to which a text was written, and what it has told. */
function parserOf(text: string): { parser: BlockParser; told: Told } {
  const told: Told = { begun: [], open: [], pieces: [], attributes: [] };
  const renderer: BlockRenderer = {
    begin: (tag) => {
      told.begun.push(tag);
      told.open.push(tag);
    },
    end: () => told.open.pop(),
    text: (piece) => told.pieces.push({ text: piece, within: [...told.open] }),
    attribute: (name, value) => told.attributes.push(`${name}=${value}`),
  };
  const parser = new BlockParser(renderer);
  parser.write(text);
  return { parser, told };
}

/** The elements in which a letter is drawn that is written behind a text. */
function whereDrawn(text: string): string[] {
  const { parser, told } = parserOf(text);
  parser.write("\u2020 \n");
  parser.end();
  const piece = told.pieces.find((one) => one.text.includes("\u2020"));
  assert.ok(piece, JSON.stringify(text));
  return piece.within;
}

/** In a paragraph, if nothing else is said. */
const INSIDE: Position = {
  kind: "paragraph",
  isCode: false,
  isLineStart: false,
  isItemStart: false,
  isQuoted: false,
};
const CODE = { isCode: true };
const LINE_START = { isLineStart: true };
const ITEM_START = { isItemStart: true };
const QUOTED = { isQuoted: true };

/** What stands before, and where the next character comes to stand. */
const POSITIONS: [string, Partial<Position>][] = [
  ["", LINE_START],
  ["word", {}],
  ["word\n", LINE_START],
  ["word\n\n", LINE_START],
  ["# ", { kind: "heading" }],
  ["###### word", { kind: "heading" }],
  ["# word\n", LINE_START],
  ["| ", { kind: "cell" }],
  ["| a | b", { kind: "cell" }],
  ["| a |\n|---|\n| c", { kind: "cell" }],
  ["   ", LINE_START],
  ["    ", { ...CODE, ...LINE_START }],
  ["\t", { ...CODE, ...LINE_START }],
  ["    code", CODE],
  ["    code\n", LINE_START],
  ["    code\n    ", CODE],
  ["```\n", CODE],
  ["```py\ncode", CODE],
  ["```py\ncode\n", CODE],
  ["```\ncode\n```\n", LINE_START],
  ["> ", { ...LINE_START, ...QUOTED }],
  ["> word", QUOTED],
  ["> word\n\n", LINE_START],
  ["> # ", { kind: "heading", ...QUOTED }],
  ["- ", ITEM_START],
  ["* ", ITEM_START],
  ["1. ", ITEM_START],
  ["- word", {}],
  ["- word\n  - ", ITEM_START],
  ["- word\n  ```\n  ", CODE],
  ["- word\n  ```\n ", LINE_START],
  ["- word\n\n", LINE_START],
];

test("the position is told of every kind of block", () => {
  for (const [text, expected] of POSITIONS) {
    const position = parserOf(text).parser.nextPosition();
    assert.deepEqual(position, { ...INSIDE, ...expected }, JSON.stringify(text));
  }
});

test("what is written next is drawn at the position that was told", () => {
  for (const [text, { kind = "paragraph", isCode, isQuoted }] of POSITIONS) {
    const within = whereDrawn(text);

    const isHeading = within.some((tag) => /^h\d$/.test(tag));
    const drawn = within.includes("td") ? "cell" : isHeading ? "heading" : "paragraph";
    const at = [drawn, within.includes("pre"), within.includes("blockquote")];
    assert.deepEqual(at, [kind, isCode ?? false, isQuoted ?? false], text);
  }
});

test("what a text holds is told as the elements that it would be", () => {
  const { parser, told } = parserOf("# a\nb\nc\n\n3. [d](u)\n4. ![e](v)\n\n---\n");
  parser.write("```py\nf\n```\n- [x] g\n\n| h |\n|---|\n| i |\n\n> j \\(0\\)\n");
  parser.end();

  assert.deepEqual(
    told.begun.join(" "),
    "h1 p br ol li a li img hr pre ul li input table tr td tr td blockquote p math",
  );
  assert.deepEqual(
    told.pieces
      .filter(({ text }) => text.trim())
      .map(({ text, within }) => [text.trim(), within.join(" ")]),
    [
      ["a", "h1"],
      ["b", "p"],
      ["c", "p"],
      ["d", "ol li a"],
      ["e", "ol li img"],
      ["f", "pre"],
      ["g", "ul li"],
      ["h", "table tr td"],
      ["i", "table tr td"],
      ["j", "blockquote p"],
      ["0", "blockquote p math"],
    ],
  );
  assert.deepEqual(told.attributes, [
    "start=3",
    "href=u",
    "src=v",
    "lang=py",
    "checked=",
  ]);
});

test("noncharacters are text like any other", () => {
  const marks = Array.from({ length: 32 }, (_, at) => String.fromCharCode(0xfdd0 + at));
  const { parser, told } = parserOf(`a${marks.join("")}b`);
  parser.end();

  const shown = told.pieces.map(({ text }) => text).join("");
  assert.deepEqual([shown, told.open], [`a${marks.join("")}b`, ["p"]]);
});
