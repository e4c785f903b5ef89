import { useEffect, useId, useRef, useState } from "preact/hooks";
import { count } from "../../shared/format.ts";
import { Icon } from "../../shared/icons.tsx";
import type { ChatStore } from "../store/chat_store.ts";
import type { ConversationName } from "../store/conversations.ts";
import { usePopover } from "./popover.ts";

/** Milliseconds without a key after which the kernel is asked. */
const ASK_AFTER = 150;

/** The conversation's name, which opens the list of all of them. */
export function ConversationList({ store }: { store: ChatStore }) {
  const { isOpen, root, button, toggle, close } = usePopover();
  const { name, instance_id } = store.picture.value;
  return (
    <div class="arn-list-root" ref={root}>
      <button
        type="button"
        class="arn-list-button"
        ref={button}
        aria-haspopup="dialog"
        aria-expanded={isOpen}
        title={name ? `${name} (${instance_id})` : instance_id}
        disabled={store.dead.value || store.isReadOnly.value}
        data-testid="conversations"
        onClick={toggle}
      >
        <span class="arn-hidden">Conversation: </span>
        <span class="arn-title-conversation" data-testid="conversation">
          {name || instance_id}
        </span>
        <Icon name="down" size={12} />
      </button>
      {isOpen && <List store={store} onClose={close} />}
    </div>
  );
}

function List({ store, onClose }: { store: ChatStore; onClose: () => void }) {
  const { conversationActions } = store;
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [search, setSearch] = useState("");
  const [place, setPlace] = useState(0);
  const listed = conversationActions.listed.value;
  const items = listed?.items ?? [];
  const marked = items[Math.min(place, items.length - 1)];

  useEffect(() => field.current?.focus({ preventScroll: true }), []);
  useEffect(() => {
    const timer = setTimeout(
      () => conversationActions.list(search),
      search ? ASK_AFTER : 0,
    );
    return () => clearTimeout(timer);
  }, [search, conversationActions]);

  const choose = (item: ConversationName | undefined) => {
    if (!item) return;
    onClose();
    if (item.instance_id !== store.picture.peek().instance_id) {
      conversationActions.switchTo(item.instance_id);
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing || event.keyCode === 229) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setPlace(inside(place + step, items.length));
    else if (event.key === "Enter") choose(marked);
    else return;
    event.preventDefault();
  };
  return (
    <div class="arn-menu arn-list" role="dialog" aria-label="Conversations">
      <input
        ref={field}
        class="arn-field arn-search"
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-autocomplete="list"
        aria-controls={`${id}-list`}
        aria-activedescendant={marked && `${id}-${items.indexOf(marked)}`}
        aria-label="Search conversations"
        placeholder="Search conversations"
        value={search}
        data-testid="conversation-search"
        onInput={(event) => {
          setPlace(0);
          setSearch(event.currentTarget.value);
        }}
        onKeyDown={onKeyDown}
      />
      <div
        role="listbox"
        id={`${id}-list`}
        aria-label="Conversations"
        class="arn-options"
      >
        {items.map((item, index) => (
          <Option
            key={item.instance_id}
            id={`${id}-${index}`}
            item={item}
            isMarked={item === marked}
            isShown={item.instance_id === store.picture.value.instance_id}
            onChoose={() => choose(item)}
          />
        ))}
      </div>
      {listed && items.length === 0 && (
        <p class="arn-menu-note">No conversation has this name.</p>
      )}
      {!listed && <p class="arn-menu-note">Looking…</p>}
      {listed?.next && (
        <button
          type="button"
          class="arn-menu-item"
          data-testid="more-conversations"
          onClick={() => conversationActions.listMore()}
        >
          Show more
        </button>
      )}
    </div>
  );
}

interface OptionProps {
  id: string;
  item: ConversationName;
  isMarked: boolean;
  isShown: boolean;
  onChoose: () => void;
}

function Option({ id, item, isMarked, isShown, onChoose }: OptionProps) {
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (isMarked) root.current?.scrollIntoView({ block: "nearest" });
  }, [isMarked]);
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: the field keeps the focus
    // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys
    <div
      id={id}
      ref={root}
      role="option"
      class="arn-menu-item"
      aria-selected={isMarked}
      data-shown={isShown}
      data-testid="conversation-item"
      onClick={onChoose}
    >
      <span class="arn-menu-name">{item.name || item.instance_id}</span>
      <span class="arn-menu-hint">
        {item.activity === "running" && <span class="arn-running">running</span>}
        {item.turns ? count(item.turns, "turn") : ""}
        {isShown && <Icon name="check" size={14} />}
      </span>
    </div>
  );
}

/** A place in a ring. */
function inside(place: number, length: number): number {
  return length === 0 ? 0 : (place + length) % length;
}
