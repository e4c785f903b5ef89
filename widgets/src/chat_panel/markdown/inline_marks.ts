/**
 * Inline Markdown that is decided, as characters that mean nothing to a parser.
 *
 * Unicode sets U+FDD0 to U+FDEF aside for use inside a program. Here the first eight are
 * the begin and the end of an element, and the others are characters as themselves.
 */

const TAGS = ["em", "strong", "s", "code"] as const;
/** All that a parser of blocks and links could take for its own. */
const PLAIN = "\\`*_~$[]()<>!|#+-.h ";

const ANY = /[\ufdd0-\ufdef]/g;
const CHARACTER = /[\ufdd8-\ufdef]/g;
const ELEMENT = /([\ufdd0-\ufdd7])/;
const BEGINS = 0xfdd0;
const ENDS = 0xfdd4;
const CHARACTERS = 0xfdd8;

export type Tag = (typeof TAGS)[number];

export const beginMark = (tag: Tag) => String.fromCharCode(BEGINS + TAGS.indexOf(tag));
export const endMark = (tag: Tag) => String.fromCharCode(ENDS + TAGS.indexOf(tag));

/** Shown as nothing; keeps what stands before it from what follows. */
export const SEPARATOR = "\ufdef";

/** The text as itself, whatever it would mean in Markdown. */
export function literal(text: string): string {
  return text.replace(/[ -~]/g, (character) => {
    const index = PLAIN.indexOf(character);
    return index < 0 ? character : String.fromCharCode(CHARACTERS + index);
  });
}

/** A text from outside, in which no mark stands. */
export function stripMarks(text: string): string {
  return text.replace(ANY, "\ufffd");
}

/** What was written with `literal`. */
export function plainText(text: string): string {
  return text.replace(CHARACTER, (mark) =>
    PLAIN.charAt(mark.charCodeAt(0) - CHARACTERS),
  );
}

interface Reader {
  text(text: string): void;
  begin(tag: Tag): void;
  end(): void;
}

/** Tells a text with marks piece by piece. */
export function readMarks(text: string, reader: Reader): void {
  for (const piece of plainText(text).split(ELEMENT)) {
    const tag = TAGS[piece.charCodeAt(0) - BEGINS];
    if (tag) reader.begin(tag);
    else if (ELEMENT.test(piece)) reader.end();
    else if (piece) reader.text(piece);
  }
}
