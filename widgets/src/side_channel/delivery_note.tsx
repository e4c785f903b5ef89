import type { ReadonlySignal } from "@preact/signals";
import type { Delivery } from "./side_channel.ts";

interface DeliveryNoteProps {
  ids: string[];
  deliveries: ReadonlySignal<ReadonlyMap<string, Delivery>>;
}

/** Why what was pressed has not arrived yet, and what can be done; one that is known. */
export function DeliveryNote({ ids, deliveries }: DeliveryNoteProps) {
  const reason = ids.map((id) => deliveries.value.get(id)?.reason).find(Boolean);
  if (!reason) return null;
  return (
    <p class="arn-warning" role="status" data-testid="delivery-note">
      {reason}
    </p>
  );
}
