/** Every state of the board of actors. */

import type { BoardPicture } from "../src/actor_dashboard/model.ts";

export interface BoardStory {
  name: string;
  says: string;
  picture: BoardPicture | Omit<BoardPicture, "seq">;
}

const NOW = Date.now() / 1000;

const row = (
  id: string,
  activity: "running" | "waiting" | "idle" | "stored",
  more: Partial<BoardPicture["rows"][number]> = {},
): BoardPicture["rows"][number] => {
  const [type = "", conversation = ""] = id.split("/");
  return {
    id,
    type,
    conversation,
    activity,
    turns: 7,
    waiting: 0,
    doing: "",
    since: null,
    last_status: "completed",
    error_type: null,
    latencies: [1.2, 0.8, 1.9, 2.4, 1.1, 0.9, 1.6],
    ...more,
  };
};

const quiet: BoardPicture["rows"] = Array.from({ length: 30 }, (_, at) =>
  row(`mock-ai/${String(at + 1).padStart(2, "0")}_quickstart-default`, "idle", {
    ...(at === 11 ? { last_status: "failed", error_type: "RateLimited" } : {}),
  }),
);

export const boardStories: BoardStory[] = [
  {
    name: "board-quiet",
    says: "Many actors, none at work.",
    picture: {
      title: "Actors",
      head: {
        phase: "live",
        status: "ok",
        storage: ".agent_runtime/state.db",
        loop_lag: 0.002,
        resident: 30,
        running: 0,
        waiting: 0,
      },
      hidden: 0,
      rows: quiet,
    },
  },
  {
    name: "board-one",
    says: "Few actors.",
    picture: {
      title: "Actors",
      head: { phase: "live" },
      hidden: 0,
      rows: quiet.slice(0, 2),
    },
  },
  {
    name: "board-empty",
    says: "No actor yet.",
    picture: { title: "Actors", head: { phase: "live" }, hidden: 0, rows: [] },
  },
  {
    name: "board",
    says: "Actors at work, waiting, idle and stored.",
    picture: {
      title: "Actors",
      hidden: 12,
      head: {
        phase: "live",
        status: "ok",
        storage: ".agent_runtime/state.db",
        loop_lag: 0.002,
        resident: 5,
        running: 2,
        waiting: 3,
      },
      rows: [
        row("critic/c-4", "idle", {
          last_status: "failed",
          error_type: "RateLimited",
          latencies: [0.6, 0.5, 0.7],
        }),
        row("echo/main", "stored", { turns: 2, latencies: [0.004, 0.003] }),
        row(
          "travel-agent/a very long name of a conversation about many things",
          "idle",
        ),
        row("travel-agent/trip-to-oslo", "running", {
          doing: "compare the night trains, and then book the hotel near the harbour",
          since: NOW - 12,
          waiting: 3,
        }),
        row("travel-agent/trip-to-rome", "running", {
          doing: "⚙ search_hotels",
          since: NOW - 2,
          turns: 1,
          latencies: [],
          last_status: null,
        }),
        row("weather/today", "waiting", { waiting: 1, last_status: "cancelled" }),
      ],
    },
  },
];
