import { useEffect, useRef, useState } from "preact/hooks";
import { copyText } from "../../shared/clipboard.ts";
import { count } from "../../shared/format.ts";
import { Icon } from "../../shared/icons.tsx";
import type { ChatStore } from "../store/chat_store.ts";
import { answerText, interruptionText, type Turn } from "../store/model.ts";
import {
  consecutiveTries,
  isRateLimited,
  MAX_TRIES,
  secondsLeft,
} from "../store/rate_limit.ts";
import { asSentence } from "./speech_text.ts";
import type { TurnProps } from "./turn_props.ts";

/** How a turn ended that has no whole answer, and what can be done about it. */
export function TurnEnding(props: TurnProps) {
  switch (props.turn.status) {
    case "failed":
      return <Failed {...props} />;
    case "cancelled":
      if (props.turn.began === false) return <Mark text="Withdrawn" />;
      return (
        <Mark text={kept(props.turn)}>
          {props.isLast && <Again {...props} label="Try again" />}
        </Mark>
      );
    case "interrupted":
      return (
        <Mark text={interruptionText(props.turn)}>
          <Again {...props} label="Run again" />
          <Discard {...props} />
        </Mark>
      );
    default:
      return null;
  }
}

function kept(turn: Turn): string {
  const { length } = answerText(turn);
  return length
    ? `Stopped · ${count(length, "character")} kept`
    : "Stopped before an answer";
}

interface MarkProps {
  text: string;
  children?: preact.ComponentChildren;
}

function Mark({ text, children }: MarkProps) {
  return (
    <div class="arn-mark" data-testid="mark">
      <span class="arn-mark-square" aria-hidden="true" />
      <span>{text}</span>
      {children}
    </div>
  );
}

/** Whether something can still be done with the turn. */
function isSettled({ turn, store, isRetried }: TurnProps): boolean {
  return isRetried || turn.discarded === true || store.isReadOnly.value;
}

function Again(props: TurnProps & { label: string }) {
  const { turn, store, label } = props;
  if (isSettled(props)) return null;
  return (
    <button
      type="button"
      class="arn-pill"
      data-testid="retry"
      disabled={store.dead.value || store.pendingTurns.value.has(turn.id)}
      onClick={() => store.retry(turn)}
    >
      <Icon name="retry" size={14} /> {label}
    </button>
  );
}

function Discard(props: TurnProps) {
  const { turn, store } = props;
  if (isSettled(props)) return null;
  return (
    <button
      type="button"
      class="arn-pill"
      title="The model does not see this turn any more"
      data-testid="discard"
      disabled={store.dead.value || store.pendingTurns.value.has(turn.id)}
      onClick={() => store.discard(turn)}
    >
      Discard
    </button>
  );
}

function Failed(props: TurnProps) {
  const { turn, store, isLast } = props;
  const counting = isLast && store.autoRetryTarget.value === turn.id;
  return (
    <div
      class="arn-failure"
      data-tone={isRateLimited(turn) ? "warning" : undefined}
      data-testid="failure"
    >
      <p class="arn-failure-text" role={isLast ? "alert" : undefined}>
        {asSentence(turn.error?.message || "The turn failed.")}
      </p>
      {counting ? (
        <Countdown turn={turn} store={store} again={<Plain {...props} />} />
      ) : (
        <Plain {...props} />
      )}
    </div>
  );
}

function Plain(props: TurnProps) {
  return (
    <div class="arn-actions">
      <Again {...props} label="Retry" />
      <Details turn={props.turn} />
    </div>
  );
}

interface CountdownProps {
  turn: Turn;
  store: ChatStore;
  /** What stands here when it is not tried again by itself. */
  again: preact.ComponentChildren;
}

/** Counts until a busy service may be asked again, and then does if somebody looks. */
function Countdown({ turn, store, again }: CountdownProps) {
  const root = useRef<HTMLDivElement>(null);
  // One that has run out before it was seen does not act by itself.
  const [isOver, setOver] = useState(() => secondsLeft(turn, store.time()) === 0);
  const [began] = useState(() => store.time());
  const left = secondsLeft(turn, Math.max(began, store.now.value));
  const isOut = left === 0 && !isOver;
  useEffect(() => {
    if (!isOut) return;
    if (isOnScreen(root.current)) store.autoRetry(turn.id);
    setOver(true);
  }, [isOut]);
  if (isOver && !store.pendingTurns.value.has(turn.id)) return again;
  const number = consecutiveTries(store.picture.peek().turns, turn);
  return (
    <div class="arn-actions" ref={root}>
      <span class="arn-countdown" data-testid="countdown" role="timer">
        {left > 0 ? `Trying again in ${left} s` : "Trying again…"}
        <span class="arn-countdown-number">{` (${number} of ${MAX_TRIES})`}</span>
      </span>
      <button
        type="button"
        class="arn-pill"
        data-testid="retry"
        disabled={store.dead.value || store.pendingTurns.value.has(turn.id)}
        onClick={() => store.retry(turn)}
      >
        Retry now
      </button>
      <button
        type="button"
        class="arn-pill"
        data-testid="give-up"
        onClick={() => store.giveUp(turn.id)}
      >
        Give up
      </button>
    </div>
  );
}

function isOnScreen(element: HTMLElement | null): boolean {
  return document.visibilityState === "visible" && element?.checkVisibility() === true;
}

function Details({ turn }: { turn: Turn }) {
  const [copied, setCopied] = useState(false);
  const facts = factsOf(turn);
  const report = facts.map(([name, value]) => `${name}: ${value}`).join("\n");
  return (
    <details class="arn-details">
      <summary data-testid="details">Details</summary>
      <dl class="arn-facts">
        {facts.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
      <button
        type="button"
        class="arn-pill"
        data-testid="copy-report"
        onClick={async () => setCopied(await copyText(report))}
      >
        <Icon name={copied ? "check" : "copy"} size={14} />
        {copied ? "Copied" : "Copy report"}
      </button>
    </details>
  );
}

function factsOf({ id, error }: Turn): [string, string][] {
  const facts: [string, string | null | undefined][] = [
    ["Error", error?.type ?? "unknown"],
    ["Message", error?.message],
    ["Where", error?.where],
    ["May work later", error?.retryable ? "yes" : "not without a change"],
    ["Request", id],
  ];
  return facts.filter((fact): fact is [string, string] => Boolean(fact[1]));
}
