import { Approval } from "./approval.tsx";
import type { ItemProps } from "./item_props.ts";
import { Markdown } from "./markdown_text.tsx";
import { Media, UserBubble } from "./media.tsx";
import { Reasoning } from "./reasoning.tsx";
import { Tool } from "./tool.tsx";

export function ItemView(props: ItemProps) {
  const { item, grows, open, clock } = props;
  switch (item.kind) {
    case "user":
      return <UserBubble item={item} />;
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
