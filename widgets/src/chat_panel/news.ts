/** What is new in a turn, for those who listen. */

import { isRateLimited } from "./limits.ts";
import { answerText, isOpen, type Turn } from "./model.ts";
import { completeSentences, speakable } from "./sentences.ts";

const ENDINGS: Partial<Record<Turn["status"], string>> = {
  completed: "The answer is complete.",
  cancelled: "Stopped.",
  interrupted: "Interrupted.",
};

/** How much of which turn was told already. */
export interface Said {
  id: string;
  /** Characters of the answer. */
  length: number;
  open: boolean;
  /** The approval that was told last. */
  asked: string;
}

/**
 * The words for what was not told yet, "" if there is nothing; `said` is brought up.
 *
 * `isTriedAgain`: a turn that a busy service has put off is tried again by itself.
 */
export function news(said: Said, turn: Turn, isTriedAgain = false): string {
  const answer = answerText(turn);
  const open = isOpen(turn);
  if (said.id !== turn.id) {
    // What was there before somebody looked is read in the log, not announced.
    const length = open ? 0 : answer.length;
    Object.assign(said, { id: turn.id, length, open, asked: "" });
  }
  const rest = open
    ? completeSentences(answer, said.length)
    : answer.slice(said.length);
  said.length += rest.length;
  const ending = said.open && !open ? endingOf(turn, isTriedAgain) : "";
  said.open = open;
  const parts = [rest, using(turn, open), asking(said, turn), ending];
  return speakable(parts.filter(Boolean).join(" "));
}

function using(turn: Turn, open: boolean): string {
  const item = turn.items.at(-1);
  return open && item?.kind === "tool" && item.result === null
    ? `Using ${item.name}.`
    : "";
}

/** A question is told once. */
function asking(said: Said, turn: Turn): string {
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
