import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "../shared/icons.tsx";
import type { ChatStore } from "./store.ts";

const MAX_HEIGHT = 160;

export function Composer({ store }: { store: ChatStore }) {
  const box = useRef<HTMLTextAreaElement>(null);
  const picture = store.picture.value;
  const draft = store.draft.value;
  const off = store.dead.value;
  const running = picture.turns.find((turn) => turn.status === "running");
  const stopping = picture.turns.some((turn) => turn.status === "stopping");

  useAutoHeight(box, draft);

  const send = () => {
    const text = draft.trim();
    if (!text || off) return;
    store.say(text);
    store.write("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !isComposing(event)) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && running) {
      event.preventDefault();
      store.stop(running);
    } else if (event.key === "ArrowUp" && draft === "") {
      recallLast(store, event);
    }
  };
  return (
    <div class="arn-composer" data-disabled={off}>
      <textarea
        ref={box}
        class="arn-input"
        rows={1}
        value={draft}
        disabled={off}
        placeholder={off ? "Not connected" : `Message ${picture.title || "the agent"}…`}
        aria-label={`Message ${picture.title || "the agent"}`}
        aria-keyshortcuts="Enter Escape"
        title="Enter sends, Shift+Enter begins a new line, Escape stops"
        data-testid="composer"
        onInput={(event) => store.write(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <div class="arn-composer-bar">
        {(running || stopping) && (
          <button
            type="button"
            class="arn-round arn-round-stop"
            aria-label={stopping ? "Stopping" : "Stop"}
            title={stopping ? "Stopping…" : "Stop (Esc)"}
            disabled={stopping || off}
            data-testid="stop"
            onClick={() => running && store.stop(running)}
          >
            <Icon name="stop" size={14} />
          </button>
        )}
        <button
          type="button"
          class="arn-round arn-round-send"
          aria-label="Send"
          title="Send (Enter)"
          disabled={off || draft.trim() === ""}
          data-testid="send"
          onClick={() => {
            send();
            box.current?.focus({ preventScroll: true });
          }}
        >
          <Icon name="send" />
        </button>
      </div>
    </div>
  );
}

/** Enter that ends the composition of a character is not meant to send. */
function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}

function recallLast(store: ChatStore, event: KeyboardEvent): void {
  const items = store.picture.value.turns.flatMap((turn) => turn.items);
  const last = items.findLast((item) => item.kind === "user");
  if (!last) return;
  event.preventDefault();
  store.write(last.text);
}

function useAutoHeight(
  box: { current: HTMLTextAreaElement | null },
  draft: string,
): void {
  const fit = () => {
    const area = box.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, MAX_HEIGHT)}px`;
  };
  useLayoutEffect(fit, [draft]);
  useEffect(() => {
    const area = box.current;
    if (!area) return;
    // A view in a hidden tab has no size until it is shown.
    const observer = new ResizeObserver(fit);
    observer.observe(area.parentElement ?? area);
    return () => observer.disconnect();
  }, []);
}
