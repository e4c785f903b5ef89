/** Markdown as the panel reads it, drawn as HTML text: nodes without a browser. */

import * as smd from "streaming-markdown";
import { plainText, readMarks } from "../../../src/chat_panel/markdown/inline_marks.ts";
import { placeOf } from "../../../src/chat_panel/markdown/parser_position.ts";
import { MarkdownScanner } from "../../../src/chat_panel/markdown/scanner.ts";

interface Node {
  tag: string;
  isMark: boolean;
  attributes: string;
  children: (Node | string)[];
}

const TAGS: Record<number, string> = {
  [smd.PARAGRAPH]: "p",
  [smd.HEADING_1]: "h1",
  [smd.HEADING_2]: "h2",
  [smd.CODE_BLOCK]: "pre",
  [smd.CODE_FENCE]: "pre",
  [smd.CODE_INLINE]: "smd-code",
  [smd.ITALIC_AST]: "smd-em",
  [smd.ITALIC_UND]: "smd-em",
  [smd.STRONG_AST]: "smd-strong",
  [smd.STRONG_UND]: "smd-strong",
  [smd.STRIKE]: "smd-s",
  [smd.LINK]: "a",
  [smd.RAW_URL]: "smd-a",
  [smd.IMAGE]: "img",
  [smd.BLOCKQUOTE]: "blockquote",
  [smd.LINE_BREAK]: "br",
  [smd.RULE]: "hr",
  [smd.LIST_UNORDERED]: "ul",
  [smd.LIST_ORDERED]: "ol",
  [smd.LIST_ITEM]: "li",
  [smd.CHECKBOX]: "input",
  [smd.TABLE]: "table",
  [smd.TABLE_ROW]: "tr",
  [smd.TABLE_CELL]: "td",
  [smd.EQUATION_BLOCK]: "smd-math",
  [smd.EQUATION_INLINE]: "math",
};
const EMPTY = new Set(["br", "hr", "input"]);
const ATTRIBUTES: Record<number, string> = {
  [smd.HREF]: "href",
  [smd.SRC]: "src",
  [smd.LANG]: "lang",
  [smd.CHECKED]: "checked",
  [smd.START]: "start",
};

const create = (tag: string, isMark: boolean): Node => {
  return { tag, isMark, attributes: "", children: [] };
};

/** Draws as the panel's renderer does: marks become elements. */
class Drawing {
  root = create("", false);
  #path = [this.root];

  get #last(): Node {
    return this.#path.at(-1) as Node;
  }

  renderer(): smd.Renderer<undefined> {
    return {
      data: undefined,
      add_token: (_, token) => this.#push(TAGS[token] ?? `unknown-${token}`, false),
      end_token: () => {
        while (this.#last.isMark) this.#path.pop();
        this.#path.pop();
      },
      add_text: (_, text) =>
        readMarks(text, {
          text: (piece) => this.#last.children.push(piece),
          begin: (tag) => this.#push(tag, true),
          end: () => this.#last.isMark && this.#path.pop(),
        }),
      set_attr: (_, attribute, value) => {
        this.#last.attributes += ` ${ATTRIBUTES[attribute]}="${plainText(value)}"`;
      },
    };
  }

  #push(tag: string, isMark: boolean): void {
    const node = create(tag, isMark);
    this.#last.children.push(node);
    this.#path.push(node);
  }
}

function toHtml(node: Node, formulas: string[]): string {
  if (node.tag === "math")
    return `<math>${formulas[Number(node.children.join(""))]}</math>`;
  const inner = node.children
    .map((child) => (typeof child === "string" ? child : toHtml(child, formulas)))
    .join("");
  if (!node.tag) return inner;
  const begin = `<${node.tag}${node.attributes}>`;
  return EMPTY.has(node.tag) ? begin : `${begin}${inner}</${node.tag}>`;
}

/** What the pieces of a text become; characters of the text are not escaped. */
export function html(pieces: Iterable<string>): string {
  const drawing = new Drawing();
  const parser = smd.parser(drawing.renderer());
  const scanner = new MarkdownScanner({
    write: (text) => smd.parser_write(parser, text),
    place: () => placeOf(parser),
  });
  for (const piece of pieces) scanner.write(piece);
  scanner.end();
  smd.parser_end(parser);
  return toHtml(
    drawing.root,
    scanner.formulas.map(
      (formula) => (formula.display ? "display " : "") + formula.source,
    ),
  );
}
