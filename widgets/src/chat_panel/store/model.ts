/** The picture of a conversation, and what the changes of the kernel do to it. */

import type { Picture } from "../../shared/state_sync.ts";

export type TurnStatus =
  | "waiting"
  | "running"
  | "stopping"
  | "completed"
  | "failed"
  | "cancelled"
  | "interrupted";

export interface Failure {
  type: string;
  message: string;
  retryable: boolean;
  /** Where in the agent's code or which service. */
  where?: string | null;
  /** Seconds for which a busy service asks for patience. */
  retry_after?: number | null;
}

export type MediaItem = { kind: "media"; uri: string | null; media_type: string };
/** What a tool gave beside text: an image as data URI, or markup that nobody checked. */
export type RichResult = { media_type: string; data: string };
export type ToolItem = {
  kind: "tool";
  id: string;
  name: string;
  arguments: string;
  result: string | null;
  failed: boolean;
  /** A person did not allow it. */
  denied?: boolean;
  rich?: RichResult[];
  /** POSIX seconds by the kernel's clock. */
  started_at?: number | null;
  /** Seconds; null while it runs, and for what was read from the store. */
  duration?: number | null;
};
/** What a person says to an approval; the item then has it, "deny" as "denied". */
export type Decision = "once" | "conversation" | "deny";
export type ApprovalItem = {
  kind: "approval";
  id: string;
  name: string;
  arguments: string;
  answer: "once" | "conversation" | "denied" | null;
  reason?: string | null;
};
export type NoticeItem = {
  kind: "notice";
  level: "info" | "warning" | "error";
  text: string;
};
export type UserItem = { kind: "user"; text: string; media: MediaItem[] };
export type TextItem = { kind: "text" | "value"; text: string };
export type ReasoningItem = {
  kind: "reasoning";
  text: string;
  /** Seconds; null while it grows, and for what was read from the store. */
  duration?: number | null;
};
export type Item =
  | UserItem
  | TextItem
  | ReasoningItem
  | ToolItem
  | ApprovalItem
  | NoticeItem
  | MediaItem;

export interface Turn {
  id: string;
  position: number;
  status: TurnStatus;
  items: Item[];
  /** POSIX seconds by the kernel's clock. */
  started_at?: number;
  /** Seconds; there once the turn has ended, as `ended_at`. */
  duration?: number;
  ended_at?: number;
  /** The model does not see the turn any more. */
  discarded?: boolean;
  /** What became of Stop; a refused one can be pressed again. */
  stop?: "asked" | "refused" | null;
  /** Why it could not be stopped, a sentence. */
  stop_detail?: string | null;
  error?: Failure;
  usage?: Record<string, unknown>;
  /** The turn that this one repeats. */
  retry_of?: string;
  /** False for an interrupted turn that never ran. */
  began?: boolean;
}

/** Conversations that differ from a place on. */
export interface Branch {
  /** The last turn that they share; null: they differ from the first on. */
  after: string | null;
  /** The original first. */
  options: { instance_id: string; name: string | null }[];
  /** Which of them is shown. */
  index: number;
}

export interface Conversation extends Picture {
  type_name: string;
  instance_id: string;
  /** What people call the conversation. */
  name?: string | null;
  title: string;
  starters: string[];
  /** "offline" is asked again, "stopped" is for good. */
  phase: "loading" | "live" | "offline" | "stopped";
  detail?: string;
  storage: string;
  /** Oldest first. */
  turns: Turn[];
  /** Whether there are turns before the first. */
  more: boolean;
  branches?: Branch[];
  /** Position of the last turn of an earlier kernel. */
  restored_until?: number | null;
  read_only?: boolean;
  /** Tools that run without asking. */
  allowed_tools?: string[];
}

export type ConversationChange =
  | { op: "turn"; turn: Turn }
  | { op: "patch"; id: string; set: Partial<Turn> }
  | { op: "item"; id: string; index: number; item: Item }
  | { op: "append"; id: string; index: number; field: string; text: string }
  | { op: "panel"; set: Partial<Conversation> };

export const EMPTY_CONVERSATION: Conversation = {
  seq: 0,
  type_name: "",
  instance_id: "",
  title: "",
  starters: [],
  phase: "loading",
  storage: "",
  turns: [],
  more: false,
};

export function reduceConversation(
  picture: Conversation,
  change: ConversationChange,
): Conversation {
  switch (change.op) {
    case "panel":
      return { ...picture, ...change.set };
    case "turn":
      return { ...picture, turns: withTurn(picture.turns, change.turn) };
    case "patch":
      return updateTurn(picture, change.id, (turn) => ({ ...turn, ...change.set }));
    case "item":
      return updateItem(picture, change.id, change.index, () => change.item);
    case "append":
      return updateItem(picture, change.id, change.index, (item) =>
        appended(item, change.field, change.text),
      );
  }
}

