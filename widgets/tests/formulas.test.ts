import assert from "node:assert/strict";
import { test } from "node:test";
import { FormulaScanner } from "../src/chat_panel/formulas.ts";

function scan(text: string, size = text.length, isLiteral = () => false) {
  let written = "";
  const write = (part: string) => {
    written += part;
  };
  const scanner = new FormulaScanner({ write, isLiteral });
  for (let at = 0; at < text.length; at += size)
    scanner.write(text.slice(at, at + size));
  scanner.end();
  return { written, formulas: scanner.formulas };
}

test("formulas are found however the text is cut", () => {
  const text = "so $$a_b*c*$$ and \\(x \\\\[2pt] y\\) and \\[\nz % q\n\\] end";

  for (const size of [1, 3, text.length]) {
    const { written, formulas } = scan(text, size);

    assert.equal(written, "so \\(0\\) and \\(1\\) and \\(2\\) end");
    assert.deepEqual(formulas, [
      { source: "a_b*c*", display: true },
      { source: "x \\\\[2pt] y", display: false },
      { source: "z % q", display: true },
    ]);
  }
});

test("a single dollar is money", () => {
  const { written, formulas } = scan("$5 and $HOME or \\$9", 1);

  assert.equal(written, "\\$5 and \\$HOME or \\$9");
  assert.deepEqual(formulas, []);
});

test("what does not close is text, and what follows is read as ever", () => {
  for (const [text, written] of [
    ["a $$ b", "a \\$\\$ b"],
    ["a \\( b", "a \\\\( b"],
    ["$$x\n\ny$$ z", "\\$\\$x\n\ny\\$\\$ z"],
    ["\\( a \\(b\\)", "\\\\( a \\(0\\)"],
    ["$$$$", "\\$\\$\\$\\$"],
    ["end $", "end \\$"],
    ["end \\", "end \\"],
  ] as const) {
    for (const size of [1, 100]) assert.equal(scan(text, size).written, written, text);
  }
});

test("code and addresses have no formulas", () => {
  const { written, formulas } = scan("$$a$$ \\(b\\)", 1, () => true);

  assert.equal(written, "$$a$$ \\(b\\)");
  assert.deepEqual(formulas, []);
});

test("text full of openers is read in time", () => {
  const before = performance.now();

  scan("\\(".repeat(25_000));
  scan(`\\( ${"$ ".repeat(25_000)}`);

  assert.ok(performance.now() - before < 2_000);
});
