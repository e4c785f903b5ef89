/** What is new in a turn, for those who listen. */

import { answerText, isOpen, type Turn } from "../store/model.ts";
import { isRateLimited } from "../store/rate_limit.ts";
import { completeSentences, speakable } from "./speech_text.ts";

const ENDINGS: Partial<Record<Turn["status"], string>> = {
  completed: "The answer is complete.",
  cancelled: "Stopped.",
  interrupted: "Interrupted.",
};

/** How much of which turn was told already. */
export interface Announced {
  id: string;
  /** Characters of the answer. */
  length: number;
  open: boolean;
  /** The approval that was told last. */
  asked: string;
}

/** The turn that is told of: what waits, or was withdrawn, says nothing. */
export function announcedTurn(turns: Turn[]): Turn | undefined {
  return turns.findLast(hasBegun) ?? turns.at(-1);
}

/**
 * The words for what was not told yet, "" if there is nothing; `said` is brought up.
 *
 * `triedAgain`: the turn that a busy service has put off and that is tried again by
 * itself.
 */
export function announcement(
  said: Announced,
  turns: Turn[],
  triedAgain?: string,
): string {
  const isTold = ({ id }: Turn) => id === said.id;
  if (!turns.some(isTold)) startAt(said, announcedTurn(turns));
  return turns
    .slice(turns.findIndex(isTold))
    .filter(hasBegun)
    .map((turn) => newsOf(said, turn, turn.id === triedAgain))
    .filter(Boolean)
    .join(" ");
}

/** Another text for the same words: one that does not change is not told again. */
export function distinct(before: string, words: string): string {
  return before === words ? `${words}\u00a0` : words;
}

function hasBegun({ status, began }: Turn): boolean {
  return status !== "waiting" && began !== false;
}

/** What was there before somebody looked is read in the log, not announced. */
function startAt(said: Announced, turn: Turn | undefined): void {
  if (!turn) return;
  const open = isOpen(turn);
  const length = open ? 0 : answerText(turn).length;
  Object.assign(said, { id: turn.id, length, open, asked: "" });
}

function newsOf(said: Announced, turn: Turn, isTriedAgain: boolean): string {
  if (said.id !== turn.id) {
    Object.assign(said, { id: turn.id, length: 0, open: true, asked: "" });
  }
  const answer = answerText(turn);
  const open = isOpen(turn);
  const rest = open
    ? completeSentences(answer, said.length)
    : answer.slice(said.length);
  said.length += rest.length;
  const ending = said.open && !open ? endingOf(turn, isTriedAgain) : "";
  said.open = open;
  const parts = [speakable(rest), using(turn, open), asking(said, turn), ending];
  return parts.filter(Boolean).join(" ");
}

function using(turn: Turn, open: boolean): string {
  const item = turn.items.at(-1);
  return open && item?.kind === "tool" && item.result === null
    ? `Using ${item.name}.`
    : "";
}

/** A question is told once. */
function asking(said: Announced, turn: Turn): string {
  const question = turn.items.findLast(
    (item) => item.kind === "approval" && item.answer === null,
  );
  if (question?.kind !== "approval" || question.id === said.asked) return "";
  said.asked = question.id;
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
