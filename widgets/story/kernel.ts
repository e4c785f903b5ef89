/** What the kernel really sends, as tests/browser/story_fixtures.py has recorded it. */

import type { Conversation } from "../src/chat_panel/store/model.ts";
import type { KernelMessage } from "./fake_model.ts";
import recorded from "./kernel.json";

interface Recorded {
  picture: Conversation;
  conversations?: KernelMessage;
  page?: KernelMessage;
}

const scenes = recorded as unknown as Record<string, Recorded>;
const NOW = Date.now() / 1000;
const MOMENTS = new Set(["started_at", "ended_at"]);

/** A scene, with its times moved from "seconds from now" to the clock. */
export function scene(name: string): Recorded {
  const found = scenes[name];
  if (!found) throw new Error(`kernel.json has no scene ${name}`);
  return atThisTime(found) as Recorded;
}

export function atThisTime(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(atThisTime);
  if (typeof value !== "object" || value === null) return value;
  const pairs = Object.entries(value).map(([key, one]) => [
    key,
    MOMENTS.has(key) && typeof one === "number" ? NOW + one : atThisTime(one),
  ]);
  return Object.fromEntries(pairs);
}
