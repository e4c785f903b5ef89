import { useState } from "preact/hooks";
import { copyText } from "../../shared/clipboard.ts";
import { duration } from "../../shared/format.ts";
import { Icon } from "../../shared/icons.tsx";
import { memo } from "../../shared/memo.tsx";
import { DeliveryNote } from "../../side_channel/delivery_note.tsx";
import { ItemView } from "../items/item_view.tsx";
import type { ChatStore } from "../store/chat_store.ts";
import { answerText, isInWork, isOpen, type Turn } from "../store/model.ts";
import { TurnEnding } from "./turn_ending.tsx";
import type { TurnProps } from "./turn_props.ts";
import { UserMessage } from "./user_message.tsx";

/** A turn; one that was repeated is folded. */
export const TurnView = memo((props: TurnProps) => {
  const { turn, isRetried } = props;
  const [isUnfolded, unfold] = useState(false);
  if (!isRetried) return <Article {...props} />;
  return (
    <details
      class="arn-earlier-try"
      data-testid="earlier-try"
      onToggle={(event) => unfold(event.currentTarget.open)}
    >
      <summary>
        <Icon name="chevron" size={14} />
        <span>Earlier try</span>
        <span class="arn-earlier-end">{STATUS_WORDS[turn.status] ?? turn.status}</span>
      </summary>
      {isUnfolded ? <Article {...props} /> : <Folded turn={turn} />}
    </details>
  );
});

const STATUS_WORDS: Partial<Record<Turn["status"], string>> = { cancelled: "stopped" };

/** Holds a folded turn's place for what counts turns. */
function Folded({ turn }: { turn: Turn }) {
  return (
    <article data-testid="turn" data-status={turn.status} data-turn={turn.id} hidden />
  );
}

function Article(props: TurnProps) {
  const { turn, store, isAsking, branch } = props;
  const open = isOpen(turn);
  const [first, ...others] = turn.items;
  const user = first?.kind === "user" ? first : undefined;
  const items = user ? others : turn.items;
  return (
    <article
      class="arn-turn"
      data-testid="turn"
      data-status={turn.status}
      data-turn={turn.id}
      data-discarded={turn.discarded || undefined}
      aria-busy={open}
    >
      {user && <UserMessage user={user} turn={turn} store={store} branch={branch} />}
      {items.map((item, index) => (
        <ItemView
          key={index}
          item={item}
          grows={open && index === items.length - 1}
          open={open}
          dead={item.kind === "approval" && store.dead.value}
          clock={store.now}
          delivery={
            item.kind === "approval"
              ? store.sideChannel.deliveries.value.get(item.id)
              : undefined
          }
          onAnswer={
            isAsking
              ? (id, decision, reason) => store.answer(turn, id, decision, reason)
              : undefined
          }
        />
      ))}
      {turn.status === "waiting" && <p class="arn-user-note">queued</p>}
      {isInWork(turn) && <Working turn={turn} />}
      {open && <StopState turn={turn} store={store} />}
      {!open && <TurnEnding {...props} />}
      {turn.status === "completed" && <Meta turn={turn} />}
      {turn.discarded && (
        <p class="arn-note" data-testid="discarded-note">
          Discarded: the model does not see this.
        </p>
      )}
    </article>
  );
}

/** A sign of life until something is there that moves by itself. */
function Working({ turn }: { turn: Turn }) {
  const last = turn.items.at(-1);
  if (turn.status === "stopping" || last?.kind === "text") return null;
  if (last?.kind === "tool" && last.result === null) return null;
  return (
    <div class="arn-typing" data-testid="typing" aria-hidden="true">
      <span />
      <span />
      <span />
    </div>
  );
}

const INTERRUPT_HINT =
  "To end it at once, interrupt the kernel (Kernel → Interrupt, or ■ in the toolbar).";

/** What became of Stop, until it has landed. */
function StopState({ turn, store }: { turn: Turn; store: ChatStore }) {
  const delivery = store.sideChannel.deliveries.value.get(turn.id);
  if (delivery?.reason)
    return <DeliveryNote ids={[turn.id]} deliveries={store.sideChannel.deliveries} />;
  if (turn.status === "stopping" || delivery) {
    return (
      <p class="arn-note" role="status">
        Stopping…
      </p>
    );
  }
  if (turn.stop !== "refused") return null;
  return (
    <p class="arn-warning" role="alert" data-testid="stop-refused">
      {turn.stop_detail || `Could not stop. ${INTERRUPT_HINT}`}
    </p>
  );
}

function Meta({ turn }: { turn: Turn }) {
  const [copied, setCopied] = useState(false);
  const answer = answerText(turn);
  const tokens = turn.usage?.total_token_count;
  const copy = async () => {
    setCopied(await copyText(answer));
    setTimeout(() => setCopied(false), 1500);
  };
  if (!answer) return null;
  return (
    <footer class="arn-meta">
      {turn.duration !== undefined && <span>{duration(turn.duration)}</span>}
      {typeof tokens === "number" && <span>{tokens.toLocaleString("en")} tokens</span>}
      <button
        type="button"
        class="arn-meta-button"
        aria-label="Copy answer"
        data-testid="copy-answer"
        onClick={copy}
      >
        <Icon name={copied ? "check" : "copy"} size={14} />
        {copied ? "Copied" : "Copy"}
      </button>
    </footer>
  );
}
