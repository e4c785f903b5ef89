import { useState } from "preact/hooks";
import { Icon } from "../../shared/icons.tsx";
import { imageHost } from "../markdown/image_placeholder.ts";
import { safeImage } from "../markdown/safe_urls.ts";
import type { MediaItem, UserItem } from "../store/model.ts";

export function UserBubble({ item }: { item: UserItem }) {
  return (
    <div class="arn-user" data-testid="user-message">
      <span class="arn-hidden">You said: </span>
      {item.text && <div class="arn-bubble">{item.text}</div>}
      {item.media.map((media, index) => (
        <Media key={index} item={media} label="Attached image" />
      ))}
    </div>
  );
}

interface MediaProps {
  item: MediaItem;
  /** What it is, where an image that is here already is shown at once. */
  label?: string;
}

/** An image loads when somebody asks for it; a person's and a tool's, if here, at once. */
export function Media({ item, label }: MediaProps) {
  const source = item.uri === null ? null : safeImage(item.uri);
  const isHere = source?.startsWith("data:") === true;
  const [shown, setShown] = useState(label !== undefined && isHere);
  if (source === null) return <p class="arn-note">[{item.media_type}]</p>;
  if (shown) {
    const alt = label ?? "Image";
    return (
      <img class="arn-media" src={source} alt={alt} referrerPolicy="no-referrer" />
    );
  }
  return (
    <button type="button" class="arn-image-button" onClick={() => setShown(true)}>
      <Icon name="image" size={14} /> Show image{imageHost(source)}
    </button>
  );
}
