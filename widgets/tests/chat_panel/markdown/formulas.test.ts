import assert from "node:assert/strict";
import { test } from "node:test";
import { MarkdownScanner } from "../../../src/chat_panel/markdown/scanner.ts";
import { html } from "./markdown_html.ts";

const shown = (text: string, size = text.length) => {
  const pieces = [];
  for (let at = 0; at < text.length; at += size) pieces.push(text.slice(at, at + size));
  return html(pieces).replace(/^<p>|<\/p>$/g, "");
};

test("formulas are found however the text is cut", () => {
  const text = "so $$a_b*c*$$, $d_e$ and \\(x \\\\[2pt] y\\) and \\[\nz % q\n\\] end";

  for (const size of [1, 3, text.length])
    assert.equal(
      shown(text, size),
      "so <math>display a_b*c*</math>, <math>d_e</math> and <math>x \\\\[2pt] y</math>" +
        " and <math>display z % q</math> end",
    );
});

test("a single dollar that no formula can begin or end with is money", () => {
  const texts = [
    "costs $5 and $6",
    "$HOME and $PATH",
    "US$ 5 and US$6 or 7$ and 8$",
    "from $10-$20",
    "a $x = $y",
    "$5",
    "$a\nb$",
    `$${"a".repeat(201)}$`,
    "set $A to `$B` now",
    "a$b$",
  ];

  for (const text of texts)
    for (const size of [1, 3, text.length]) {
      const expected = text.replace("`$B`", "<code>$B</code>").replace("\n", "<br>");
      assert.equal(shown(text, size), expected, text);
    }
});

test("single dollars enclose a formula within a line", () => {
  for (const [text, expected] of [
    ["$x$", "<math>x</math>"],
    ["($a_1 + b_1$), *c*", "(<math>a_1 + b_1</math>), <em>c</em>"],
    ["costs $5, with $n$ of them", "costs $5, with <math>n</math> of them"],
    ["$\\$5 \\cdot x$", "<math>\\$5 \\cdot x</math>"],
    [
      "**$a$** [$b$](u)",
      '<strong><math>a</math></strong> <a href="u"><math>b</math></a>',
    ],
    ["\\$a$ b$", "$a$ b$"],
  ] as const)
    for (const size of [1, 3, text.length])
      assert.equal(shown(text, size), expected, text);
});

test("what does not close is text, and what follows is read as ever", () => {
  for (const [text, expected] of [
    ["a $$ b", "a $$ b"],
    ["a \\( b", "a \\( b"],
    ["$$x\n\ny$$ z", "$$x</p><p>y$$ z"],
    ["\\( a \\(b\\)", "\\( a <math>b</math>"],
    ["$$$$", "$$$$"],
    ["end $", "end $"],
    ["end \\", "end \\"],
  ] as const)
    for (const size of [1, 100]) assert.equal(shown(text, size), expected, text);
});

test("code has no formulas", () => {
  const written: string[] = [];
  const scanner = new MarkdownScanner({
    write: (text) => written.push(text),
    nextPosition: () => ({
      kind: "paragraph",
      isCode: true,
      isLineStart: false,
      isItemStart: false,
      isQuoted: false,
    }),
  });

  scanner.write("$$a$$ \\(b\\) $c$ *d*");
  scanner.end();

  assert.equal(written.join(""), "$$a$$ \\(b\\) $c$ *d*");
  assert.deepEqual(scanner.formulas, []);
});
