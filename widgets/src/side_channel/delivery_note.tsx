import type { ChatStore } from "../chat_panel/store/chat_store.ts";

/** Why what was pressed has not arrived yet, and what can be done; one that is known. */
export function PressReason({ ids, store }: { ids: string[]; store: ChatStore }) {
  const presses = store.road.presses.value;
  const reason = ids.map((id) => presses.get(id)?.reason).find(Boolean);
  if (!reason) return null;
  return (
    <p class="arn-warning" role="status" data-testid="press-reason">
      {reason}
    </p>
  );
}
