/** What the panel is doing, in one word for the eye and one line for the reader. */

import type { LinkState } from "../../shared/connection.ts";
import { count } from "../../shared/format.ts";
import {
  type Conversation,
  isInWork,
  type Turn,
  turnAwaitingApproval,
} from "./model.ts";
import { isRateLimited } from "./rate_limit.ts";

export interface PanelStatus {
  tone: "ready" | "busy" | "waiting" | "attention" | "failed" | "off";
  text: string;
  /** When what it says began, POSIX seconds by the kernel's clock. */
  since?: number | undefined;
}

export function statusOf(
  picture: Conversation,
  link: LinkState,
  sending: number,
): PanelStatus {
  if (link === "gone") return { tone: "off", text: "not connected" };
  if (link === "silent") return { tone: "off", text: "kernel is busy" };
  if (picture.phase === "stopped") return { tone: "off", text: "runtime stopped" };
  if (picture.phase === "offline") return { tone: "off", text: "runtime is away" };
  const { turns } = picture;
  const working = turns.find(isInWork);
  if (working) return workingStatus(working);
  const waiting = turns.filter((turn) => turn.status === "waiting").length + sending;
  if (waiting > 0) {
    const ahead = waiting > 1 ? ` (${count(waiting, "message")})` : "";
    return { tone: "waiting", text: `waiting${ahead}` };
  }
  if (picture.phase === "loading") return { tone: "waiting", text: "loading" };
  if (turnAwaitingApproval(turns)) return { tone: "attention", text: "needs you" };
  return restingStatus(turns.at(-1), picture.read_only === true);
}

function restingStatus(last: Turn | undefined, readOnly: boolean): PanelStatus {
  if (readOnly) return { tone: "off", text: "read only" };
  if (last?.discarded) return { tone: "ready", text: "ready" };
  if (isRateLimited(last)) return { tone: "attention", text: "service busy" };
  if (last?.status === "failed") return { tone: "failed", text: "failed" };
  if (last?.status === "interrupted") return { tone: "attention", text: "interrupted" };
  if (last?.status === "cancelled" && last.began !== false) {
    return { tone: "off", text: "stopped" };
  }
  return { tone: "ready", text: "ready" };
}

function workingStatus(turn: Turn): PanelStatus {
  const since = turn.started_at;
  if (turn.status === "stopping") return { tone: "busy", text: "stopping", since };
  const item = turn.items.at(-1);
  if (item?.kind === "tool" && item.result === null) {
    return { tone: "busy", text: `using ${item.name}`, since };
  }
  if (item?.kind === "text") return { tone: "busy", text: "writing", since };
  return { tone: "busy", text: "thinking", since };
}
