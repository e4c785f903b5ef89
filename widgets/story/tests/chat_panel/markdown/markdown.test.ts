/** Markdown that streams into the page: what is shown stays, and is what was written. */

import { afterEach, expect, test } from "vitest";
import { MarkdownRenderer } from "../../../../src/chat_panel/markdown/markdown_renderer.ts";

const TEXT = [
  "use my_var and some_col_name, price 2*3 is 6, a lone _word and **a *b* c**",
  "",
  "- `code_a` and *it*, [a_b](https://x.org/c_d)",
  "- https://x.org/e_f, ~~s~~ and \\*plain\\*",
  "",
  "| a_b | *c* |",
  "|---|---|",
  "| $5 | $x_1$ |",
  "",
  "```py",
  "x_1 = *y*",
  "```",
  "an ` alone, costs $5 and $6",
].join("\n");

afterEach(() => document.body.replaceChildren());

function root(): HTMLElement {
  return document.body.appendChild(document.createElement("div"));
}

function streamed(text: string, size: number): HTMLElement {
  const place = root();
  const growing = new MarkdownRenderer(place);
  for (let end = size; end < text.length; end += size)
    growing.show(text.slice(0, end), false);
  growing.show(text, true);
  place.normalize();
  return place;
}

const texts = (place: HTMLElement, selector: string) =>
  Array.from(place.querySelectorAll(selector), (node) => node.textContent);

test("only what is marked is emphasised, code, a link or a formula", () => {
  const place = streamed(TEXT, TEXT.length);

  expect(place.querySelector("p")?.textContent).toBe(
    "use my_var and some_col_name, price 2*3 is 6, a lone _word and a b c",
  );
  expect(texts(place, "em")).toEqual(["b", "it", "c"]);
  expect(texts(place, "strong")).toEqual(["a b c"]);
  expect(texts(place, "s")).toEqual(["s"]);
  expect(texts(place, "li > code")).toEqual(["code_a"]);
  expect(texts(place, "pre code")).toEqual(["x_1 = *y*"]);
  expect(texts(place, ".arn-math")).toEqual(["x_1"]);
  expect(texts(place, "p:last-child")).toEqual(["an ` alone, costs $5 and $6"]);
  const addresses = Array.from(place.querySelectorAll("a"), (link) => link.href);
  expect(addresses).toEqual(["https://x.org/c_d", "https://x.org/e_f"]);
});

test("the nodes are the same however the text is cut", () => {
  const whole = streamed(TEXT, TEXT.length).innerHTML;

  for (const size of [1, 2, 3, 7, 50])
    expect(streamed(TEXT, size).innerHTML).toBe(whole);
});

test("nodes that are shown are never replaced", () => {
  const place = root();
  const growing = new MarkdownRenderer(place);
  const removed: Node[] = [];
  const observer = new MutationObserver(() => undefined);
  observer.observe(place, { childList: true, subtree: true, characterData: true });

  for (let end = 1; end <= TEXT.length; end++) {
    growing.show(TEXT.slice(0, end), false);
    for (const record of observer.takeRecords()) {
      const isLabel = (record.target as Element).closest?.(".arn-math, .arn-code-bar");
      if (!isLabel) removed.push(...record.removedNodes);
      expect(record.type).toBe("childList");
    }
  }
  observer.disconnect();

  expect(removed).toEqual([]);
});

test("an address that was written with escapes leads nowhere else", () => {
  const text =
    "[a](java\\script:alert(1)) [b](<javascript:x>) [c](javascript\\:alert\\(1\\))";

  const place = streamed(text, 1);

  expect(place.querySelectorAll("a").length).toBe(3);
  expect(place.querySelectorAll("a[href]").length).toBe(0);
});
