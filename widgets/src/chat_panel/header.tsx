import { useEffect, useRef, useState } from "preact/hooks";
import { count, elapsed } from "../shared/format.ts";
import { Icon } from "../shared/icons.tsx";
import { copyText } from "./copy.ts";
import { toMarkdown } from "./export.ts";
import type { ChatStore } from "./store.ts";

export function Header({ store, heading }: { store: ChatStore; heading: string }) {
  const picture = store.picture.value;
  const state = store.status.value;
  const seconds = state.since === undefined ? null : store.now.value - state.since;
  return (
    <header class="arn-head">
      <h2 class="arn-title" id={heading}>
        <span class="arn-title-name">{picture.title || "Chat"}</span>
        <span class="arn-title-conversation" data-testid="conversation">
          {picture.instance_id}
        </span>
      </h2>
      <span class="arn-status" data-tone={state.tone} data-testid="status">
        <span class="arn-dot" aria-hidden="true" />
        <span data-testid="status-text">{state.text}</span>
        {seconds !== null && <span class="arn-status-time">{elapsed(seconds)}</span>}
      </span>
      <Menu store={store} />
    </header>
  );
}

function Menu({ store }: { store: ChatStore }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return;
    store.listConversations();
    root.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const onPointer = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", onPointer);
    return () => document.removeEventListener("pointerdown", onPointer);
  }, [open, store]);

  const close = () => {
    setOpen(false);
    button.current?.focus({ preventScroll: true });
  };
  const choose = (action: () => void) => () => {
    close();
    action();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: catches the menu's own keys
    <div
      class="arn-menu-root"
      ref={root}
      onKeyDown={(event) => open && moveInMenu(event, root.current, close)}
    >
      <button
        type="button"
        class="arn-icon-button"
        ref={button}
        aria-label="Conversation menu"
        aria-haspopup="menu"
        aria-expanded={open}
        data-testid="menu-button"
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
      </button>
      {open && (
        <div class="arn-menu" role="menu" aria-label="Conversation" data-testid="menu">
          <MenuItem
            id="new-conversation"
            onChoose={choose(() => store.startConversation())}
          >
            New conversation
          </MenuItem>
          <MenuItem
            id="copy-transcript"
            onChoose={choose(() => void copyText(toMarkdown(store.picture.value)))}
          >
            Copy transcript
          </MenuItem>
          <Conversations store={store} choose={choose} />
          {store.picture.value.storage && (
            <p class="arn-menu-note">Kept in {store.picture.value.storage}</p>
          )}
        </div>
      )}
    </div>
  );
}

interface ConversationsProps {
  store: ChatStore;
  choose: (action: () => void) => () => void;
}

function Conversations({ store, choose }: ConversationsProps) {
  const present = store.picture.value.instance_id;
  const others = store.conversations.value?.filter(
    (conversation) => conversation.instance_id !== present,
  );
  if (!others || others.length === 0) return null;
  return (
    <>
      <p class="arn-menu-head">Conversations</p>
      {others.map(({ instance_id, turns, activity }) => (
        <MenuItem
          key={instance_id}
          id="conversation-item"
          onChoose={choose(() => store.switchTo(instance_id))}
        >
          <span class="arn-menu-name">{instance_id}</span>
          <span class="arn-menu-hint">
            {activity === "running" ? "running" : turns ? count(turns, "turn") : ""}
          </span>
        </MenuItem>
      ))}
    </>
  );
}

interface MenuItemProps {
  id: string;
  onChoose: () => void;
  children: preact.ComponentChildren;
}

function MenuItem({ id, onChoose, children }: MenuItemProps) {
  return (
    <button
      type="button"
      role="menuitem"
      tabIndex={-1}
      class="arn-menu-item"
      data-testid={id}
      onClick={onChoose}
    >
      {children}
    </button>
  );
}

function moveInMenu(
  event: KeyboardEvent,
  root: HTMLElement | null,
  close: () => void,
): void {
  const items = [...(root?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
  const place = items.indexOf(root?.ownerDocument.activeElement as HTMLElement);
  const last = items.length - 1;
  const target = {
    ArrowDown: place === last ? 0 : place + 1,
    ArrowUp: place <= 0 ? last : place - 1,
    Home: 0,
    End: last,
  }[event.key];
  if (event.key === "Escape" || event.key === "Tab") close();
  if (target !== undefined) items[target]?.focus();
  if (target !== undefined || event.key === "Escape") event.preventDefault();
}
