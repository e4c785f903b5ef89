import { count } from "../shared/format.ts";
import type { ChatStore } from "./store/chat_store.ts";

/** What stands between the person and the agent, in a sentence. */
export function Banner({ store }: { store: ChatStore }) {
  const told = obstacle(store);
  const problem = store.problem.value;
  if (told) {
    return (
      <p class="arn-banner" data-tone={told.tone} role="status" data-testid="banner">
        {told.text}
      </p>
    );
  }
  if (!problem) return null;
  return (
    <p class="arn-banner" data-tone="error" role="alert" data-testid="banner">
      {problem.message}
      <button
        type="button"
        class="arn-link"
        onClick={() => {
          store.problem.value = null;
        }}
      >
        Dismiss
      </button>
    </p>
  );
}

function obstacle(store: ChatStore): { tone: string; text: string } | null {
  const link = store.connection.link.value;
  const { phase, detail } = store.picture.value;
  if (link === "gone") {
    const text =
      "No kernel is connected to this panel. Run the start cell, then this one: the conversation is kept.";
    return { tone: "warning", text };
  }
  if (link === "silent" && !store.connection.hasAnswered) {
    const text =
      "The kernel has not answered yet: a cell is running, or there is no kernel. If none runs, run the start cell, then this one.";
    return { tone: "info", text };
  }
  if (link === "silent") {
    const waiting = store.sending.value.length;
    const then =
      waiting > 0 ? ` ${count(waiting, "message")} will be delivered then.` : "";
    const text = `The kernel does not answer at the moment; a cell may be running.${then}`;
    return { tone: "info", text };
  }
  if (phase === "stopped") {
    const text =
      "This runtime was stopped. Run the start cell, then this one, to go on.";
    return { tone: "warning", text };
  }
  if (phase === "offline") {
    const why = detail ? `: ${detail}` : "";
    return { tone: "warning", text: `The runtime is away${why}. Trying again…` };
  }
  return null;
}
