/**
 * Markdown that grows: nodes are added and never replaced while text streams in, so a
 * selection survives and nothing flickers. No HTML of the text is ever interpreted;
 * links are allow-listed and images wait for a click.
 */

import type { LazyModules } from "../../shared/lazy_modules.ts";
import {
  type BlockAttribute,
  BlockParser,
  type BlockRenderer,
} from "./block_parser.ts";
import { codeActions } from "./code_actions.ts";
import type { Formula } from "./formulas.ts";
import { imageButton } from "./image_placeholder.ts";
import { plainText, readMarks } from "./inline_marks.ts";
import { safeLink } from "./safe_urls.ts";
import { MarkdownScanner } from "./scanner.ts";

const MAX_HIGHLIGHTED = 50_000;
/** The names of languages that the highlighter knows. */
const LANGUAGES = new Set(
  `bash sh zsh javascript js jsx mjs cjs json jsonc json5 python py gyp ipython sql
  typescript ts tsx mts cts xml html xhtml rss svg yaml yml`.split(/\s+/),
);

/** Renders a text that only grows into an element of its own. */
export class MarkdownRenderer {
  #root: HTMLElement;
  #modules: LazyModules | undefined;
  #text = "";
  #parser: BlockParser | undefined;
  #scanner: MarkdownScanner | undefined;

  /** Without modules code has no colours, and formulas are shown as their source. */
  constructor(root: HTMLElement, modules?: LazyModules) {
    this.#root = root;
    this.#modules = modules;
  }

