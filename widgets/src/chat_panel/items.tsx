import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { short } from "../shared/format.ts";
import { Icon } from "../shared/icons.tsx";
import { memo } from "../shared/memo.tsx";
import { GrowingMarkdown } from "./markdown.ts";
import type { ApprovalItem, Item, MediaItem, ToolItem, UserItem } from "./model.ts";
import { safeImage } from "./safety.ts";

interface ItemProps {
  item: Item;
  /** Whether text may still be appended to it. */
  grows: boolean;
  /** Whether its turn goes on. */
  open: boolean;
  onAnswer: ((id: string, approved: boolean) => void) | undefined;
}

export function ItemView({ item, grows, open, onAnswer }: ItemProps) {
  switch (item.kind) {
    case "user":
      return <User item={item} />;
    case "text":
      return <Markdown text={item.text} done={!grows} />;
    case "reasoning":
      return <Reasoning text={item.text} grows={grows} />;
    case "tool":
      return <Tool item={item} open={open} />;
    case "approval":
      return <Approval item={item} onAnswer={onAnswer} />;
    case "media":
      return <Media item={item} />;
    case "value":
      return <pre class="arn-value">{item.text}</pre>;
    case "notice":
      return (
        <p class="arn-notice" data-tone={item.level} data-testid="notice">
          {item.text}
        </p>
      );
  }
}

function User({ item }: { item: UserItem }) {
  return (
    <div class="arn-user" data-testid="user-message">
      <span class="arn-hidden">You said: </span>
      {item.text && <div class="arn-bubble">{item.text}</div>}
      {item.media.map((media, index) => (
        <Media key={index} item={media} />
      ))}
    </div>
  );
}

const Markdown = memo(({ text, done }: { text: string; done: boolean }) => {
  const root = useRef<HTMLDivElement>(null);
  const growing = useRef<GrowingMarkdown | undefined>(undefined);
  useLayoutEffect(() => {
    if (!root.current) return;
    growing.current ??= new GrowingMarkdown(root.current);
    growing.current.show(text, done);
  }, [text, done]);
  return (
    <div class="arn-markdown" ref={root} data-testid="answer" data-growing={!done} />
  );
});

function Reasoning({ text, grows }: { text: string; grows: boolean }) {
  return (
    <details class="arn-reasoning" data-testid="reasoning">
      <summary>
        <Icon name="chevron" size={14} />
        <span>{grows ? "Thinking…" : "Thought"}</span>
      </summary>
      <div class="arn-reasoning-text">{text}</div>
    </details>
  );
}

function Tool({ item, open }: { item: ToolItem; open: boolean }) {
  const state = toolState(item, open);
  return (
    <details class="arn-tool" data-state={state} data-testid="tool">
      <summary>
        <ToolState state={state} />
        <span class="arn-tool-name">{item.name}</span>
        <span class="arn-tool-arguments">{oneLine(item.arguments)}</span>
        <span class="arn-tool-state">{state === "done" ? "" : state}</span>
        <Icon name="chevron" size={14} />
      </summary>
      <div class="arn-tool-body">
        {item.arguments && <Field name="Arguments" text={pretty(item.arguments)} />}
        {item.result !== null && <Field name="Result" text={pretty(item.result)} />}
      </div>
    </details>
  );
}

function toolState(item: ToolItem, open: boolean): string {
  if (item.result === null) return open ? "running" : "unfinished";
  if (item.denied) return "denied";
  return item.failed ? "failed" : "done";
}

function ToolState({ state }: { state: string }) {
  if (state === "running") return <span class="arn-spinner" aria-hidden="true" />;
  if (state === "done") return <Icon name="check" size={14} />;
  if (state === "denied") return <Icon name="denied" size={14} />;
  return <Icon name="cross" size={14} />;
}

function Field({ name, text }: { name: string; text: string }) {
  return (
    <div class="arn-field">
      <span class="arn-field-name">{name}</span>
      <pre>{text}</pre>
    </div>
  );
}

interface ApprovalProps {
  item: ApprovalItem;
  onAnswer: ((id: string, approved: boolean) => void) | undefined;
}

function Approval({ item, onAnswer }: ApprovalProps) {
  const label = `Approval to run ${item.name}`;
  const asked = item.answer === null && onAnswer !== undefined;
  const outcome =
    item.answer === null
      ? asked
        ? null
        : "Not answered"
      : item.answer
        ? "Approved"
        : "Denied";
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be a card everywhere
    <div
      class="arn-approval"
      role="group"
      aria-label={label}
      data-state={outcome ?? "open"}
      data-testid="approval"
    >
      <p class="arn-approval-title">
        {asked ? "May I run " : "Asked to run "}
        <code>{item.name}</code>
        {asked ? "?" : ""}
      </p>
      {item.arguments && (
        <pre class="arn-approval-arguments">{pretty(item.arguments)}</pre>
      )}
      {asked && (
        <div class="arn-actions">
          <button
            type="button"
            class="arn-button arn-button-primary"
            data-testid="approve"
            onClick={() => onAnswer(item.id, true)}
          >
            <Icon name="check" size={14} /> Approve
          </button>
          <button
            type="button"
            class="arn-button"
            data-testid="deny"
            onClick={() => onAnswer(item.id, false)}
          >
            <Icon name="cross" size={14} /> Deny
          </button>
        </div>
      )}
      {outcome && (
        <p class="arn-approval-outcome" role="status" data-testid="approval-outcome">
          {outcome}
        </p>
      )}
    </div>
  );
}

/** Nothing is loaded from anywhere before somebody asks for it. */
function Media({ item }: { item: MediaItem }) {
  const [shown, setShown] = useState(false);
  const source = item.uri === null ? null : safeImage(item.uri);
  if (source === null) return <p class="arn-note">[{item.media_type}]</p>;
  if (shown) {
    return <img class="arn-media" src={source} alt="" referrerPolicy="no-referrer" />;
  }
  const host = source.startsWith("data:") ? "" : ` from ${new URL(source).host}`;
  return (
    <button type="button" class="arn-image-button" onClick={() => setShown(true)}>
      <Icon name="image" size={14} /> Show image{host}
    </button>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function oneLine(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      const parts = Object.entries(value).map(
        ([key, part]) =>
          `${key}: ${typeof part === "string" ? part : JSON.stringify(part)}`,
      );
      return short(parts.join(", "), 120);
    }
  } catch {
    // Arguments that still stream in are no JSON yet.
  }
  return short(text, 120);
}
