import { useEffect, useRef, useState } from "preact/hooks";
import { isOpen } from "./model.ts";
import { news, type Said } from "./news.ts";
import type { ChatStore } from "./store.ts";

const EVERY = 2_500;

/**
 * Tells listeners what happens: whole sentences at intervals while an answer streams
 * (the log itself is silent then), tools, questions, endings, and what was done from
 * the menu. Failures are alerts of their own.
 */
export function Announcer({ store }: { store: ChatStore }) {
  const [text, setText] = useState("");
  const said = useRef<Said>({ id: "", length: 0, open: false, asked: "" });
  const { turns } = store.picture.value;
  // What waits in the queue says nothing yet.
  const turn = turns.findLast((one) => one.status !== "waiting") ?? turns.at(-1);
  const latest = useRef(turn);
  latest.current = turn;

  const speak = () => {
    const current = latest.current;
    if (!current) return;
    const isTriedAgain = store.countingDown.peek() === current.id;
    const words = news(said.current, current, isTriedAgain);
    if (words) setText(words);
  };
  const open = turn !== undefined && isOpen(turn);
  useEffect(() => {
    speak();
    if (!open) return;
    const timer = setInterval(speak, EVERY);
    return () => clearInterval(timer);
  }, [open, turn?.id]);
  const done = store.conversations.said.value;
  useEffect(() => {
    if (done) setText(done);
  }, [done]);

  return (
    <p class="arn-hidden" role="status" aria-live="polite" data-testid="announcer">
      {text}
    </p>
  );
}
