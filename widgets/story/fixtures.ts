/** Fixtures of every state of the widgets. */

import type { BoardPicture } from "../src/actor_dashboard/model.ts";
import type { Conversation, Item, Turn, TurnStatus } from "../src/chat_panel/model.ts";

interface Story<P> {
  name: string;
  picture: Partial<P>;
  connected?: boolean;
}

const NOW = Date.now() / 1000;
let position = 0;

function turn(status: TurnStatus, items: Item[], more: Partial<Turn> = {}): Turn {
  position += 1;
  const ended = !["waiting", "running", "stopping"].includes(status);
  return {
    id: `turn-${position}`,
    position,
    status,
    items,
    started_at: NOW - 3,
    ...(ended ? { duration: 3.14, usage: { total_token_count: 812 } } : {}),
    ...more,
  };
}

const user = (text: string): Item => ({ kind: "user", text, media: [] });
const text = (value: string): Item => ({ kind: "text", text: value });
const tool = (result: string | null, failed = false): Item => ({
  kind: "tool",
  id: "c1",
  name: "search_hotels",
  arguments: '{"city": "Oslo", "max_price": 120, "guests": 2}',
  result,
  failed,
});
const approval = (answer: boolean | null): Item => ({
  kind: "approval",
  id: "r1",
  name: "delete_file",
  arguments: '{"path": "reports/2025-draft.md"}',
  answer,
});

const PLAN = `Here is a plan for **three days in Oslo** under 400 €:

1. **Opera House** and the harbour promenade, free
2. *Vigeland* park, then a picnic
3. The Munch museum (\`160 NOK\`), see [its site](https://www.munchmuseet.no)

| Day | Where | Cost |
| --- | --- | ---: |
| 1 | Opera, harbour | 0 € |
| 2 | Vigeland | 12 € |
| 3 | Munch museum | 14 € |

\`\`\`python
def budget(days: int, per_day: float = 120.0) -> float:
    """What is left of 400 euros."""
    return 400 - days * per_day  # a rough guess

print(f"{budget(3):.2f} left")
\`\`\`

> Book the hotel early: June is busy.`;

const HOSTILE = `<script>alert(1)</script> <img src=x onerror=alert(1)>

[a bad link](javascript:alert(1)) and [a good one](https://example.org) and ![a picture](https://example.org/p.png) and ![bad](javascript:alert(2))`;

const base: Partial<Conversation> = {
  type_name: "travel-agent",
  instance_id: "trip-to-oslo",
  title: "travel-agent",
  phase: "live",
  storage: ".agent_runtime/state.db",
  turns: [],
  more: false,
  starters: [],
};

const question = user("Plan three days in Oslo under 400 €");

function chat(
  name: string,
  turns: Turn[],
  more: Partial<Conversation> = {},
  connected = true,
): Story<Conversation> {
  return { name, picture: { ...base, turns, ...more }, connected };
}

export const chatStories: Story<Conversation>[] = [
  chat("empty", [], {
    starters: [
      "Plan a weekend in Oslo",
      "What can you do?",
      "Compare night trains to Vienna",
    ],
  }),
  chat("answer", [turn("completed", [question, tool("3 hotels found"), text(PLAN)])], {
    more: true,
  }),
  chat("streaming", [
    turn("completed", [user("Hi"), text("Hello! How can I help you today?")]),
    turn("running", [
      question,
      { kind: "reasoning", text: "They want something cheap." },
      tool("3 hotels found"),
      text("Here is a plan for **three days in Os"),
    ]),
    turn("waiting", [user("and with kids?")]),
  ]),
  chat("thinking", [turn("running", [question])]),
  chat("tool-running", [
    turn("running", [question, text("Let me look for hotels."), tool(null)]),
  ]),
  chat("approval", [
    turn("completed", [
      user("Please delete the old draft report"),
      text("I can do that."),
      approval(null),
    ]),
  ]),
  chat("approval-answered", [
    turn("completed", [user("Please delete the draft"), approval(true)]),
    turn("completed", [tool("deleted"), text("Done: the draft is deleted.")]),
  ]),
  chat("stopped", [
    turn("completed", [user("Hi"), text("Hello!")]),
    turn("cancelled", [question, text("Here is a plan for three days in")]),
  ]),
  chat("failed", [
    turn("failed", [question, tool("Error: the service timed out", true)], {
      error: {
        type: "MissingApiKey",
        message: "No API key: set the environment variable OPENAI_API_KEY.",
        retryable: false,
      },
    }),
  ]),
  chat("interrupted", [
    turn("interrupted", [question, text("Here is a plan for **three days**, st")]),
  ]),
  chat(
    "disconnected",
    [turn("completed", [question, text("Saved with the notebook.")])],
    {},
    false,
  ),
  chat("offline", [turn("completed", [question, text("Fine.")])], {
    phase: "offline",
    detail: "the runtime is stopped; call start() first",
  }),
  chat(
    "stopped-runtime",
    [
      turn("interrupted", [question, text("Here is a plan")]),
      turn("interrupted", [user("and with kids?")], { began: false }),
      turn("completed", [user("Hi"), text("Hello!")], { retry_of: "nothing" }),
      turn("waiting", [user("never mind")]),
    ],
    { phase: "stopped" },
  ),
  chat("denied", [
    turn("completed", [user("Please delete the draft"), approval(false)]),
    turn("completed", [
      {
        kind: "tool",
        id: "c1",
        name: "delete_file",
        arguments: '{"path": "reports/2025-draft.md"}',
        result: "Error: Tool call invocation was rejected by user.",
        failed: false,
        denied: true,
      },
      text("Then I leave it."),
    ]),
  ]),
  chat("hostile", [turn("completed", [user("<b>hi</b>"), text(HOSTILE)])]),
];

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

export const boardStories: Story<BoardPicture>[] = [
  {
    name: "board-quiet",
    picture: {
      title: "Actors",
      head: { phase: "stopped", storage: ".agent_runtime/state.db", loop_lag: 0.002 },
      hidden: 0,
      rows: quiet,
    },
  },
  {
    name: "board-one",
    picture: {
      title: "Actors",
      head: { phase: "live" },
      hidden: 0,
      rows: quiet.slice(0, 2),
    },
  },
  {
    name: "board-empty",
    picture: { title: "Actors", head: { phase: "live" }, hidden: 0, rows: [] },
  },
  {
    name: "board",
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
