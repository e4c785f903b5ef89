import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { focusOn, isFocusLost } from "../shared/focus.ts";
import { elapsed } from "../shared/format.ts";
import { ConversationList } from "./menu/conversation_list.tsx";
import { ConversationMenu } from "./menu/conversation_menu.tsx";
import type { ChatStore } from "./store/chat_store.ts";

export function Header({ store, heading }: { store: ChatStore; heading: string }) {
  const [isRenaming, setRenaming] = useState(false);
  const root = useRef<HTMLElement>(null);
  const { title, instance_id } = store.picture.value;
  // A name that was being written is not another conversation's.
  useEffect(() => setRenaming(false), [instance_id]);
  const endedByKey = useRef(false);
  useLayoutEffect(() => {
    const { current } = root;
    // The field has gone away: whoever was in it stands where the name is now.
    if (endedByKey.current && current && isFocusLost(current)) {
      focusOn(current.querySelector("button"));
    }
    endedByKey.current = false;
  }, [isRenaming]);
  const endRenaming = (byKey: boolean) => {
    endedByKey.current = byKey;
    setRenaming(false);
  };
  return (
    <header class="arn-head" ref={root}>
      <h2 class="arn-title" id={heading}>
        <span class="arn-title-name">{title || "Chat"}</span>
        {isRenaming && <span class="arn-hidden">: new name</span>}
      </h2>
      {isRenaming ? (
        <NameField store={store} onEnd={endRenaming} />
      ) : (
        <ConversationList store={store} />
      )}
      <StatusIndicator store={store} />
      <ConversationMenu store={store} onRename={() => setRenaming(true)} />
    </header>
  );
}

function StatusIndicator({ store }: { store: ChatStore }) {
  const state = store.status.value;
  const seconds = state.since === undefined ? null : store.now.value - state.since;
  return (
    <span class="arn-status" data-tone={state.tone} data-testid="status">
      <span class="arn-dot" aria-hidden="true" />
      <span class="arn-status-text" data-testid="status-text">
        {state.text}
      </span>
      {seconds !== null && <span class="arn-status-time">{elapsed(seconds)}</span>}
    </span>
  );
}

interface NameFieldProps {
  store: ChatStore;
  onEnd: (byKey: boolean) => void;
}

/** Enter and leaving the field keep the name, Escape does not. */
function NameField({ store, onEnd }: NameFieldProps) {
  const { name, instance_id } = store.picture.peek();
  const field = useRef<HTMLInputElement>(null);
  const isOver = useRef(false);
  useEffect(() => field.current?.select(), []);
  const end = (keep: boolean, byKey: boolean) => {
    if (isOver.current) return;
    isOver.current = true;
    const written = field.current?.value.trim() ?? "";
    if (keep && written !== (name ?? ""))
      store.conversationActions.rename(instance_id, written);
    onEnd(byKey);
  };
  return (
    <input
      ref={field}
      class="arn-field"
      defaultValue={name ?? ""}
      placeholder={instance_id}
      maxLength={120}
      aria-label="Name of the conversation"
      data-testid="rename-input"
      onBlur={() => end(true, false)}
      onKeyDown={(event) => {
        if (event.isComposing || event.keyCode === 229) return;
        if (event.key === "Enter" || event.key === "Escape") {
          event.preventDefault();
          end(event.key === "Enter", true);
        }
      }}
    />
  );
}