/** A new snapshot keeps the earlier pages that this front end has loaded before. */
export function mergeSnapshot(old: Conversation, next: Conversation): Conversation {
  const first = next.turns[0]?.position;
  const same = old.type_name === next.type_name && old.instance_id === next.instance_id;
  if (!same || first === undefined || !next.more) return next;
  const joins = old.turns.some((turn) => turn.position >= first);
  const earlier = old.turns.filter((turn) => turn.position < first);
  if (!joins || earlier.length === 0) return next;
  return { ...next, turns: [...earlier, ...next.turns], more: old.more };
}

/** A page of earlier turns, in front of what is there. */
export function withEarlierPage(
  picture: Conversation,
  { turns, more, restored_until = null }: Conversation,
): Conversation {
  const first = picture.turns[0]?.position ?? Number.POSITIVE_INFINITY;
  const earlier = turns.filter((turn) => turn.position < first);
  return {
    ...picture,
    turns: [...earlier, ...picture.turns],
    more,
    restored_until: picture.restored_until ?? restored_until,
  };
}

export function isInWork(turn: Turn): boolean {
  return turn.status === "running" || turn.status === "stopping";
}

export function isOpen(turn: Turn): boolean {
  return turn.status === "waiting" || isInWork(turn);
}

/** The turn whose questions can be answered: nothing was said after it. */
export function turnAwaitingApproval(turns: Turn[]): Turn | undefined {
  const last = turns.at(-1);
  const asks = last?.items.some(
    (item) => item.kind === "approval" && item.answer === null,
  );
  return asks && last && !isOpen(last) ? last : undefined;
}

/** Whether Stop has come to the turn; one that was refused before is asked anew. */
export function stopArrived(turn: Turn | undefined, wasRefused: boolean): boolean {
  if (!turn) return false;
  const isRefused = turn.stop === "refused" && !wasRefused;
  return isRefused || (turn.status !== "waiting" && turn.status !== "running");
}

/** Whether a question of a turn has its answer. */
export function isAnswered(turn: Turn | undefined, id: string): boolean {
  return (turn?.items ?? []).some(
    (item) => item.kind === "approval" && item.id === id && item.answer !== null,
  );
}

/** The ids of the turns that were sent again. */
export function retriedTurnIds(turns: Turn[]): Set<string> {
  const ids = new Set<string>();
  for (const { retry_of } of turns) if (retry_of) ids.add(retry_of);
  return ids;
}

/** Branches by the turn at which they differ; "" where that turn is still to come. */
export function branchesByTurn(picture: Conversation): Map<string, Branch> {
  const places = new Map<string, Branch>();
  const { turns, branches = [], more } = picture;
  for (const branch of branches) {
    const after = turns.findIndex((turn) => turn.id === branch.after);
    const first = branch.after === null && !more;
    if (after >= 0 || first) places.set(turns[after + 1]?.id ?? "", branch);
  }
  return places;
}

/** The messages that wait behind a turn in work; the first in line is not one of them. */
export function queuedTurns(turns: Turn[]): Turn[] {
  const waiting = turns.filter((turn) => turn.status === "waiting");
  return turns.some(isInWork) ? waiting : waiting.slice(1);
}

/** What Stop means now: the turn in work, else the one that comes next. */
export function stoppableTurn(turns: Turn[]): Turn | undefined {
  return turns.find(isInWork) ?? turns.find((turn) => turn.status === "waiting");
}

/** The last position that an earlier kernel has left, among the turns shown. */
export function lastRestoredTurn(picture: Conversation): string | undefined {
  const until = picture.restored_until ?? Number.NEGATIVE_INFINITY;
  return picture.turns.findLast((turn) => turn.position <= until)?.id;
}

/** Why an interrupted turn has no whole answer. */
export function interruptionText(turn: Turn): string {
  return turn.began === false
    ? "The kernel went away before this turn began"
    : "Interrupted: the kernel went away during this turn";
}

export function answerText(turn: Turn): string {
  return turn.items
    .flatMap((item) => (item.kind === "text" ? [item.text] : []))
    .join("\n\n");
}

function withTurn(turns: Turn[], turn: Turn): Turn[] {
  const place = turns.findIndex((other) => other.id === turn.id);
  if (place >= 0) return turns.with(place, turn);
  const after = turns.findIndex((other) => other.position > turn.position);
  return after < 0 ? [...turns, turn] : turns.toSpliced(after, 0, turn);
}

function updateTurn(
  picture: Conversation,
  id: string,
  update: (turn: Turn) => Turn,
): Conversation {
  const place = picture.turns.findIndex((turn) => turn.id === id);
  const turn = picture.turns[place];
  if (!turn) return picture;
  return { ...picture, turns: picture.turns.with(place, update(turn)) };
}

function updateItem(
  picture: Conversation,
  id: string,
  index: number,
  update: (item: Item | undefined) => Item | undefined,
): Conversation {
  return updateTurn(picture, id, (turn) => {
    const item = update(turn.items[index]);
    if (!item) return turn;
    const items = turn.items.slice();
    items[index] = item;
    return { ...turn, items };
  });
}

function appended(
  item: Item | undefined,
  field: string,
  text: string,
): Item | undefined {
  if (!item) return undefined;
  const before = (item as unknown as Record<string, string>)[field] ?? "";
  return { ...item, [field]: before + text };
}
