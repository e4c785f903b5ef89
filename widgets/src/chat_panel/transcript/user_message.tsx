import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { focusOn, isFocusLost } from "../../shared/focus.ts";
import { count } from "../../shared/format.ts";
import { Icon } from "../../shared/icons.tsx";
import { MessageBox } from "../composer/message_box.tsx";
import { ItemView } from "../items/item_view.tsx";
import { attachmentsOf } from "../store/attachments.ts";
import type { ChatStore } from "../store/chat_store.ts";
import { type Branch, isOpen, type Turn, type UserItem } from "../store/model.ts";
import { BranchControl } from "./branch_control.tsx";

interface UserMessageProps {
  user: UserItem;
  turn: Turn;
  store: ChatStore;
  branch: Branch | undefined;
}

/** What a person said; it can be said otherwise, in another branch. */
export function UserMessage({ user, turn, store, branch }: UserMessageProps) {
  const isEdited = store.editing.value?.turn === turn.id;
  const root = useRef<HTMLDivElement>(null);
  const wasEdited = useRef(false);
  useLayoutEffect(() => {
    const { current } = root;
    // The editor has gone away: whoever was in it stands at its button.
    if (wasEdited.current && !isEdited && current && isFocusLost(current)) {
      focusOn(current.querySelector<HTMLElement>("[data-testid=edit]"));
    }
    wasEdited.current = isEdited;
  }, [isEdited]);
  const canEdit = !isOpen(turn) && !store.isReadOnly.value;
  return (
    <div class="arn-said" ref={root}>
      {isEdited ? (
        <Editor user={user} turn={turn} store={store} />
      ) : (
        <div class="arn-said-row">
          {canEdit && <EditButton turn={turn} store={store} />}
          <ItemView item={user} grows={false} open={false} dead={false} />
        </div>
      )}
      {branch && <BranchControl branch={branch} store={store} />}
    </div>
  );
}

function EditButton({ turn, store }: { turn: Turn; store: ChatStore }) {
  return (
    <button
      type="button"
      class="arn-icon-button arn-edit"
      aria-label="Edit message"
      title="Edit: say it otherwise, in a new branch"
      data-testid="edit"
      disabled={store.dead.value}
      onClick={() => store.edit(turn.id)}
    >
      <Icon name="pencil" size={14} />
    </button>
  );
}

function Editor({ user, turn, store }: Omit<UserMessageProps, "branch">) {
  const [text, setText] = useState(user.text);
  const [media, setMedia] = useState(() => attachmentsOf(user));
  const lost = user.media.length - attachmentsOf(user).length;
  const editing = store.editing.value;
  const isSent = editing?.sent !== undefined && !editing.refused;
  const isOff = store.dead.value || isSent || (!text.trim() && media.length === 0);
  const save = () => {
    if (!isOff) store.sendEdited(turn.id, text.trim(), media);
  };
  return (
    <div class="arn-editor" data-testid="editor">
      <MessageBox
        text={text}
        media={media}
        onText={setText}
        onMedia={setMedia}
        onSend={save}
        onEscape={() => store.edit(null)}
        label="Edit message"
        placeholder=""
        hint="Enter sends, Escape leaves the message as it was"
        disabled={isSent}
        autoFocus
        testid="edit-input"
      >
        {null}
      </MessageBox>
      <div class="arn-actions arn-editor-actions">
        {editing?.refused ? (
          <p class="arn-box-problem" role="alert">
            Not sent: {editing.refused.message}
          </p>
        ) : (
          <p class="arn-note">
            What follows here now stays, in another branch.
            {lost > 0 && ` ${picturesNotSent(lost)}`}
          </p>
        )}
        <button
          type="button"
          class="arn-pill"
          data-testid="edit-cancel"
          onClick={() => store.edit(null)}
        >
          Cancel
        </button>
        <button
          type="button"
          class="arn-pill arn-pill-primary"
          data-testid="edit-save"
          disabled={isOff}
          onClick={save}
        >
          {isSent ? "Sending…" : "Send"}
        </button>
      </div>
    </div>
  );
}

function picturesNotSent(number: number): string {
  const them = number === 1 ? "it is" : "they are";
  const are = number === 1 ? "is" : "are";
  return `${count(number, "picture")} ${are} not sent again: ${them} not kept here.`;
}
