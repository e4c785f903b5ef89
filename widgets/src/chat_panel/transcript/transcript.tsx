import { Fragment } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { focusTemporarily } from "../../shared/focus.ts";
import { Icon } from "../../shared/icons.tsx";
import { memo } from "../../shared/memo.tsx";
import type { ChatStore } from "../store/chat_store.ts";
import {
  type Branch,
  branchesByTurn,
  type Conversation,
  isInWork,
  isOpen,
  lastRestoredTurn,
  queuedTurns,
  retriedTurnIds,
  type Turn,
  turnAwaitingApproval,
} from "../store/model.ts";
import { AutoScroll } from "./auto_scroll.ts";
import { BranchControl } from "./branch_control.tsx";
import { useBranchNavigation } from "./branch_navigation.ts";
import { OutgoingMessageView } from "./outgoing_message.tsx";
import { TurnView } from "./turn.tsx";
import { groupTurns, type TurnBlock } from "./turn_blocks.ts";
import { useVisibleTurns } from "./visible_turns.ts";

export function Transcript({ store, heading }: { store: ChatStore; heading: string }) {
  const box = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const { following, follower } = useAutoScroll(box, content);
  const picture = store.picture.value;
  const window = useVisibleTurns(picture, store);
  const sending = useBubbles(store);
  const streaming = picture.turns.some(isOpen);

  useKeptPlace(window.turns[0]?.id, box, follower);
  useBranchNavigation(store, { content, follower });
  const earlier = useEarlierButton(content, picture.instance_id);
  // What one sends oneself is always shown; the queue is, wherever one reads.
  const newest = sending.at(-1)?.id;
  useEffect(() => {
    if (newest) follower.current?.scrollToBottom();
  }, [newest, follower]);
  useEffect(() => {
    if (!store.branchNavigation?.isDone) follower.current?.scrollToBottom();
  }, [picture.instance_id, follower, store]);

  const isEmpty = picture.turns.length === 0 && store.sending.value.length === 0;
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
          {window.more && (
            <Earlier store={store} button={earlier} onPress={window.showEarlier} />
          )}
          <Turns turns={window.turns} picture={picture} store={store} />
          {sending.map((message) => (
            <OutgoingMessageView key={message.id} message={message} store={store} />
          ))}
          {isEmpty && <Empty store={store} />}
        </div>
      </div>
      {!following && (
        <button
          type="button"
          class="arn-jump"
          data-testid="jump"
          onClick={() => follower.current?.scrollToBottom()}
        >
          <Icon name="down" size={14} /> Latest
        </button>
      )}
    </div>
  );
}

interface TurnsProps {
  turns: Turn[];
  picture: Conversation;
  store: ChatStore;
}

function Turns({ turns, picture, store }: TurnsProps) {
  const before = useRef<TurnBlock[]>([]);
  // What waits behind another one stands above the composer.
  const waiting = new Set(queuedTurns(picture.turns).map((turn) => turn.id));
  const shown = waiting.size ? turns.filter((turn) => !waiting.has(turn.id)) : turns;
  const blocks = groupTurns(shown, before.current);
  before.current = blocks;

  const branches = branchesByTurn(picture);
  const again = retriedTurnIds(picture.turns);
  const restored = lastRestoredTurn(picture);
  const asking = turnAwaitingApproval(picture.turns);
  const isFree = !store.isReadOnly.value && store.sending.value.length === 0;
  const last = isFree ? picture.turns.at(-1)?.id : undefined;
  const atEnd = branches.get("");
  return (
    <>
      {blocks.map((block) => {
        const has = (id: string | undefined) =>
          id !== undefined && block.turns.some((turn) => turn.id === id);
        return (
          <BlockView
            key={block.key}
            turns={block.turns}
            isLast={block === blocks.at(-1)}
            store={store}
            last={has(last) ? last : undefined}
            restored={has(restored) ? restored : undefined}
            asking={asking && !store.isReadOnly.value && has(asking.id)}
            again={idsIn(block.turns, again)}
            branches={branchesIn(block.turns, branches)}
          />
        );
      })}
      {atEnd && <BranchControl branch={atEnd} store={store} />}
    </>
  );
}

interface BlockProps {
  turns: Turn[];
  isLast: boolean;
  store: ChatStore;
  last: string | undefined;
  restored: string | undefined;
  asking: boolean | undefined;
  /** Ids of the turns that were repeated, as one text: it compares by value. */
  again: string;
  branches: Map<string, Branch> | undefined;
}

