/** The story that a test is in: opened, spoken to, and cleared away after the test. */

import { afterEach } from "vitest";
import type { Conversation } from "../../src/chat_panel/store/model.ts";
import type { FakeModel, KernelMessage } from "../fake_model.ts";
import { type MountableStory, mountStory, stories } from "../mount_story.ts";
import { type MountedStory, nextFrame } from "../user_actions.ts";

let mounted: MountedStory | undefined;

afterEach(() => {
  leave();
  sessionStorage.clear(); // drafts
});

/** A story in a place of its own, with parts of it changed. */
export async function open(
  name: string,
  more: Partial<MountableStory> = {},
): Promise<HTMLElement> {
  const el = document.createElement("div");
  document.body.append(el);
  mounted = await mountStory({ ...storyOf(name), ...more }, el);
  await nextFrame();
  return el;
}

/** As a page that is closed: what it has kept for the next one stays. */
export function leave(): void {
  mounted?.close();
  mounted = undefined;
  document.body.replaceChildren();
}

export function storyOf(name: string): MountableStory {
  const story = stories.find((one) => one.name === name);
  if (!story) throw new Error(`there is no story ${name}`);
  return story;
}

/** What the widget has sent to the kernel, of these types. */
export function sent(...types: string[]): KernelMessage[] {
  return model().sent.filter((message) => types.includes(message.type));
}

/** What the kernel says to the widget. */
export function receive(message: KernelMessage): void {
  model().receive(message);
}

/** The picture that the story begins with. */
export function initial(): Conversation {
  return model().get("snapshot") as Conversation;
}

/** The kernel's picture is another one from here on. */
export async function show(change: Partial<Conversation>): Promise<void> {
  receive({ type: "snapshot", snapshot: { ...initial(), ...change } });
  await nextFrame();
  await nextFrame();
}

export const id = (name: string) => `[data-testid=${name}]`;

function model(): FakeModel {
  if (!mounted) throw new Error("no story is open");
  return mounted.model;
}
