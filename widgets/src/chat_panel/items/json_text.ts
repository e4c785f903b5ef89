/** JSON as people read it. */

import { short } from "../../shared/format.ts";

const INDENT = "  ";

/**
 * A JSON text with other white space and nothing else changed: repeated keys, the way a
 * number is written and escapes stay as they came. What is no JSON stays as it is.
 */
export function prettyJson(text: string): string {
  if (!isJson(text)) return text;
  let depth = 0;
  const line = () => `\n${INDENT.repeat(depth)}`;
  // Strings, empty brackets, single marks, and numbers or words.
  const tokens =
    text.match(/"(?:[^"\\]|\\.)*"|\{\s*\}|\[\s*\]|[{}[\]:,]|[^\s{}[\]:,"]+/g) ?? [];
  return tokens
    .map((token) => {
      switch (token) {
        case "{":
        case "[":
          depth += 1;
          return token + line();
        case "}":
        case "]":
          depth -= 1;
          return line() + token;
        case ",":
          return token + line();
        case ":":
          return `${token} `;
        default:
          return token.startsWith('"') ? token : token.replace(/\s/g, "");
      }
    })
    .join("");
}

/** The arguments of a call in one line; those that still stream in, as they are. */
export function jsonSummary(text: string): string {
  const value = isJson(text) ? (JSON.parse(text) as unknown) : null;
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return short(text, 120);
  }
  const parts = Object.entries(value).map(
    ([key, part]) =>
      `${key}: ${typeof part === "string" ? part : JSON.stringify(part)}`,
  );
  return short(parts.join(", "), 120);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
