import type { ReadonlySignal } from "@preact/signals";
import { duration, elapsed } from "../../shared/format.ts";
import { Icon } from "../../shared/icons.tsx";
import type { ToolItem } from "../store/model.ts";
import { ExactText } from "./exact_text.tsx";
import { jsonSummary, prettyJson } from "./json_text.ts";
import { RichResults } from "./rich_result.tsx";

type Clock = ReadonlySignal<number> | undefined;
type State = "running" | "unfinished" | "denied" | "failed" | "done";

interface ToolProps {
  item: ToolItem;
  /** Whether its turn goes on. */
  open: boolean;
  clock: Clock;
}

/** A call in one line; what it was given and gave is inside. */
export function Tool({ item, open, clock }: ToolProps) {
  const state = stateOf(item, open);
  const rich = item.rich ?? [];
  return (
    <div class="arn-tool" data-state={state}>
      <details data-testid="tool" data-state={state}>
        <summary>
          <Sign state={state} />
          <span class="arn-tool-name">
            <ExactText text={item.name} />
          </span>
          <bdi class="arn-tool-arguments">{jsonSummary(item.arguments)}</bdi>
          <span class="arn-tool-state">
            <Progress item={item} state={state} clock={clock} />
          </span>
          <Icon name="chevron" size={14} />
        </summary>
        <div class="arn-tool-body">
          {item.arguments && <Field name="Arguments" text={item.arguments} />}
          {item.result !== null && (
            <Field name={state === "failed" ? "Error" : "Result"} text={item.result} />
          )}
          {!item.arguments && item.result === null && <p>Nothing to show yet.</p>}
        </div>
      </details>
      {rich.length > 0 && <RichResults results={rich} of={item.name} />}
    </div>
  );
}

function stateOf(item: ToolItem, open: boolean): State {
  if (item.result === null) return open ? "running" : "unfinished";
  if (item.denied) return "denied";
  return item.failed ? "failed" : "done";
}

function Sign({ state }: { state: State }) {
  if (state === "running") return <span class="arn-spinner" aria-hidden="true" />;
  if (state === "done") return <Icon name="check" size={14} />;
  if (state === "denied") return <Icon name="denied" size={14} />;
  return <Icon name="cross" size={14} />;
}

interface ProgressProps {
  item: ToolItem;
  state: State;
  clock: Clock;
}

/** Of its own, so that only these words are drawn anew each second. */
function Progress({ item, state, clock }: ProgressProps) {
  if (state === "running") {
    const since = item.started_at ?? 0;
    const time = since && clock ? ` ${elapsed(clock.value - since)}` : "";
    return <>running{time}</>;
  }
  const took = typeof item.duration === "number" ? duration(item.duration) : "";
  if (state === "done") return took || <span class="arn-hidden">done</span>;
  return (
    <>
      {state}
      {state === "failed" && took ? ` · ${took}` : ""}
    </>
  );
}

function Field({ name, text }: { name: string; text: string }) {
  return (
    <div>
      <span class="arn-field-name">{name}</span>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long text is scrolled by keys */}
      <pre tabIndex={0}>
        <ExactText text={prettyJson(text)} />
      </pre>
    </div>
  );
}
