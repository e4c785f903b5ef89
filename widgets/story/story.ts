/**
 * The widgets in every state, without a kernel: fixtures through a fake model.
 *
 *     python tools/frontend.py build, then open story/index.html over any file server
 *     that serves the repository's root. ?theme=dark, ?only=<name>, ?width=320
 */

import boardWidget from "../src/actor_dashboard/index.tsx";
import chatWidget from "../src/chat_panel/index.tsx";
import { boardStories, chatStories } from "./fixtures.ts";

type Listener = (...parts: unknown[]) => void;

class FakeModel {
  #listeners = new Map<string, Listener[]>();
  sent: unknown[] = [];
  #snapshot: Record<string, unknown>;

  constructor(snapshot: Record<string, unknown>, connected: boolean) {
    this.#snapshot = snapshot;
    this.connected = connected;
  }

  connected: boolean;

  get(): unknown {
    return this.#snapshot;
  }

  set(): void {}

  on(name: string, listener: Listener): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  send(message: { type: string }): void {
    this.sent.push(message);
    const { seq } = this.#snapshot as { seq: number };
    if (message.type === "ping" && this.connected) {
      this.receive({ type: "pong", seq, now: Date.now() / 1000 });
    }
    if (message.type === "list") {
      const items = ["trip-to-oslo", "trip-to-rome", "a question about taxes"].map(
        (instance_id, at) => ({ instance_id, turns: at + 2, activity: "stored" }),
      );
      this.receive({ type: "conversations", items });
    }
  }

  receive(message: unknown): void {
    queueMicrotask(() => {
      for (const listener of this.#listeners.get("msg:custom") ?? []) listener(message);
    });
  }
}

const query = new URLSearchParams(location.search);
if (query.get("theme") === "dark") document.body.dataset.jpThemeLight = "false";
const only = query.get("only");
const width = query.get("width");
const stories = [
  ...chatStories.map((story) => ({ ...story, widget: chatWidget })),
  ...boardStories.map((story) => ({ ...story, widget: boardWidget })),
];
const models: Record<string, FakeModel> = {};
Object.assign(globalThis, { models });

for (const { name, picture, connected = true, widget } of stories) {
  if (only && !only.split(",").includes(name)) continue;
  const place = document.createElement("div");
  place.className = "story";
  if (width) place.style.width = `${width}px`;
  const heading = document.createElement("h3");
  heading.textContent = name;
  const el = document.createElement("div");
  place.append(heading, el);
  document.body.append(place);
  const model = new FakeModel({ seq: 1, ...picture }, connected);
  models[name] = model;
  // biome-ignore lint/suspicious/noExplicitAny: the fake has what the widgets use
  const definition = (widget as any)();
  definition.initialize({ model });
  definition.render({ model, el });
}
