/**
 * Markdown that grows: nodes are added and never replaced while text streams in, so a
 * selection survives and nothing flickers. No HTML of the text is ever interpreted;
 * links are allow-listed and images wait for a click.
 */

import * as smd from "streaming-markdown";
import type { LazyModules } from "../shared/lazy_modules.ts";
import { codeActions } from "./code_actions.ts";
import { FormulaScanner } from "./formulas.ts";
import { imageButton } from "./images.ts";
import { safeLink } from "./safety.ts";

const MAX_HIGHLIGHTED = 50_000;
/** The names of languages that the highlighter knows. */
const LANGUAGES = new Set(
  `bash sh zsh javascript js jsx mjs cjs json jsonc json5 python py gyp ipython sql
  typescript ts tsx mts cts xml html xhtml rss svg yaml yml`.split(/\s+/),
);

/** Renders a text that only grows into an element of its own. */
export class GrowingMarkdown {
  #root: HTMLElement;
  #modules: LazyModules | undefined;
  #text = "";
  #parser: smd.Parser | undefined;
  #scanner: FormulaScanner | undefined;

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
    const scanner: FormulaScanner = new FormulaScanner({
      write: (text) => smd.parser_write(parser, text),
      isLiteral: () => isLiteral(parser),
    });
    const drawing = { scanner, modules: this.#modules };
    const parser = smd.parser(renderer(this.#root, drawing));
    this.#scanner = scanner;
    this.#parser = parser;
  }

  #end(): void {
    this.#scanner?.end();
    if (this.#parser) smd.parser_end(this.#parser);
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

/** Whether what comes next is code or an address, where no formula begins. */
function isLiteral({ token, pending, indent_len, spaces, len }: smd.Parser): boolean {
  switch (token) {
    case smd.CODE_BLOCK:
    case smd.CODE_FENCE:
    case smd.CODE_INLINE:
    case smd.IMAGE:
    case smd.RAW_URL:
    case smd.MAYBE_URL:
      return true;
    case smd.LINK:
      return pending.startsWith("](");
    case smd.NEWLINE: {
      const own = spaces.slice(0, len + 1).reduce((sum, width) => sum + width, 0);
      return indent_len - own >= 4;
    }
    default:
      return pending.startsWith("`");
  }
}

interface Drawing {
  scanner: FormulaScanner;
  modules: LazyModules | undefined;
}

type Data = smd.Default_Renderer_Data;

function renderer(root: HTMLElement, drawing: Drawing): smd.Default_Renderer {
  const base = smd.default_renderer(root);
  const end_token = (data: Data) => endToken(data, drawing);
  return { ...base, add_token: addToken, end_token, set_attr: setAttribute };
}

function addToken(data: Data, type: smd.Token): void {
  const parent = data.nodes[data.index] as HTMLElement;
  switch (type) {
    case smd.CODE_BLOCK:
    case smd.CODE_FENCE:
      push(data, codeBlock(parent));
      break;
    case smd.TABLE:
      push(data, within(parent, "div", "arn-table").appendChild(create("table")));
      break;
    case smd.IMAGE:
      push(data, parent.appendChild(create("span", "arn-image")));
      break;
    case smd.EQUATION_BLOCK:
    case smd.EQUATION_INLINE:
      push(data, formulaPlace(parent));
      break;
    default:
      smd.default_add_token(data, type);
  }
}

function endToken(data: Data, drawing: Drawing): void {
  const node = data.nodes[data.index] as HTMLElement;
  if (node.matches(".arn-code code")) highlight(node, drawing.modules);
  if (node.matches(".arn-image")) imagePlace(node);
  if (node.matches(".arn-math code")) formula(node, drawing);
  smd.default_end_token(data);
}

function setAttribute(data: Data, type: smd.Attr, value: string): void {
  const node = data.nodes[data.index] as HTMLElement;
  switch (type) {
    case smd.HREF:
      setLink(node, value);
      break;
    case smd.SRC:
      node.dataset.source = value;
      break;
    case smd.LANG:
      setLanguage(node, value);
      break;
    case smd.CHECKED:
    case smd.START:
      smd.default_set_attr(data, type, value);
      break;
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
function highlight(code: HTMLElement, modules: LazyModules | undefined): void {
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
function formula(code: HTMLElement, { scanner, modules }: Drawing): void {
  const found = scanner.formulas[Number(code.textContent)];
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

function push(data: Data, node: HTMLElement): void {
  data.nodes[++data.index] = node;
}

function create(tag: string, className?: string): HTMLElement {
  const node = document.createElement(tag);
  if (className) node.className = className;
  return node;
}

function within(parent: HTMLElement, tag: string, className?: string): HTMLElement {
  return parent.appendChild(create(tag, className));
}
