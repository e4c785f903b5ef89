import { useEffect, useRef, useState } from "preact/hooks";
import { answerText, isOpen, type Turn } from "./model.ts";
import { completeSentences, speakable } from "./sentences.ts";
import type { ChatStore } from "./store.ts";

const EVERY = 2_500;
const ENDINGS: Partial<Record<Turn["status"], string>> = {
  completed: "The answer is complete.",
  cancelled: "Stopped.",
  interrupted: "Interrupted.",
};

/**
 * Tells listeners what happens: whole sentences at intervals while an answer streams
 * (the log itself is silent then), tools and endings. Failures are alerts of their own.
 */
export function Announcer({ store }: { store: ChatStore }) {
  const [text, setText] = useState("");
  const said = useRef({ id: "", length: 0, open: false });
  const turn = store.picture.value.turns.at(-1);
  const latest = useRef(turn);
  latest.current = turn;

  const speak = () => {
    const current = latest.current;
    if (!current) return;
    const words = next(said.current, current);
    if (words) setText(words);
  };
  const open = turn !== undefined && isOpen(turn);
  useEffect(() => {
    speak();
    if (!open) return;
    const timer = setInterval(speak, EVERY);
    return () => clearInterval(timer);
  }, [open, turn?.id]);

  return (
    <p class="arn-hidden" role="status" aria-live="polite" data-testid="announcer">
      {text}
    </p>
  );
}

interface Said {
  id: string;
  length: number;
  open: boolean;
}

function next(said: Said, turn: Turn): string {
  const answer = answerText(turn);
  const open = isOpen(turn);
  if (said.id !== turn.id) {
    // What was there before somebody looked is read in the log, not announced.
    Object.assign(said, { id: turn.id, length: open ? 0 : answer.length, open });
  }
  const tool = turn.items.at(-1);
  const rest = open
    ? completeSentences(answer, said.length)
    : answer.slice(said.length);
  said.length += rest.length;
  const ending = said.open && !open ? (ENDINGS[turn.status] ?? "") : "";
  said.open = open;
  const using = open && tool?.kind === "tool" ? `Using ${tool.name}.` : "";
  return speakable([rest, using, ending].filter(Boolean).join(" "));
}
