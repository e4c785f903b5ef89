/** What one reads before approving stands in the order in which it is sent. */

import { h, render } from "preact";
import { afterEach, expect, test } from "vitest";
import { ExactText } from "../../../../src/chat_panel/items/exact_text.tsx";

afterEach(() => document.body.replaceChildren());

/** How far each character of the text in a node stands from the left. */
function places(node: Node): number[] {
  const text = node.textContent ?? "";
  return Array.from(text, (_, index) => {
    const range = document.createRange();
    range.setStart(node, index);
    range.setEnd(node, index + 1);
    return range.getBoundingClientRect().left;
  });
}

test("letters from right to left do not change the order of a line", () => {
  const line = document.createElement("pre");
  line.dir = "ltr";
  document.body.append(line);

  render(h(ExactText, { text: "cp \u05d0\u05d1 1 2 \u05d2\u05d3 /to" }), line);

  const text = line.querySelector("bdo")?.firstChild as Text;
  const found = places(text);
  expect(found).toHaveLength(16);
  expect(found).toEqual(found.toSorted((one, other) => one - other));
});
