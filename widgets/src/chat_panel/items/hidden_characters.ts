/**
 * Characters that one does not see, or not as what they are, made visible by name.
 *
 * A person who approves a call reads its arguments: what turns the reading direction,
 * has no width, or looks like an ordinary space must not hide from them.
 */

/** Of those that are met most; the others go by their numbers. */
const NAMES: Record<number, string> = {
  160: "no-break space",
  173: "soft hyphen",
  8203: "zero width space",
  8204: "zero width non-joiner",
  8205: "zero width joiner",
  8206: "left-to-right mark",
  8207: "right-to-left mark",
  8234: "left-to-right embedding",
  8235: "right-to-left embedding",
  8237: "left-to-right override",
  8238: "right-to-left override",
  8239: "narrow no-break space",
  8288: "word joiner",
  8294: "left-to-right isolate",
  8295: "right-to-left isolate",
  65279: "byte order mark",
};

// Controls but for tab and line feed, format characters, lone surrogates, private use,
// unassigned, all spaces but the ordinary, fillers, and variation selectors.
const HIDDEN =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: code points, one by one
  /[\p{C}\p{Z}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu;
const ORDINARY = new Set(["\t", "\n", " "]);

export type TextPart = { text: string } | { mark: string };

/** The text in order: what can be read as it is, and the names of what cannot. */
export function splitHidden(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let shown = 0;
  for (const { 0: character, index } of text.matchAll(HIDDEN)) {
    if (ORDINARY.has(character)) continue;
    if (index > shown) parts.push({ text: text.slice(shown, index) });
    parts.push({ mark: nameOf(character) });
    shown = index + character.length;
  }
  if (shown < text.length) parts.push({ text: text.slice(shown) });
  return parts;
}

function nameOf(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  const code = `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
  const name = NAMES[point];
  return name ? `${code} ${name}` : code;
}
