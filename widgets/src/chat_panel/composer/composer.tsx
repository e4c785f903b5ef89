import { useRef } from "preact/hooks";
import { short } from "../../shared/format.ts";
import { Icon } from "../../shared/icons.tsx";
import { DeliveryNote } from "../../side_channel/delivery_note.tsx";
import type { ChatStore } from "../store/chat_store.ts";
import { queuedTurns } from "../store/model.ts";
import { InputHistory, sentTexts } from "./input_history.ts";
import { MessageBox } from "./message_box.tsx";

export function Composer({ store }: { store: ChatStore }) {
  if (store.isReadOnly.value) {
    return (
      <p class="arn-read-only" data-testid="read-only">
        This panel is for reading only.
      </p>
    );
  }
  return (
    <div class="arn-composer">
      <Queue store={store} />
      <Writing store={store} />
    </div>
  );
}

/** What is said next, in the order in which the agent gets it. */
function Queue({ store }: { store: ChatStore }) {
  const { turns } = store.picture.value;
  const behind = queuedTurns(turns);
  const coming = store.comingQueued.value;
  if (behind.length + coming.length === 0) return null;
  const chips = [...behind.map((turn) => chipOf(turn)), ...coming];
  return (
    <>
      <ol class="arn-queue" aria-label="Messages that wait" data-testid="queue">
        {chips.map(({ id, text }, index) => (
          <li key={id} class="arn-chip" data-testid="queued" data-turn={id}>
            <span class="arn-chip-number">{index + 1}</span>
            <span class="arn-chip-text">{short(text, 80) || "Image"}</span>
            <button
              type="button"
              class="arn-chip-button"
              aria-label={`Withdraw “${short(text, 40)}”`}
              title="Withdraw"
              data-testid="withdraw"
              disabled={store.dead.value || store.sideChannel.deliveries.value.has(id)}
              onClick={() => store.withdraw(id)}
            >
              <Icon name="cross" size={12} />
            </button>
          </li>
        ))}
      </ol>
      <DeliveryNote
        ids={chips.map(({ id }) => id)}
        deliveries={store.sideChannel.deliveries}
      />
    </>
  );
}

function chipOf(turn: Parameters<typeof queuedTurns>[0][number]) {
  const user = turn.items.find((item) => item.kind === "user");
  return { id: turn.id, text: user?.text ?? "" };
}

function Writing({ store }: { store: ChatStore }) {
  const root = useRef<HTMLDivElement>(null);
  const history = useRef(new InputHistory());
  const { drafts } = store;
  const { key } = drafts;
  const draft = drafts.text.value;
  const media = drafts.media.value;
  const off = store.dead.value;
  const title = store.picture.value.title || "the agent";
  const isEmpty = draft.trim() === "" && media.length === 0;

  const send = () => {
    if (isEmpty || off) return;
    store.sendMessage(draft.trim(), media);
    drafts.write("");
    drafts.attach(() => []);
  };
  const onArrow = (key: string, area: HTMLTextAreaElement) => {
    const looking = history.current.isLookingAt(draft);
    const atStart = area.selectionEnd === 0;
    const atEnd = area.selectionStart === draft.length;
    if (key === "ArrowDown") return atEnd ? history.current.newer(draft) : undefined;
    if (!atStart && !(looking && atEnd)) return undefined;
    return history.current.older(draft, () => sentTexts(store.picture.value.turns));
  };
  return (
    <div ref={root}>
      <MessageBox
        text={draft}
        media={media}
        onText={(text) => drafts.write(text)}
        onMedia={(change) => drafts.attach(change, key)}
        onSend={send}
        onEscape={() => store.stopByKey()}
        onArrow={onArrow}
        label={`Message ${title}`}
        placeholder={off ? "Not connected" : `Message ${title}…`}
        hint="Enter sends, Shift+Enter begins a new line, Escape stops"
        disabled={off}
        testid="composer"
      >
        <StopButton store={store} />
        <button
          type="button"
          class="arn-round arn-round-send"
          aria-label="Send"
          title="Send (Enter)"
          disabled={off || isEmpty}
          data-testid="send"
          onClick={() => {
            send();
            root.current?.querySelector("textarea")?.focus({ preventScroll: true });
          }}
        >
          <Icon name="send" />
        </button>
      </MessageBox>
    </div>
  );
}

function StopButton({ store }: { store: ChatStore }) {
  const id = store.stopTarget.value;
  if (id === undefined) return null;
  const delivery = store.sideChannel.deliveries.value.get(id)?.state;
  const isUnderWay = delivery === "sent" || delivery === "accepted";
  const stopping = isUnderWay || store.turn(id)?.status === "stopping";
  return (
    <button
      type="button"
      class="arn-round arn-round-stop"
      aria-label={stopping ? "Stopping" : "Stop"}
      title={stopping ? "Stopping…" : "Stop (Esc)"}
      disabled={stopping || store.dead.value}
      data-testid="stop"
      onClick={() => store.stop(id)}
    >
      <Icon name="stop" size={14} />
    </button>
  );
}