const BlockView = memo(
  ({ turns, isLast, store, last, restored, asking, again, branches }: BlockProps) => {
    const repeated = new Set(again.split("\n"));
    return (
      <div class="arn-block" data-last={isLast || undefined}>
        {turns.map((turn) => (
          <Fragment key={turn.id}>
            <TurnView
              turn={turn}
              store={store}
              isLast={turn.id === last}
              isAsking={Boolean(asking) && turn === turns.at(-1)}
              isRetried={repeated.has(turn.id)}
              branch={branches?.get(turn.id)}
            />
            {turn.id === restored && (
              <p class="arn-divider" data-testid="restored">
                <span>Restored · an earlier kernel ended here</span>
              </p>
            )}
          </Fragment>
        ))}
      </div>
    );
  },
);

function idsIn(turns: Turn[], ids: Set<string>): string {
  if (ids.size === 0) return "";
  return turns
    .filter((turn) => ids.has(turn.id))
    .map((turn) => turn.id)
    .join("\n");
}

/** Undefined where there are none, so that nothing is drawn again for them. */
function branchesIn(
  turns: Turn[],
  branches: Map<string, Branch>,
): Map<string, Branch> | undefined {
  if (branches.size === 0) return undefined;
  return turns.some((turn) => branches.has(turn.id)) ? branches : undefined;
}

/** Messages on their way that will be answered at once; the others are in the queue. */
function useBubbles(store: ChatStore) {
  const sending = store.sending.value;
  const isBusy = store.picture.value.turns.some(isInWork);
  return isBusy ? sending.filter((message) => message.refused) : sending;
}

function useAutoScroll(
  box: { current: HTMLElement | null },
  content: { current: HTMLElement | null },
) {
  const follower = useRef<AutoScroll | undefined>(undefined);
  const [following, setFollowing] = useState(true);
  useLayoutEffect(() => {
    if (!box.current || !content.current) return;
    follower.current = new AutoScroll(box.current, content.current, setFollowing);
    return () => follower.current?.dispose();
  }, []);
  return { following, follower };
}

/** Keep the reader's place when earlier turns come in above it. */
function useKeptPlace(
  first: string | undefined,
  box: { current: HTMLElement | null },
  follower: { current: AutoScroll | undefined },
): void {
  const shown = useRef(first);
  const height = shown.current === first ? null : (box.current?.scrollHeight ?? null);
  useLayoutEffect(() => {
    if (height !== null) follower.current?.keepPosition(height);
    shown.current = first;
  });
}

/** Whoever was at the button when the first turns came is at the first of them. */
function useEarlierButton(content: { current: HTMLElement | null }, of: string) {
  const button = useRef<HTMLButtonElement>(null);
  const before = useRef(of);
  const wasAt = button.current !== null && document.activeElement === button.current;
  useLayoutEffect(() => {
    const isSame = before.current === of;
    before.current = of;
    const first = content.current?.querySelector<HTMLElement>("[data-testid=turn]");
    if (isSame && wasAt && !button.current && first) focusTemporarily(first);
  });
  return button;
}

interface EarlierProps {
  store: ChatStore;
  button: { current: HTMLButtonElement | null };
  onPress: () => void;
}

function Earlier({ store, button, onPress }: EarlierProps) {
  const loading = store.loadingEarlier.value;
  return (
    <button
      type="button"
      class="arn-pill arn-earlier"
      ref={button}
      // Not disabled: whoever has pressed it stays here.
      aria-disabled={loading}
      data-testid="load-earlier"
      onClick={() => loading || onPress()}
    >
      {loading ? "Loading…" : "Load earlier messages"}
    </button>
  );
}

function Empty({ store }: { store: ChatStore }) {
  const { title, starters, phase, storage } = store.picture.value;
  if (phase === "loading" && store.connection.link.value !== "gone") {
    return <p class="arn-empty-note">Opening the conversation…</p>;
  }
  return (
    <div class="arn-empty" data-testid="empty">
      <p class="arn-empty-title">Talk to {title || "the agent"}</p>
      {starters.length > 0 && !store.isReadOnly.value && (
        <div class="arn-starters">
          {starters.slice(0, 4).map((starter) => (
            <button
              key={starter}
              type="button"
              class="arn-starter"
              data-testid="starter"
              disabled={store.dead.value}
              onClick={() => store.sendMessage(starter)}
            >
              {starter}
            </button>
          ))}
        </div>
      )}
      {storage && <p class="arn-empty-note">Kept in {storage}</p>}
    </div>
  );
}
