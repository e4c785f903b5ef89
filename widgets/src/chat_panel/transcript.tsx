import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../shared/icons.tsx";
import { BottomFollower } from "./follow.ts";
import { asksForApproval, isOpen, retried } from "./model.ts";
import type { ChatStore, Sending } from "./store.ts";
import { TurnView } from "./turn.tsx";

export function Transcript({ store, heading }: { store: ChatStore; heading: string }) {
  const box = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const { following, follower } = useFollower(box, content);
  const picture = store.picture.value;
  const { turns } = picture;
  const sending = store.sending.value;
  const streaming = turns.some(isOpen);

  useKeptPlace(turns[0]?.id, box, follower);
  // What one sends oneself is always shown.
  const newest = sending.at(-1)?.id;
  useEffect(() => {
    if (newest) follower.current?.jump();
  }, [newest, follower]);
  useEffect(() => {
    follower.current?.jump();
  }, [picture.instance_id, follower]);

  const asking = asksForApproval(turns);
  const last = turns.at(-1);
  const again = retried(turns);
  const isDead = store.dead.value;
  return (
    <div class="arn-scroll-root">
      <div
        class="arn-scroll"
        ref={box}
        role="log"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling box needs the keys
        tabIndex={0}
        aria-labelledby={heading}
        aria-live={streaming ? "off" : "polite"}
        aria-relevant="additions"
        aria-busy={streaming}
        data-testid="transcript"
      >
        <div class="arn-content" ref={content}>
          {picture.more && <Earlier store={store} />}
          {turns.map((turn) => (
            <TurnView
              key={turn.id}
              turn={turn}
              store={store}
              isLast={turn === last && sending.length === 0}
              isAsking={turn === asking && !isDead}
              isRetried={again.has(turn.id)}
              isDead={isDead}
            />
          ))}
          {sending.map((message) => (
            <SendingView key={message.id} message={message} store={store} />
          ))}
          {turns.length === 0 && sending.length === 0 && <Empty store={store} />}
        </div>
      </div>
      {!following && (
        <button
          type="button"
          class="arn-jump"
          data-testid="jump"
          onClick={() => follower.current?.jump()}
        >
          <Icon name="down" size={14} /> Latest
        </button>
      )}
    </div>
  );
}

function useFollower(
  box: { current: HTMLElement | null },
  content: { current: HTMLElement | null },
) {
  const follower = useRef<BottomFollower | undefined>(undefined);
  const [following, setFollowing] = useState(true);
  useLayoutEffect(() => {
    if (!box.current || !content.current) return;
    follower.current = new BottomFollower(box.current, content.current, setFollowing);
    return () => follower.current?.dispose();
  }, []);
  return { following, follower };
}

/** Keep the reader's place when a page of earlier turns comes in above it. */
function useKeptPlace(
  first: string | undefined,
  box: { current: HTMLElement | null },
  follower: { current: BottomFollower | undefined },
): void {
  const shown = useRef(first);
  const height = shown.current === first ? null : (box.current?.scrollHeight ?? null);
  useLayoutEffect(() => {
    if (height !== null) follower.current?.grewAbove(height);
    shown.current = first;
  });
}

function Earlier({ store }: { store: ChatStore }) {
  const loading = store.loadingEarlier.value;
  return (
    <button
      type="button"
      class="arn-pill arn-earlier"
      disabled={loading}
      data-testid="load-earlier"
      onClick={() => store.loadEarlier()}
    >
      {loading ? "Loading…" : "Load earlier messages"}
    </button>
  );
}

function Empty({ store }: { store: ChatStore }) {
  const { title, starters, phase } = store.picture.value;
  if (phase === "loading" && store.connection.link.value !== "gone") {
    return <p class="arn-empty-note">Opening the conversation…</p>;
  }
  return (
    <div class="arn-empty" data-testid="empty">
      <p class="arn-empty-title">Talk to {title || "the agent"}</p>
      {starters.length > 0 && (
        <div class="arn-starters">
          {starters.slice(0, 4).map((starter) => (
            <button
              key={starter}
              type="button"
              class="arn-starter"
              data-testid="starter"
              disabled={store.dead.value}
              onClick={() => store.say(starter)}
            >
              {starter}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

function SendingView({ message, store }: { message: Sending; store: ChatStore }) {
  const { refused } = message;
  return (
    <article
      class="arn-turn"
      data-testid="turn"
      data-status={refused ? "refused" : "sending"}
    >
      <div class="arn-user">
        <div class="arn-bubble">{message.text}</div>
      </div>
      {refused ? (
        <div class="arn-failure" role="alert">
          <p class="arn-failure-text">Not sent: {refused.message}</p>
          <div class="arn-actions">
            <button
              type="button"
              class="arn-pill"
              disabled={store.dead.value}
              onClick={() => store.sayAgain(message)}
            >
              Send again
            </button>
            <button
              type="button"
              class="arn-pill"
              onClick={() => {
                store.discard(message.id);
                store.write(message.text);
              }}
            >
              Edit
            </button>
          </div>
        </div>
      ) : (
        <p class="arn-user-note">sending…</p>
      )}
    </article>
  );
}
