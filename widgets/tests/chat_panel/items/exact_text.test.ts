import assert from "node:assert/strict";
import { test } from "node:test";
import { splitHidden } from "../../../src/chat_panel/items/hidden_characters.ts";
import { jsonSummary, prettyJson } from "../../../src/chat_panel/items/json_text.ts";

test("what one does not see is named, and what one sees stays", () => {
  assert.deepEqual(splitHidden("rm a\u202etxt"), [
    { text: "rm a" },
    { mark: "U+202E right-to-left override" },
    { text: "txt" },
  ]);
  assert.deepEqual(splitHidden("a b\tc\nñ漢👍"), [{ text: "a b\tc\nñ漢👍" }]);
});

test("no control, format character, filler or odd space passes as text", () => {
  const hidden = "\u0000\r\u001b\u007f\u0085\u00a0\u00ad\u034f\u061c\u115f\u180e\u200b";
  const more = "\u200d\u2028\u2066\u2800\u3000\u3164\ufe0f\ufeff\u{e0041}\ue000\ud800";

  const parts = splitHidden(hidden + more);

  assert.equal(parts.length, [...hidden, ...more].length);
  assert.ok(parts.every((part) => "mark" in part));
});

test("JSON is laid out by white space alone", () => {
  const text = '{"a": 1.0, "a" :[ ], "b":[1e400,{"c":"x\\u202e, {y\\"}"}],"d":{}}';

  const laidOut = prettyJson(text);

  const bare = (json: string) => json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, "$1");
  assert.equal(bare(laidOut), bare(text));
  assert.match(laidOut, /^\{\n {2}"a": 1\.0,\n {2}"a": \[ ?\],\n/);
});

test("what is no JSON stays to the letter", () => {
  for (const text of ['{"a": 1', "rm -rf  /", "", '{"a":1} {"b":2}']) {
    assert.equal(prettyJson(text), text);
  }
});

test("arguments are one line, also while they stream in", () => {
  assert.equal(jsonSummary('{"city":"Oslo","max":120}'), "city: Oslo, max: 120");
  assert.equal(jsonSummary('{"city":"Os'), '{"city":"Os');
});
