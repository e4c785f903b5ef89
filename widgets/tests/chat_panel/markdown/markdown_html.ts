/** Markdown as the panel reads it, drawn as HTML text: nodes without a browser. */

import {
  BlockParser,
  type BlockRenderer,
} from "../../../src/chat_panel/markdown/block_parser.ts";
import { plainText, readMarks } from "../../../src/chat_panel/markdown/inline_marks.ts";
import { MarkdownScanner } from "../../../src/chat_panel/markdown/scanner.ts";

interface Node {
  tag: string;
  isMark: boolean;
  attributes: string;
  children: (Node | string)[];
}

/** What the scanner reads by itself, and the parser must not find. */
const INLINE = new Set(["code", "em", "strong", "s"]);
const EMPTY = new Set(["br", "hr", "input"]);
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

  renderer(): BlockRenderer {
    return {
      begin: (tag) => this.#push(INLINE.has(tag) ? `parser-${tag}` : tag, false),
      end: () => {
        while (this.#last.isMark) this.#path.pop();
        this.#path.pop();
      },
      text: (text) =>
        readMarks(text, {
          text: (piece) => this.#last.children.push(piece),
          begin: (tag) => this.#push(tag, true),
          end: () => this.#last.isMark && this.#path.pop(),
        }),
      attribute: (name, value) => {
        this.#last.attributes += ` ${name}="${plainText(value)}"`;
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
  const parser = new BlockParser(drawing.renderer());
  const scanner = new MarkdownScanner(parser);
  for (const piece of pieces) scanner.write(piece);
  scanner.end();
  parser.end();
  return toHtml(
    drawing.root,
    scanner.formulas.map(
      (formula) => (formula.display ? "display " : "") + formula.source,
    ),
  );
}
