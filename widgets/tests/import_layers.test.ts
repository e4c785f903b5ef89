/** The check that imports go down only. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { findProblems } from "../import_layers.mjs";

const inside = (path: string, text: string) => findProblems([[path, text]]);

test("a folder imports from itself and from the layers below", () => {
  const text = `
    import { a } from "./turn.tsx";
    import {
      b,
    } from "../store/model.ts";
    import { c } from "../../shared/format.ts";
    import { d } from "preact";
  `;

  assert.deepEqual(inside("chat_panel/transcript/transcript.tsx", text), []);
});

test("an import that goes up is a problem, also one of a type or on demand", () => {
  const path = "chat_panel/store/drafts.ts";
  for (const text of [
    'import { a } from "../items/tool.tsx";',
    'import type { A } from "../items/tool.tsx";',
    'import "../items/tool.tsx";',
    'export { a } from "../items/tool.tsx";',
    'await import("../items/tool.tsx");',
  ])
    assert.deepEqual(
      inside(path, text),
      [`${path}: chat_panel/store may not import ../items/tool.tsx`],
      text,
    );
});

test("two folders of one layer do not know each other", () => {
  const problems = inside(
    "chat_panel/menu/popover.ts",
    'import { a } from "../transcript/turn.tsx";',
  );

  assert.equal(problems.length, 1);
});

test("one module alone imports the Markdown library", () => {
  const text = 'import * as smd from "streaming-markdown";';

  const own = inside("chat_panel/markdown/block_parser.ts", text);
  const other = inside("chat_panel/markdown/scanner.ts", text);

  assert.deepEqual([own.length, other.length], [0, 1]);
});

test("a folder that nobody has given a layer is a problem", () => {
  assert.deepEqual(inside("extra/a.ts", ""), [
    "extra/a.ts: import_layers.mjs does not list extra",
  ]);
});
