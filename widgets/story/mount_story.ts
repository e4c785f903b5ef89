/** Shows one story: the widget with its fake model, and what a person did. */

import "./lab.css"; // first: the widgets are drawn over it
import boardWidget from "../src/actor_dashboard/index.tsx";
import chatWidget from "../src/chat_panel/index.tsx";
import { boardStories } from "./board_stories.ts";
import { chatStories, type Story } from "./chat_stories.ts";
import { FakeModel } from "./fake_model.ts";
import { answerModule } from "./modules.ts";
import { type MountedStory, nextFrame } from "./user_actions.ts";

const PATIENCE = 10_000;

interface Definition {
  initialize(at: { model: FakeModel }): unknown;
  render(at: { model: FakeModel; el: HTMLElement }): () => void;
}

type Widget = () => Definition;

export interface MountableStory extends Story {
  widget: Widget;
}

export const stories: MountableStory[] = [
  ...chatStories.map((story) => ({
    ...story,
    widget: chatWidget as unknown as Widget,
  })),
  ...boardStories.map((story) => ({
    ...story,
    shows: ".arn",
    widget: boardWidget as unknown as Widget,
  })),
];

/**
 * Kernels that are silent for seconds are so for less than a second from here on.
 *
 * Returns what to call to have the real clock again.
 */
export function speedUpTimers(): () => void {
  const { setTimeout: after, setInterval: every } = globalThis;
  const shorter = (ms = 0) => (ms >= 5_000 ? ms / 50 : ms);
  Object.assign(globalThis, {
    setTimeout: (run: () => void, ms?: number) => after(run, shorter(ms)),
    setInterval: (run: () => void, ms?: number) => every(run, shorter(ms)),
  });
  return () => Object.assign(globalThis, { setTimeout: after, setInterval: every });
}

/** Draw a story into an element, until its state is reached. */
export async function mountStory(
  story: MountableStory,
  el: HTMLElement,
): Promise<MountedStory> {
  const { picture, widget, shows, act, link, answers, name } = story;
  el.dataset.story = name;
  const options = {
    ...(link ? { link } : {}),
    answers: { module: answerModule, ...answers },
  };
  const model = new FakeModel({ seq: 1, ...picture }, options);
  const definition = widget();
  definition.initialize({ model });
  const close = definition.render({ model, el });
  const mounted: MountedStory = { el, model, close };
  await nextFrame();
  await act?.(mounted);
  await until(() => el.querySelector(shows) !== null, `${name} shows ${shows}`);
  return mounted;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not reached: ${what}`);
    await nextFrame();
  }
}
