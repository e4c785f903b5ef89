/** The conversation as Markdown text, for the clipboard. */

import { short } from "../shared/format.ts";
import { type Conversation, type Item, retried, type Turn } from "./model.ts";

const ENDS: Partial<Record<Turn["status"], string>> = {
  cancelled: "Stopped",
  interrupted: "Interrupted",
  failed: "Failed",
};

export function toMarkdown(picture: Conversation): string {
  const again = retried(picture.turns);
  const turns = picture.turns
    .filter((turn) => !again.has(turn.id))
    .flatMap((turn) => [...turn.items.map(itemText), ending(turn)]);
  const head = `# ${picture.title} · ${picture.name ?? picture.instance_id}`;
  const note = picture.more ? "*Earlier messages are not in this copy.*" : "";
  return `${[head, note, ...turns].filter(Boolean).join("\n\n")}\n`;
}

function itemText(item: Item): string {
  switch (item.kind) {
    case "user":
      return item.text.replace(/^/gm, "> ");
    case "text":
      return item.text.trim();
    case "tool": {
      const result = item.result ? ` → \`${short(item.result, 100)}\`` : "";
      return `*Tool* \`${item.name}(${short(item.arguments, 100)})\`${result}`;
    }
    case "value":
      return `\`\`\`json\n${item.text}\n\`\`\``;
    default:
      return "";
  }
}

function ending(turn: Turn): string {
  const word = ENDS[turn.status];
  if (!word) return "";
  return turn.error ? `*${word}: ${turn.error.message}*` : `*${word}*`;
}
