import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { focusOn, isFocusLost } from "../../shared/focus.ts";
import { Icon } from "../../shared/icons.tsx";
import type { Delivery } from "../../side_channel/side_channel.ts";
import type { ApprovalItem, Decision } from "../store/model.ts";
import { ExactText } from "./exact_text.tsx";
import { splitHidden } from "./hidden_characters.ts";
import type { ItemProps } from "./item_props.ts";
import { prettyJson } from "./json_text.ts";

type ApprovalProps = Omit<ItemProps, "item"> & { item: ApprovalItem };
type Outcome = "once" | "conversation" | "denied" | "unanswered";

/** A question that one reads before pressing: what would be run, with what exactly. */
export function Approval(props: ApprovalProps) {
  const { item, open, onAnswer } = props;
  const isAsked = onAnswer !== undefined || open;
  const outcome = item.answer ?? (isAsked ? null : "unanswered");
  const asked = outcome === null;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be a card everywhere
    <div
      class="arn-approval"
      role="group"
      aria-label={`Approval to run ${item.name}`}
      data-state={outcome ?? "open"}
      data-testid="approval"
    >
      <p class="arn-approval-title">
        {asked ? "May I run " : "Asked to run "}
        <code>
          <ExactText text={item.name} />
        </code>
        {asked ? "?" : ""}
      </p>
      {item.arguments && <Arguments text={item.arguments} />}
      {asked ? <Question {...props} /> : <Answer item={item} outcome={outcome} />}
    </div>
  );
}

/** The arguments laid out by white space alone, or to the letter. */
function Arguments({ text }: { text: string }) {
  const [isExact, setExact] = useState(false);
  const pretty = prettyJson(text);
  const marks = splitHidden(text).filter((part) => "mark" in part).length;
  return (
    <div class="arn-approval-call">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long text is scrolled by keys */}
      <pre class="arn-approval-arguments" tabIndex={0} dir="ltr">
        <ExactText text={isExact ? text : pretty} />
      </pre>
      <div class="arn-approval-facts">
        {marks > 0 && (
          <span class="arn-approval-warning" data-testid="hidden-warning">
            {marks === 1 ? "1 hidden character is" : `${marks} hidden characters are`}{" "}
            marked
          </span>
        )}
        {pretty !== text && (
          <button
            type="button"
            class="arn-link"
            data-testid="exact"
            aria-pressed={isExact}
            onClick={() => setExact(!isExact)}
          >
            {isExact ? "Laid out" : "Exactly as sent"}
          </button>
        )}
      </div>
    </div>
  );
}

function Question({ item, dead, delivery, onAnswer }: ApprovalProps) {
  const [isDenying, setDenying] = useState(false);
  const [isSent, setSent] = useState(false);
  const isStuck = delivery?.state === "held" || delivery?.state === "failed";
  const isUnderWay = isSent && !isStuck;
  const isOff = dead || onAnswer === undefined || isUnderWay;
  const denyButton = useRef<HTMLButtonElement>(null);
  const wasDenying = useRef(false);
  const answer = (decision: Decision, reason?: string) => {
    setSent(true);
    onAnswer?.(item.id, decision, reason);
  };
  // A refused answer is taken back by the kernel, which tells the question anew.
  useEffect(() => setSent(false), [item]);
  useLayoutEffect(() => {
    const button = denyButton.current;
    // The field has gone away: whoever was in it stands at its button.
    if (wasDenying.current && button && isFocusLost(button)) focusOn(button);
    wasDenying.current = isDenying;
  }, [isDenying]);
  return (
    <>
      {isDenying ? (
        <Reason
          isOff={isOff}
          isUnderWay={isUnderWay}
          onSend={(reason) => answer("deny", reason)}
          onBack={() => setDenying(false)}
        />
      ) : (
        <div class="arn-actions">
          <button
            type="button"
            class="arn-button arn-button-primary"
            data-testid="approve"
            disabled={isOff}
            onClick={() => answer("once")}
          >
            <Icon name="check" size={14} /> Approve once
          </button>
          <button
            type="button"
            class="arn-button"
            data-testid="approve-conversation"
            disabled={isOff}
            title={`${item.name} runs without a question from now on, here only`}
            onClick={() => answer("conversation")}
          >
            Allow for this conversation
          </button>
          <button
            type="button"
            class="arn-button"
            ref={denyButton}
            data-testid="deny"
            disabled={isOff}
            onClick={() => setDenying(true)}
          >
            Deny…
          </button>
        </div>
      )}
      <AnswerNote delivery={delivery} />
    </>
  );
}

interface ReasonProps {
  isOff: boolean;
  /** Whether it was sent: then it cannot be changed. */
  isUnderWay: boolean;
  onSend: (reason: string) => void;
  onBack: () => void;
}

function Reason({ isOff, isUnderWay, onSend, onBack }: ReasonProps) {
  const [reason, setReason] = useState("");
  const field = useRef<HTMLInputElement>(null);
  // Somebody pressed Deny to come here; nothing else moves the focus.
  useEffect(() => field.current?.focus({ preventScroll: true }), []);
  return (
    <form
      class="arn-actions"
      onSubmit={(event) => {
        event.preventDefault();
        if (!isOff) onSend(reason.trim());
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || event.isComposing) return;
        event.stopPropagation();
        onBack();
      }}
    >
      <input
        ref={field}
        class="arn-field arn-field-input"
        type="text"
        maxLength={2000}
        placeholder="Why not? (optional)"
        aria-label="Reason for the agent"
        data-testid="deny-reason"
        disabled={isUnderWay}
        value={reason}
        onInput={(event) => setReason(event.currentTarget.value)}
      />
      <button
        type="submit"
        class="arn-button arn-button-primary"
        data-testid="deny-send"
        disabled={isOff}
      >
        Deny
      </button>
      <button type="button" class="arn-button" onClick={onBack}>
        Back
      </button>
    </form>
  );
}

function AnswerNote({ delivery }: { delivery: Delivery | undefined }) {
  if (!delivery) return null;
  const isStuck = delivery.state === "held" || delivery.state === "failed";
  return (
    <p class="arn-note" role="status" data-testid="delivery-note">
      {isStuck ? delivery.reason : "Sending your answer…"}
    </p>
  );
}

function Answer({ item, outcome }: { item: ApprovalItem; outcome: Outcome }) {
  return (
    <p class="arn-approval-outcome" role="status" data-testid="approval-outcome">
      {WORDS[outcome]}
      {outcome === "denied" && item.reason ? `: ${item.reason}` : ""}
    </p>
  );
}

const WORDS: Record<Outcome, string> = {
  once: "Approved once",
  conversation: "Allowed for this conversation",
  denied: "Denied",
  unanswered: "Not answered",
};
