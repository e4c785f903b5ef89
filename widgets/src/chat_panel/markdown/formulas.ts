/**
 * Formulas in Markdown: `$$…$$`, `\[…\]`, `\(…\)` and, within a line, `$…$`.
 *
 * A single dollar begins a formula if a letter, a digit, a backslash or a dollar does
 * not stand before it and a space not after it; the next dollar ends it if no space
 * stands before that and no digit after. All other single dollars are money.
 */

/** No more characters than this are waited for. */
export const LONGEST_FORMULA = 4_000;
const CLOSERS: Record<string, string> = { $$: "$$", "\\(": "\\)", "\\[": "\\]" };

const BLANK_LINE = /\n[ \t]*\n/;
const BLANK_LINE_OR_OPENER = /\n[ \t]*\n|(?<!\\)\\[([]/;
const IN_LINE = /\$((?:[^$`\\\n]|\\[^\n]){1,200})\$/y;
/** Of one that may still come to its end. */
const IN_LINE_SO_FAR = /\$(?:[^$`\\\n]|\\[^\n]){0,200}\\?$/y;
const NO_OPENER = /[\p{L}\p{N}\\$]$/u;

export interface Formula {
  source: string;
  /** On a line of its own. */
  display: boolean;
}

export interface FoundFormula extends Formula {
  /** How many characters of Markdown it takes. */
  length: number;
}

/** The beginning of a text that streams in. */
export interface Excerpt {
  text: string;
  /** No more text is waited for. */
  isComplete: boolean;
  /** Because the excerpt has grown long, not because it has ended. */
  isCut: boolean;
}

/** What begins a formula that may span lines, if something at that place does. */
export function formulaOpener(text: string, at: number): string | undefined {
  const opener = text.slice(at, at + 2);
  return opener in CLOSERS ? opener : undefined;
}

/** The formula that begins there, with a dollar or a backslash; undefined if none does, "more" if that is not known. */
export function formulaAt(
  { text, isComplete }: Excerpt,
  at: number,
  before: string,
): FoundFormula | "more" | undefined {
  if (at + 1 === text.length && !isComplete) return "more";
  const opener = formulaOpener(text, at);
  if (!opener)
    return text[at] === "$" ? inLine(text, at, before, isComplete) : undefined;
  const rest = text.slice(at + 2);
  const obstacle = rest.search(opener === "$$" ? BLANK_LINE : BLANK_LINE_OR_OPENER);
  const possible = obstacle < 0 ? rest : rest.slice(0, obstacle);
  const closer = CLOSERS[opener] ?? "";
  const end = possible.indexOf(closer);
  if (end < 0 && obstacle < 0 && !isComplete) return "more";
  const source = possible.slice(0, Math.max(0, end)).trim();
  const display = opener !== "\\(";
  return source ? { source, display, length: 2 + end + closer.length } : undefined;
}

function inLine(text: string, at: number, before: string, isComplete: boolean) {
  if (NO_OPENER.test(before) || /^\s/.test(text.slice(at + 1))) return undefined;
  IN_LINE.lastIndex = IN_LINE_SO_FAR.lastIndex = at;
  const [found = "", source = ""] = IN_LINE.exec(text) ?? [];
  if (!found) {
    return !isComplete && IN_LINE_SO_FAR.test(text) ? "more" : undefined;
  }
  const after = text.charAt(at + found.length);
  if (!after && !isComplete) return "more";
  if (/\s$/.test(source) || /\d/.test(after)) return undefined;
  return { source, display: false, length: found.length };
}
