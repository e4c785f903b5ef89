import { useEffect, useId, useRef } from "preact/hooks";
import { memo } from "../shared/memo.tsx";
import { Banner } from "./banner.tsx";
import { Composer } from "./composer/composer.tsx";
import { useFocusRestore } from "./focus_restore.ts";
import { Header } from "./header.tsx";
import type { ChatStore } from "./store/chat_store.ts";
import { Announcer } from "./transcript/announcer.tsx";
import { Transcript } from "./transcript/transcript.tsx";

export function Panel({ store }: { store: ChatStore }) {
  const heading = useId();
  const root = useRef<HTMLElement>(null);
  const picture = store.picture.value;
  useTicking(store);
  useFocusRestore(root);
  return (
    <section
      class="arn arn-chat"
      ref={root}
      data-testid="chat-panel"
      data-phase={picture.phase}
      data-link={store.connection.link.value}
      data-side-channel={store.sideChannel.state.value.kind}
      data-seq={picture.seq}
      data-lm-suppress-shortcuts="true"
      aria-labelledby={heading}
      // Keys belong to the panel: "dd" in a message must not delete the cell.
      onKeyDown={(event) => event.stopPropagation()}
      onKeyUp={(event) => event.stopPropagation()}
      onKeyPress={(event) => event.stopPropagation()}
    >
      <Parts store={store} heading={heading} />
    </section>
  );
}

/** They follow what they show by themselves. */
const Parts = memo(({ store, heading }: { store: ChatStore; heading: string }) => (
  <>
    <Header store={store} heading={heading} />
    <Transcript store={store} heading={heading} />
    <Banner store={store} />
    <Composer store={store} />
    <Announcer store={store} />
  </>
));

/** A clock for what counts up or down, only while something does. */
function useTicking(store: ChatStore) {
  const isCounting =
    store.status.value.since !== undefined || store.autoRetryTarget.value !== undefined;
  useEffect(() => {
    if (!isCounting) return;
    store.tick();
    const timer = setInterval(() => store.tick(), 1000);
    return () => clearInterval(timer);
  }, [isCounting, store]);
}
