import type { ReadonlySignal } from "@preact/signals";
import type { Press } from "../shared/second_road.ts";
import { Approval } from "./items/approval.tsx";
import { Markdown } from "./items/markdown_text.tsx";
import { Media, User } from "./items/media.tsx";
import { Reasoning } from "./items/reasoning.tsx";
import { Tool } from "./items/tool.tsx";
import type { Decision, Item } from "./model.ts";

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
  press?: Press | undefined;
  /** There while the item's question can be answered. */
  onAnswer?: ((id: string, decision: Decision, reason?: string) => void) | undefined;
}

export function ItemView(props: ItemProps) {
  const { item, grows, open, clock } = props;
  switch (item.kind) {
    case "user":
      return <User item={item} />;
    case "text":
      return <Markdown text={item.text} done={!grows} />;
    case "reasoning":
      return <Reasoning item={item} grows={grows} />;
    case "tool":
      return <Tool item={item} open={open} clock={clock} />;
    case "approval":
      return <Approval {...props} item={item} />;
    case "media":
      return <Media item={item} />;
    case "value":
      return <pre class="arn-value">{item.text}</pre>;
    case "notice":
      return (
        <p class="arn-notice" data-tone={item.level} data-testid="notice">
          {item.text}
        </p>
      );
  }
}
