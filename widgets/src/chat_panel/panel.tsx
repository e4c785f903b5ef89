import { useEffect, useId, useRef } from "preact/hooks";
import { count } from "../shared/format.ts";
import { Announcer } from "./announcer.tsx";
import { Composer } from "./composer.tsx";
import { Header } from "./header.tsx";
import type { ChatStore } from "./store.ts";
import { Transcript } from "./transcript.tsx";

export function Panel({ store }: { store: ChatStore }) {
  const heading = useId();
  const picture = store.picture.value;
  useTicking(store);
  return (
    <section
      class="arn arn-chat"
      data-testid="chat-panel"
      data-phase={picture.phase}
      data-link={store.connection.link.value}
      data-seq={picture.seq}
      data-lm-suppress-shortcuts="true"
      aria-labelledby={heading}
      // Keys belong to the panel: "dd" in a message must not delete the cell.
      onKeyDown={(event) => event.stopPropagation()}
      onKeyUp={(event) => event.stopPropagation()}
      onKeyPress={(event) => event.stopPropagation()}
    >
      <Header store={store} heading={heading} />
      <Transcript store={store} heading={heading} />
      <Banner store={store} />
      <Composer store={store} />
      <Announcer store={store} />
    </section>
  );
}

/** A clock for what counts up, only while something does. */
function useTicking(store: ChatStore) {
  const counting = store.status.value.since !== undefined;
  const timer = useRef<ReturnType<typeof setInterval> | undefined>(undefined);
  useEffect(() => {
    if (!counting) return;
    store.tick();
    timer.current = setInterval(() => store.tick(), 1000);
    return () => clearInterval(timer.current);
  }, [counting, store]);
}

/** What stands between the person and the agent, in a sentence. */
function Banner({ store }: { store: ChatStore }) {
  const link = store.connection.link.value;
  const { phase, detail } = store.picture.value;
  const problem = store.problem.value;
  if (link === "gone") {
    return (
      <p class="arn-banner" data-tone="warning" role="status" data-testid="banner">
        No kernel is connected to this panel. Run the start cell, then this one: the
        conversation is kept.
      </p>
    );
  }
  if (link === "silent") {
    const waiting = store.sending.value.length;
    return (
      <p class="arn-banner" data-tone="info" role="status" data-testid="banner">
        The kernel does not answer at the moment; a cell may be running.
        {waiting > 0 && ` ${count(waiting, "message")} will be delivered then.`}
      </p>
    );
  }
  if (phase === "stopped") {
    return (
      <p class="arn-banner" data-tone="warning" role="status" data-testid="banner">
        This runtime was stopped. Run the start cell, then this one, to go on.
      </p>
    );
  }
  if (phase === "offline") {
    return (
      <p class="arn-banner" data-tone="warning" role="status" data-testid="banner">
        The runtime is away{detail ? `: ${detail}` : ""}. Trying again…
      </p>
    );
  }
  if (problem) {
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
  return null;
}
