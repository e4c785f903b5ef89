import assert from "node:assert/strict";
import { test } from "node:test";
import { html } from "./markdown_html.ts";
import { SAMPLES } from "./markdown_samples.ts";

/** No beginnings of tables: their lines are the parser's, and need to be whole. */
const TOKENS = [
  ..."* ** _ __ *** ~~ ` `` a foo . ( ) é word _x x_y 2*3 ] - h 😀 强 , < ~ $ $$".split(
    " ",
  ),
  ...'\\* \\_ \\` \\( \\) \\[ \\] [ ! " # http://x.org/a_b https:/ <http://c_d>'.split(
    " ",
  ),
  ...[
    " ",
    " ",
    " ",
    "\n",
    "\n\n",
    "\n- ",
    "\n* ",
    "\n> ",
    "\n# ",
    "\n\n| a | b_c |\n|---|---|\n| *d |\n\n",
    "\n    ",
    "\n```\n",
  ],
  ..."](u_v) [l](u_w) ![i](z_z)".split(" "),
];

/** The same numbers every time, from 0 to 1. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomText(next: () => number, length: number): string {
  const tokens = Array.from(
    { length },
    () => TOKENS[Math.floor(next() * TOKENS.length)],
  );
  return tokens.join("");
}

/** Cut between characters, never inside of one. */
function cut(text: string, next: () => number): string[] {
  const pieces = [""];
  for (const character of text) {
    if (next() < 0.3) pieces.push("");
    pieces[pieces.length - 1] += character;
  }
  return pieces;
}

const words = (text: string) => text.match(/[\p{L}\p{N}]+/gu)?.join("") ?? "";

test("markdown is read as CommonMark says, however the text is cut", () => {
  const next = numbers(1);

  for (const [text, expected] of SAMPLES) {
    assert.equal(html([text]), expected, text);
    assert.equal(html(Array.from(text)), expected, text);
    for (let round = 0; round < 5; round++)
      assert.equal(html(cut(text, next)), expected, text);
  }
});

test("any text is read the same however it is cut", () => {
  const next = numbers(2);

  for (let round = 0; round < 6_000; round++) {
    const text = randomText(next, 3 + Math.floor(next() * 30));
    const whole = html([text]);
    assert.equal(html(Array.from(text)), whole, text);
    assert.equal(html(cut(text, next)), whole, text);
  }
});

test("long texts full of what does not close are read the same however they are cut", () => {
  const next = numbers(3);

  for (let round = 0; round < 40; round++) {
    const text = randomText(next, 600).replaceAll("\n", " ");
    const whole = html([text]);
    assert.equal(html(cut(text, next)), whole, text);
  }
});

test("no word of a text is lost", () => {
  const next = numbers(4);
  const isPlain = (token: string) => !/[\]|`#<]|^\n|:\/|^\$|^\\[([]/.test(token);
  const plain = TOKENS.filter(isPlain);

  for (let round = 0; round < 6_000; round++) {
    const text = Array.from(
      { length: 20 },
      () => plain[Math.floor(next() * plain.length)],
    );
    const shown = html([text.join("")]).replace(/<\/?[a-z]+>/g, "");
    assert.equal(words(shown), words(text.join("")), text.join(""));
  }
});

test("brackets that are no link stay", () => {
  const shown = html(["a[0] = b[i_j], [[1, 2], [3]] and df['x'] [y"]);

  assert.equal(shown, "<p>a[0] = b[i_j], [[1, 2], [3]] and df['x'] [y</p>");
});

test("what is never closed is shown before its block ends", () => {
  const long = "word ".repeat(200);

  assert.equal(html([`*${long}*b*`]), `<p>*${long}<em>b</em></p>`);
  assert.equal(html([`\`${long}_b_`]), `<p>\`${long}<em>b</em></p>`);
});

test("an image may hold more data than any text is waited for", () => {
  const data = `data:image/png;base64,${"A/b+".repeat(10_000)}`;

  assert.equal(
    html([`x ![a_b](${data}) y`]),
    `<p>x <img src="${data}">a_b</img> y</p>`,
  );
});

test("characters of a text never become marks", () => {
  const hostile = Array.from({ length: 32 }, (_, at) =>
    String.fromCharCode(0xfdd0 + at),
  );

  const shown = html(["a ", ...hostile, " `", ...hostile, "`"]);

  const harmless = "\ufffd".repeat(32);
  assert.equal(shown, `<p>a ${harmless} <code>${harmless}</code></p>`);
});

/** Milliseconds of this process alone: what else the machine does is not counted. */
function work(pieces: Iterable<string>): number {
  const tries = [1, 2, 3].map(() => {
    const before = process.cpuUsage();
    html(pieces);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  });
  return Math.min(...tries);
}

test("more text full of openers is more work, but not more for each character", () => {
  const openers = [
    "*a ",
    "_a ",
    "**a",
    "[",
    "[a ",
    "[](",
    "` `` ",
    "\\(",
    "$ ",
    "$a ",
    "<",
  ];
  const texts = openers.map((opener) => (times: number) => [opener.repeat(times)]);
  const pieces = (times: number) => Array.from("*a [b `c ".repeat(times / 20));

  for (const text of [...texts, pieces]) {
    const [few, many] = [text(1_000), text(8_000)];
    html(many); // so that it is compiled
    const ratio = work(many) / Math.max(work(few), 1);

    // Eight times the text; what grows with the square of it takes 64 times as long.
    assert.ok(ratio < 24, `${few.join("").slice(0, 6)}: ${ratio} times as long`);
  }
});
