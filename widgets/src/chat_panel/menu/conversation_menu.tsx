import { useEffect, useId, useLayoutEffect, useState } from "preact/hooks";
import { copyText } from "../../shared/clipboard.ts";
import { count } from "../../shared/format.ts";
import { Icon } from "../../shared/icons.tsx";
import type { ChatStore } from "../store/chat_store.ts";
import type { Conversation } from "../store/model.ts";
import { usePopover } from "./popover.ts";

/** What was asked for, of the conversation as it was then. */
interface Loss {
  kind: "forget" | "delete";
  of: Conversation;
}

interface ConversationMenuProps {
  store: ChatStore;
  onRename: () => void;
}

export function ConversationMenu({ store, onRename }: ConversationMenuProps) {
  const { isOpen, root, button, toggle, close, leave } = usePopover();
  const [loss, setLoss] = useState<Loss | null>(null);
  const { instance_id } = store.picture.value;
  // What is open here is about the conversation that was shown.
  useLayoutEffect(leave, [instance_id]);
  useEffect(() => {
    if (!isOpen) setLoss(null);
    else root.current?.querySelector<HTMLElement>(FOCUSED)?.focus();
  }, [isOpen, loss, root]);

  const choose = (action: () => void) => () => {
    close();
    action();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: catches the menu's own keys
    <div
      class="arn-menu-root"
      ref={root}
      onKeyDown={(event) => isOpen && moveInMenu(event, root.current, close)}
    >
      <button
        type="button"
        class="arn-icon-button"
        ref={button}
        aria-label="Conversation menu"
        aria-haspopup="menu"
        aria-expanded={isOpen}
        data-testid="menu-button"
        onClick={toggle}
      >
        <Icon name="more" />
      </button>
      {isOpen && loss && (
        <Confirmation
          store={store}
          loss={loss}
          onKeep={() => setLoss(null)}
          choose={choose}
        />
      )}
      {isOpen && !loss && (
        <Choices store={store} onRename={onRename} onLoss={setLoss} choose={choose} />
      )}
    </div>
  );
}

const FOCUSED = "[data-first], [role=menuitem]:not(:disabled)";

type Choose = (action: () => void) => () => void;

interface ChoicesProps extends ConversationMenuProps {
  onLoss: (loss: Loss) => void;
  choose: Choose;
}

function Choices({ store, onRename, onLoss, choose }: ChoicesProps) {
  const { conversationActions } = store;
  const isOff = store.dead.value;
  const isFixed = isOff || store.isReadOnly.value;
  const picture = store.picture.value;
  const { instance_id, storage, turns, allowed_tools, phase } = picture;
  const isEmpty = turns.length === 0;
  const copy = () =>
    conversationActions.export(
      picture.instance_id,
      "markdown",
      (_name, _type, text) => {
        void copyText(text);
      },
    );
  const item = (id: string, text: string, action: () => void, disabled = isOff) => (
    <MenuItem id={id} onChoose={choose(action)} disabled={disabled}>
      {text}
    </MenuItem>
  );
  return (
    <div class="arn-menu" role="menu" aria-label="Conversation" data-testid="menu">
      {item(
        "new-conversation",
        "New conversation",
        () => conversationActions.start(),
        isFixed,
      )}
      {item("rename", "Rename…", onRename, isFixed)}
      <hr class="arn-menu-line" />
      {item("copy-transcript", "Copy transcript", copy, isEmpty)}
      {item("export-markdown", "Export as Markdown", () =>
        conversationActions.export(instance_id, "markdown"),
      )}
      {item("export-notebook", "Export as notebook", () =>
        conversationActions.export(instance_id, "notebook"),
      )}
      {item("export-json", "Export as JSON", () =>
        conversationActions.export(instance_id, "json"),
      )}
      {item("freeze", "Freeze into the cell", () => conversationActions.freeze())}
      <hr class="arn-menu-line" />
      {allowed_tools?.map((tool) =>
        item(
          "disallow",
          `Ask again before ${tool}`,
          () => conversationActions.disallow(instance_id, tool),
          isFixed,
        ),
      )}
      <MenuItem
        id="forget"
        onChoose={() => onLoss({ kind: "forget", of: picture })}
        disabled={isFixed || isEmpty}
      >
        Forget what was said…
      </MenuItem>
      <MenuItem
        id="delete"
        onChoose={() => onLoss({ kind: "delete", of: picture })}
        // Its name is told with its turns.
        disabled={isFixed || phase === "loading"}
        isLoss
      >
        Delete conversation…
      </MenuItem>
      {storage && <p class="arn-menu-note">Kept in {storage}</p>}
    </div>
  );
}

interface ConfirmationProps {
  store: ChatStore;
  loss: Loss;
  onKeep: () => void;
  choose: Choose;
}

/** Says what is lost, at the place where it was asked for. */
function Confirmation({ store, loss, onKeep, choose }: ConfirmationProps) {
  const { conversationActions } = store;
  const { instance_id, name, turns, more } = loss.of;
  const all = `${more ? "More than " : ""}${count(turns.length, "turn")}`;
  const them = turns.length === 1 ? "it" : "them";
  const isDelete = loss.kind === "delete";
  const consequence = useId();
  const act = () =>
    isDelete
      ? conversationActions.remove(instance_id)
      : conversationActions.forget(instance_id);
  return (
    <div
      class="arn-menu arn-confirm"
      role="alertdialog"
      aria-label={isDelete ? "Delete the conversation?" : "Forget what was said?"}
      aria-describedby={consequence}
      data-testid="confirm"
    >
      <p class="arn-confirm-title">
        {isDelete ? "Delete" : "Forget what was said in"} “{name ?? instance_id}”?
      </p>
      <p id={consequence}>
        {turns.length > 0 &&
          `${all} and what the agent remembers of ${them} will be lost. `}
        {isDelete
          ? "The conversation is gone everywhere. This cannot be undone."
          : "The conversation stays, empty. This cannot be undone."}
      </p>
      <div class="arn-actions">
        <button
          type="button"
          class="arn-pill"
          data-first
          data-testid="keep"
          onClick={onKeep}
        >
          Keep
        </button>
        <button
          type="button"
          class="arn-pill arn-pill-bad"
          data-testid={`${loss.kind}-confirm`}
          onClick={choose(act)}
        >
          {isDelete ? "Delete" : "Forget"}
        </button>
      </div>
    </div>
  );
}

interface MenuItemProps {
  id: string;
  onChoose: () => void;
  disabled?: boolean;
  isLoss?: boolean;
  children: preact.ComponentChildren;
}

function MenuItem({ id, onChoose, disabled, isLoss, children }: MenuItemProps) {
  return (
    <button
      type="button"
      role="menuitem"
      tabIndex={-1}
      class="arn-menu-item"
      data-loss={isLoss}
      disabled={disabled}
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
  const items = [
    ...(root?.querySelectorAll<HTMLElement>("[role=menuitem]:not(:disabled)") ?? []),
  ];
  if (items.length === 0) return;
  if (event.key === "Tab") close();
  const place = items.indexOf(root?.ownerDocument.activeElement as HTMLElement);
  const last = items.length - 1;
  const target = {
    ArrowDown: place === last ? 0 : place + 1,
    ArrowUp: place <= 0 ? last : place - 1,
    Home: 0,
    End: last,
  }[event.key];
  if (target === undefined) return;
  items[target]?.focus();
  event.preventDefault();
}
