import { useEffect, useState } from "preact/hooks";
import { duration } from "../shared/format.ts";
import { Icon } from "../shared/icons.tsx";
import { memo } from "../shared/memo.tsx";
import { copyText } from "./copy.ts";
import { ItemView } from "./items.tsx";
import { answerText, interruption, isOpen, type Turn } from "./model.ts";
import type { ChatStore } from "./store.ts";

interface TurnProps {
  turn: Turn;
  store: ChatStore;
  isLast: boolean;
  isAsking: boolean;
  /** Whether a later turn repeats it. */
  isRetried: boolean;
  /** Whether nobody is there who could do something. */
  isDead: boolean;
}

export const TurnView = memo((props: TurnProps) => {
  const { turn, store, isAsking } = props;
  const open = isOpen(turn);
  return (
    <article
      class="arn-turn"
      data-testid="turn"
      data-status={turn.status}
      data-turn={turn.id}
      aria-busy={open}
    >
      {turn.items.map((item, index) => (
        <ItemView
          key={index}
          item={item}
          grows={open && index === turn.items.length - 1}
          open={open}
          onAnswer={
            isAsking ? (id, approved) => store.answer(turn, id, approved) : undefined
          }
        />
      ))}
      {turn.status === "waiting" && <Waiting {...props} />}
      {(turn.status === "running" || turn.status === "stopping") && (
        <Working turn={turn} />
      )}
      {!open && <Ending {...props} />}
    </article>
  );
});

function Waiting({ turn, store, isDead }: TurnProps) {
  return (
    <p class="arn-user-note">
      queued
      <button
        type="button"
        class="arn-link"
        data-testid="withdraw"
        disabled={isDead}
        onClick={() => store.stop(turn)}
      >
        Withdraw
      </button>
    </p>
  );
}

/** A sign of life until something is there that moves by itself. */
function Working({ turn }: { turn: Turn }) {
  const last = turn.items.at(-1);
  if (turn.status === "stopping") return <p class="arn-note">Stopping…</p>;
  if (last?.kind === "text") return null;
  if (last?.kind === "tool" && last.result === null) return null;
  return (
    <div class="arn-typing" data-testid="typing" aria-hidden="true">
      <span />
      <span />
      <span />
    </div>
  );
}

function Ending(props: TurnProps) {
  const { turn, isLast, isRetried } = props;
  switch (turn.status) {
    case "failed":
      return <Failed {...props} />;
    case "cancelled":
      return (
        <Mark text={answerText(turn) ? "Stopped" : "Stopped before an answer"}>
          {isLast && <Again {...props} label="Try again" />}
        </Mark>
      );
    case "interrupted":
      return (
        <Mark text={interruption(turn)}>
          {!isRetried && <Again {...props} label="Run again" />}
        </Mark>
      );
    default:
      return <Meta turn={turn} />;
  }
}

function Mark({
  text,
  children,
}: {
  text: string;
  children: preact.ComponentChildren;
}) {
  return (
    <div class="arn-mark" data-testid="mark">
      <span class="arn-mark-square" aria-hidden="true" />
      <span>{text}</span>
      {children}
    </div>
  );
}

function Again({ turn, store, isDead, label }: TurnProps & { label: string }) {
  const [pressed, setPressed] = useState(false);
  const problem = store.problem.value;
  // Refused, when the runtime was away say: it can be pressed again.
  useEffect(() => {
    if (problem) setPressed(false);
  }, [problem]);
  return (
    <button
      type="button"
      class="arn-pill"
      data-testid="retry"
      disabled={pressed || isDead}
      onClick={() => {
        setPressed(true);
        store.retry(turn);
      }}
    >
      <Icon name="retry" size={14} /> {label}
    </button>
  );
}

function Failed(props: TurnProps) {
  const { turn, isLast, isRetried } = props;
  const error = turn.error;
  return (
    <div class="arn-failure" role={isLast ? "alert" : undefined} data-testid="failure">
      <p class="arn-failure-text">{error?.message || "The turn failed."}</p>
      <div class="arn-actions">
        {!isRetried && <Again {...props} label="Retry" />}
        <details class="arn-details">
          <summary data-testid="details">Details</summary>
          <dl class="arn-facts">
            <dt>Error</dt>
            <dd>{error?.type ?? "unknown"}</dd>
            <dt>May work later</dt>
            <dd>{error?.retryable ? "yes" : "not without a change"}</dd>
            <dt>Request</dt>
            <dd>
              <code>{turn.id}</code>
            </dd>
          </dl>
        </details>
      </div>
    </div>
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
