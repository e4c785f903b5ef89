/**
 * Markdown that grows: nodes are added and never replaced while text streams in, so a
 * selection survives and nothing flickers. No HTML of the text is ever interpreted;
 * links are allow-listed and images wait for a click.
 */

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import sql from "highlight.js/lib/languages/sql";
import yaml from "highlight.js/lib/languages/yaml";
import * as smd from "streaming-markdown";
import { copyButton } from "./copy.ts";
import { safeImage, safeLink } from "./safety.ts";

for (const [name, grammar] of Object.entries({
  bash,
  javascript,
  json,
  python,
  sql,
  yaml,
})) {
  hljs.registerLanguage(name, grammar);
}

const MAX_HIGHLIGHTED = 50_000;

/** Renders a text that only grows into an element of its own. */
export class GrowingMarkdown {
  #root: HTMLElement;
  #text = "";
  #parser: smd.Parser | undefined;

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** Show a text; `done` if it will not grow any more. */
  show(text: string, done: boolean): void {
    const grows = this.#parser && text.startsWith(this.#text);
    if (!grows && text !== this.#text) this.#restart();
    this.#parser ??= this.#begin(text);
    if (this.#parser && text.length > this.#text.length) {
      smd.parser_write(this.#parser, text.slice(this.#text.length));
    }
    this.#text = text;
    if (done && this.#parser) {
      smd.parser_end(this.#parser);
      this.#parser = undefined;
    }
  }

  #begin(text: string): smd.Parser | undefined {
    // After the end the parser is gone; the same text needs none.
    return text === this.#text && text !== ""
      ? undefined
      : smd.parser(renderer(this.#root));
  }

  #restart(): void {
    this.#root.replaceChildren();
    this.#text = "";
    this.#parser = undefined;
  }
}

type Data = smd.Default_Renderer_Data;

function renderer(root: HTMLElement): smd.Default_Renderer {
  const base = smd.default_renderer(root);
  return { ...base, add_token: addToken, end_token: endToken, set_attr: setAttribute };
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
      push(data, parent.appendChild(create("code", "arn-math")));
      break;
    default:
      smd.default_add_token(data, type);
  }
}

function endToken(data: Data): void {
  const node = data.nodes[data.index] as HTMLElement;
  if (node.matches(".arn-code code")) highlight(node);
  if (node.matches(".arn-image")) imageButton(node);
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
  bar.append(copyButton("Copy code", () => code.textContent ?? ""));
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

/** On the end of a block: the text is complete, and the highlighter escapes it. */
function highlight(code: HTMLElement): void {
  const language = code.dataset.language ?? "";
  const text = code.textContent ?? "";
  if (!hljs.getLanguage(language) || text.length > MAX_HIGHLIGHTED) return;
  code.innerHTML = hljs.highlight(text, { language, ignoreIllegals: true }).value;
}

/** A place holder that loads the image when it is clicked. */
function imageButton(place: HTMLElement): void {
  const label = place.textContent?.trim() || "image";
  const source = safeImage(place.dataset.source ?? "");
  delete place.dataset.source;
  place.replaceChildren();
  if (source === null) {
    place.textContent = `[${label}]`;
    return;
  }
  const button = create("button", "arn-image-button") as HTMLButtonElement;
  button.type = "button";
  const host = source.startsWith("data:") ? "" : ` from ${new URL(source).host}`;
  button.textContent = `Show image${host}: ${label}`;
  button.addEventListener("click", () => {
    const image = create("img") as HTMLImageElement;
    image.alt = label;
    image.referrerPolicy = "no-referrer";
    image.src = source;
    place.replaceChildren(image);
  });
  place.append(button);
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
