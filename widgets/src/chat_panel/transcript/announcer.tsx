import { useEffect, useRef, useState } from "preact/hooks";
import type { ChatStore } from "../store/chat_store.ts";
import { isOpen } from "../store/model.ts";
import {
  type Announced,
  announcedTurn,
  announcement,
  distinct,
} from "./announcements.ts";

const EVERY = 2_500;

/**
 * Tells listeners what happens: whole sentences at intervals while an answer streams
 * (the log itself is silent then), tools, questions, endings, and what was done from
 * the menu. Failures are alerts of their own.
 */
export function Announcer({ store }: { store: ChatStore }) {
  const [text, setText] = useState("");
  const announced = useRef<Announced>({ id: "", length: 0, open: false, asked: "" });
  const turn = announcedTurn(store.picture.value.turns);
  const tell = (words: string) => {
    if (words) setText((before) => distinct(before, words));
  };
  const speak = () => {
    const { turns } = store.picture.peek();
    tell(announcement(announced.current, turns, store.autoRetryTarget.peek()));
  };
  const open = turn !== undefined && isOpen(turn);
  useEffect(() => {
    speak();
    if (!open) return;
    const timer = setInterval(speak, EVERY);
    return () => clearInterval(timer);
  }, [open, turn?.id]);
  const done = store.conversationActions.said.value;
  useEffect(() => tell(done.words), [done]);

  return (
    <p class="arn-hidden" role="status" aria-live="polite" data-testid="announcer">
      {text}
    </p>
  );
}
