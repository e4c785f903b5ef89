/** What a screen reader is told of a turn as it goes on. */

import { answerText, isOpen, type Turn } from "../store/model.ts";
import { isRateLimited } from "../store/rate_limit.ts";
import { completeSentences, speakable } from "./speech_text.ts";

const ENDINGS: Partial<Record<Turn["status"], string>> = {
  completed: "The answer is complete.",
  cancelled: "Stopped.",
  interrupted: "Interrupted.",
};

/** How much of which turn was announced already. */
export interface Announced {
  id: string;
  /** Characters of the answer. */
  length: number;
  open: boolean;
  /** The approval that was announced last. */
  asked: string;
}

/** The turn to announce: one that waits, or was withdrawn, is silent. */
export function announcedTurn(turns: Turn[]): Turn | undefined {
  return turns.findLast(hasBegun) ?? turns.at(-1);
}

/**
 * The text of what was not announced yet, "" if there is nothing; updates `announced`.
 *
 * `triedAgain`: the turn that a busy service has put off and that is retried
 * automatically.
 */
export function announcement(
  announced: Announced,
  turns: Turn[],
  triedAgain?: string,
): string {
  const isAnnounced = ({ id }: Turn) => id === announced.id;
  if (!turns.some(isAnnounced)) startAt(announced, announcedTurn(turns));
  return turns
    .slice(turns.findIndex(isAnnounced))
    .filter(hasBegun)
    .map((turn) => announcementOf(announced, turn, turn.id === triedAgain))
    .filter(Boolean)
    .join(" ");
}

/** The words as another text than before: the same text is not read out again. */
export function distinct(before: string, words: string): string {
  return before === words ? `${words}\u00a0` : words;
}

function hasBegun({ status, began }: Turn): boolean {
  return status !== "waiting" && began !== false;
}

/** What was there before somebody looked is read in the log, not announced. */
function startAt(announced: Announced, turn: Turn | undefined): void {
  if (!turn) return;
  const open = isOpen(turn);
  const length = open ? 0 : answerText(turn).length;
  Object.assign(announced, { id: turn.id, length, open, asked: "" });
}

function announcementOf(
  announced: Announced,
  turn: Turn,
  isTriedAgain: boolean,
): string {
  if (announced.id !== turn.id) {
    Object.assign(announced, { id: turn.id, length: 0, open: true, asked: "" });
  }
  const answer = answerText(turn);
  const open = isOpen(turn);
  const rest = open
    ? completeSentences(answer, announced.length)
    : answer.slice(announced.length);
  announced.length += rest.length;
  const ending = announced.open && !open ? endingOf(turn, isTriedAgain) : "";
  announced.open = open;
  const parts = [speakable(rest), using(turn, open), asking(announced, turn), ending];
  return parts.filter(Boolean).join(" ");
}

function using(turn: Turn, open: boolean): string {
  const item = turn.items.at(-1);
  return open && item?.kind === "tool" && item.result === null
    ? `Using ${item.name}.`
    : "";
}

/** A question is announced once. */
function asking(announced: Announced, turn: Turn): string {
  const question = turn.items.findLast(
    (item) => item.kind === "approval" && item.answer === null,
  );
  if (question?.kind !== "approval" || question.id === announced.asked) return "";
  announced.asked = question.id;
  return `The agent asks for your approval to run ${question.name}.`;
}

function endingOf(turn: Turn, isTriedAgain: boolean): string {
  if (isRateLimited(turn)) {
    return `The model's service is busy${isTriedAgain ? "; it is tried again" : ""}.`;
  }
  const asks = turn.items.some(
    (item) => item.kind === "approval" && item.answer === null,
  );
  return asks ? "" : (ENDINGS[turn.status] ?? "");
}
