/** What is being written, kept over a reload of the page. */

const KEY = "agent-runtime-nb:draft:";

export function keptDraft(conversation: string): string {
  try {
    return sessionStorage.getItem(KEY + conversation) ?? "";
  } catch {
    return "";
  }
}

/** Storage may be forbidden in a frame; the draft then lives as long as the page. */
export function keepDraft(conversation: string, text: string): void {
  try {
    if (text) sessionStorage.setItem(KEY + conversation, text);
    else sessionStorage.removeItem(KEY + conversation);
  } catch {}
}
