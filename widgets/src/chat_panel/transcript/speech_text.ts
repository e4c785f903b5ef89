/** Streaming text for people who listen: whole sentences instead of fragments. */

/** The complete sentences of `text` behind the first `from` characters. */
export function completeSentences(text: string, from: number): string {
  const rest = text.slice(from);
  const ends = [...rest.matchAll(/[.!?:。！？](?=\s)|\n+/g)];
  const last = ends.at(-1);
  return last ? rest.slice(0, last.index + last[0].length) : "";
}

/** Markdown without the marks that a voice would spell out. */
export function speakable(markdown: string): string {
  return markdown
    .replace(/```[\s\S]*?(```|$)/g, " code block ")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[*_`#>|~]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

/** With a capital at its beginning, as services do not always write. */
export function asSentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
