/** What the panel is doing, in one word for the eye and one line for the reader. */

import type { Link } from "../shared/connection.ts";
import { count } from "../shared/format.ts";
import { asksForApproval, type Conversation, type Turn } from "./model.ts";

export interface Status {
  tone: "ready" | "busy" | "waiting" | "attention" | "failed" | "off";
  text: string;
  /** When what it says began, POSIX seconds by the kernel's clock. */
  since?: number | undefined;
}

export function status(picture: Conversation, link: Link, sending: number): Status {
  if (link === "gone") return { tone: "off", text: "not connected" };
  if (link === "silent") return { tone: "off", text: "kernel is busy" };
  if (picture.phase === "stopped") return { tone: "off", text: "runtime stopped" };
  if (picture.phase === "offline") return { tone: "off", text: "runtime is away" };
  const running = picture.turns.find(
    (turn) => turn.status === "running" || turn.status === "stopping",
  );
  if (running) return runningStatus(running);
  const waiting = picture.turns.filter((turn) => turn.status === "waiting").length;
  if (waiting + sending > 0) {
    const behind = waiting > 1 ? ` (${count(waiting, "message")})` : "";
    return { tone: "waiting", text: `waiting${behind}` };
  }
  if (picture.phase === "loading") return { tone: "waiting", text: "loading" };
  if (asksForApproval(picture.turns)) return { tone: "attention", text: "needs you" };
  const last = picture.turns.at(-1)?.status;
  if (last === "failed") return { tone: "failed", text: "failed" };
  if (last === "interrupted") return { tone: "attention", text: "interrupted" };
  return { tone: "ready", text: "ready" };
}

function runningStatus(turn: Turn): Status {
  const since = turn.started_at;
  if (turn.status === "stopping") return { tone: "busy", text: "stopping", since };
  const item = turn.items.at(-1);
  if (item?.kind === "tool" && item.result === null) {
    return { tone: "busy", text: `using ${item.name}`, since };
  }
  if (item?.kind === "text") return { tone: "busy", text: "writing", since };
  return { tone: "busy", text: "thinking", since };
}
