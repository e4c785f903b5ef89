import { duration } from "../../shared/format.ts";
import { Icon } from "../../shared/icons.tsx";
import type { ReasoningItem } from "../store/model.ts";

/** What the model thought, folded away. */
export function Reasoning({ item, grows }: { item: ReasoningItem; grows: boolean }) {
  const took =
    typeof item.duration === "number" ? ` for ${duration(item.duration)}` : "";
  return (
    <details class="arn-reasoning" data-testid="reasoning">
      <summary>
        <Icon name="chevron" size={14} />
        <span>{grows ? "Thinking…" : `Thought${took}`}</span>
      </summary>
      <div class="arn-reasoning-text">{item.text}</div>
    </details>
  );
}