  /** Show a text; `done` if it will not grow any more. */
  show(text: string, done: boolean): void {
    const grows = this.#parser && text.startsWith(this.#text);
    if (!grows && text !== this.#text) this.#restart();
    // After the end the parser is gone; the same text needs none.
    if (!this.#parser && (text !== this.#text || text === "")) this.#begin();
    this.#scanner?.write(text.slice(this.#text.length));
    this.#text = text;
    if (done) this.#end();
  }

  #begin(): void {
    const formulaAt = (index: number) => scanner.formulas[index];
    const drawing = { formulaAt, modules: this.#modules };
    const parser = new BlockParser(domRenderer(this.#root, drawing));
    const scanner = new MarkdownScanner(parser);
    this.#scanner = scanner;
    this.#parser = parser;
  }

  #end(): void {
    this.#scanner?.end();
    this.#parser?.end();
    this.#parser = undefined;
    this.#scanner = undefined;
  }

  #restart(): void {
    this.#root.replaceChildren();
    this.#text = "";
    this.#parser = undefined;
    this.#scanner = undefined;
  }
}

interface Drawing {
  /** What the scanner has written as a number. */
  formulaAt: (index: number) => Formula | undefined;
  modules: LazyModules | undefined;
}

interface Data {
  drawing: Drawing;
  /** From the root to where the next text comes. */
  nodes: HTMLElement[];
}

function domRenderer(root: HTMLElement, drawing: Drawing): BlockRenderer {
  const data: Data = { drawing, nodes: [root] };
  return {
    begin: (tag) => data.nodes.push(element(last(data), tag)),
    end: () => endElement(data),
    text: (piece) => addText(data, piece),
    attribute: (name, value) => setAttribute(last(data), name, plainText(value)),
  };
}

const last = ({ nodes }: Data) => nodes.at(-1) as HTMLElement;

/** Marks make elements too, which end with the parser's own at the latest. */
function addText(data: Data, text: string): void {
  readMarks(text, {
    text: (piece) => last(data).append(piece),
    begin: (tag) => {
      const node = within(last(data), tag);
      node.dataset.inline = "";
      data.nodes.push(node);
    },
    end: () => {
      if (isInline(data)) data.nodes.pop();
    },
  });
}

const isInline = (data: Data) => last(data).dataset.inline !== undefined;

function element(parent: HTMLElement, tag: string): HTMLElement {
  switch (tag) {
    case "pre":
      return codeBlock(parent);
    case "table":
      return within(within(parent, "div", "arn-table"), tag);
    case "tr":
      return within(part(parent), tag);
    case "td":
      return within(parent, parent.parentElement?.tagName === "THEAD" ? "th" : tag);
    case "img":
      return within(parent, "span", "arn-image");
    case "math":
      return formulaPlace(parent);
    case "input":
      return checkbox(parent);
    default:
      return within(parent, tag);
  }
}

/** The first row is the head of the table. */
function part(table: HTMLElement): HTMLElement {
  if (!table.firstChild) return within(table, "thead");
  return (table.children[1] as HTMLElement) ?? within(table, "tbody");
}

function checkbox(parent: HTMLElement): HTMLElement {
  const box = within(parent, "input") as HTMLInputElement;
  box.type = "checkbox";
  box.disabled = true;
  return box;
}

function endElement(data: Data): void {
  while (isInline(data)) data.nodes.pop();
  const node = data.nodes.pop() as HTMLElement;
  const { drawing } = data;
  if (node.matches(".arn-code code")) highlightCode(node, drawing.modules);
  if (node.matches(".arn-image")) imagePlace(node);
  if (node.matches(".arn-math code")) formula(node, drawing);
}

function setAttribute(node: HTMLElement, name: BlockAttribute, value: string): void {
  switch (name) {
    case "href":
      setLink(node, value);
      break;
    case "src":
      node.dataset.source = value;
      break;
    case "lang":
      setLanguage(node, value);
      break;
    default:
      node.setAttribute(name, value);
  }
}

function setLink(node: HTMLElement, address: string): void {
  const href = safeLink(address);
  if (href === null) return;
  node.setAttribute("href", href);
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer");
}

function codeBlock(parent: HTMLElement): HTMLElement {
  const block = within(parent, "div", "arn-code");
  const bar = within(block, "div", "arn-code-bar");
  within(bar, "span", "arn-code-language").textContent = "text";
  const code = create("code");
  bar.append(codeActions(parent, () => code.textContent ?? ""));
  const pre = within(block, "pre");
  pre.tabIndex = 0;
  return pre.appendChild(code);
}

function setLanguage(code: HTMLElement, language: string): void {
  const name = language.trim().split(/\s/)[0]?.slice(0, 20) ?? "";
  code.dataset.language = name.toLowerCase();
  const label = code.closest(".arn-code")?.querySelector(".arn-code-language");
  if (label && name) label.textContent = name;
}

/** On the end of a block: its text is complete. */
function highlightCode(code: HTMLElement, modules: LazyModules | undefined): void {
  const language = code.dataset.language ?? "";
  const isShort = (code.textContent ?? "").length <= MAX_HIGHLIGHTED;
  if (!modules || !isShort || !LANGUAGES.has(language)) return;
  modules.get("highlight").then(
    (module) => module.highlight(code, language),
    () => undefined, // without colours then
  );
}

function formulaPlace(parent: HTMLElement): HTMLElement {
  const place = within(parent, "span", "arn-math");
  place.dataset.testid = "formula";
  return within(place, "code");
}

/** The source in the place of its number, until the formula itself can be drawn. */
function formula(code: HTMLElement, { formulaAt, modules }: Drawing): void {
  const found = formulaAt(Number(code.textContent));
  const place = code.parentElement;
  if (!found || !place) return;
  const { source, display } = found;
  code.textContent = source;
  place.dataset.display = String(display);
  modules
    ?.get("maths")
    .then(
      (module) => module.drawFormula(place, source, display),
      () => undefined, // the source stays
    )
    .catch(() => {
      place.title = "This formula could not be drawn";
    });
}

function imagePlace(place: HTMLElement): void {
  const label = place.textContent?.trim() || "image";
  const source = place.dataset.source ?? "";
  delete place.dataset.source;
  place.replaceChildren(imageButton(source, label));
}

function create(tag: string, className?: string): HTMLElement {
  const node = document.createElement(tag);
  if (className) node.className = className;
  return node;
}

function within(parent: HTMLElement, tag: string, className?: string): HTMLElement {
  return parent.appendChild(create(tag, className));
}
