/** The picture of all actors, and what the changes of the kernel do to it. */

import type { Picture } from "../shared/state_sync.ts";

export interface Row {
  id: string;
  type: string;
  conversation: string;
  activity: "running" | "waiting" | "idle" | "stored" | "quarantined";
  turns: number | null;
  waiting: number;
  /** The end of what the actor says, or the tool that it uses. */
  doing: string;
  /** When the running turn began, POSIX seconds by the kernel's clock. */
  since: number | null;
  last_status: string | null;
  error_type: string | null;
  /** Seconds, oldest first. */
  latencies: number[];
}

export interface BoardSummary {
  phase: "loading" | "live" | "offline" | "stopped";
  status?: string;
  storage?: string;
  /** Seconds. */
  loop_lag?: number;
  resident?: number;
  running?: number;
  waiting?: number;
  detail?: string;
}

export interface BoardPicture extends Picture {
  title: string;
  head: BoardSummary;
  /** Actors without a row. */
  hidden: number;
  rows: Row[];
}

export type BoardChange =
  | { op: "row"; row: Row }
  | { op: "gone"; id: string }
  | { op: "hidden"; hidden: number }
  | { op: "head"; head: BoardSummary };

export const EMPTY_BOARD: BoardPicture = {
  seq: 0,
  title: "Actors",
  head: { phase: "loading" },
  hidden: 0,
  rows: [],
};

export function reduceBoard(picture: BoardPicture, change: BoardChange): BoardPicture {
  switch (change.op) {
    case "head":
      return { ...picture, head: change.head };
    case "hidden":
      return { ...picture, hidden: change.hidden };
    case "gone":
      return { ...picture, rows: picture.rows.filter((row) => row.id !== change.id) };
    case "row":
      return { ...picture, rows: withRow(picture.rows, change.row) };
  }
}

function withRow(rows: Row[], row: Row): Row[] {
  const place = rows.findIndex((other) => other.id === row.id);
  if (place >= 0) return rows.with(place, row);
  const after = rows.findIndex((other) => compare(row, other) < 0);
  return after < 0 ? [...rows, row] : rows.toSpliced(after, 0, row);
}

function compare(one: Row, other: Row): number {
  return (
    compareText(one.type, other.type) ||
    compareText(one.conversation, other.conversation)
  );
}

function compareText(one: string, other: string): number {
  return one === other ? 0 : one < other ? -1 : 1;
}

/** The points of a sparkline, `x,y` pairs in a box of that size. */
export function sparkline(values: number[], width: number, height: number): string {
  if (values.length < 2) return "";
  const highest = Math.max(...values) || 1;
  const step = width / (values.length - 1);
  return values
    .map((value, index) => {
      const y = height - 1 - (value / highest) * (height - 2);
      return `${(index * step).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
