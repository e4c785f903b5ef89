/** What is known of an item of a turn where it is drawn. */

import type { ReadonlySignal } from "@preact/signals";
import type { Delivery } from "../../side_channel/side_channel.ts";
import type { Decision, Item } from "../store/model.ts";

export interface ItemProps {
  item: Item;
  /** Whether text may still be appended to it. */
  grows: boolean;
  /** Whether its turn goes on. */
  open: boolean;
  /** Whether nobody is there who could do something. */
  dead: boolean;
  /** The kernel's clock in POSIX seconds. */
  clock?: ReadonlySignal<number> | undefined;
  /** An answer that is on its way. */
  delivery?: Delivery | undefined;
  /** There while the item's question can be answered. */
  onAnswer?: ((id: string, decision: Decision, reason?: string) => void) | undefined;
}
