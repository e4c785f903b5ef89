/**
 * The story book: the widgets in every state, without a kernel.
 *
 *     python -m tests.browser.story_book      builds it and says how it is opened
 *
 * The address may say ?only=<name>,<name> &theme=dark &width=320 &bare (no headings).
 */

import {
  type MountableStory,
  mountStory,
  speedUpTimers,
  stories,
} from "./mount_story.ts";
import { nextFrame } from "./user_actions.ts";

const query = new URLSearchParams(location.search);
const chosen = query.get("only")?.split(",");

function place({ name, says }: MountableStory): HTMLElement {
  const section = document.createElement("section");
  section.className = "story";
  section.id = name;
  const width = query.get("width");
  if (width) section.style.width = `${width}px`;
  if (!query.has("bare")) {
    const heading = document.createElement("h3");
    heading.textContent = `${name}: ${says}`;
    section.append(heading);
  }
  const el = document.createElement("div");
  section.append(el);
  document.body.append(section);
  return el;
}

async function main(): Promise<void> {
  document.body.dataset.jpThemeLight = String(query.get("theme") !== "dark");
  speedUpTimers();
  const shown = stories.filter(({ name }) => !chosen || chosen.includes(name));
  const told = await Promise.allSettled(
    shown.map((story) => mountStory(story, place(story))),
  );
  const problems = told.flatMap((one) =>
    one.status === "rejected" ? [`${one.reason}`] : [],
  );
  await nextFrame();
  document.body.dataset.problems = problems.join("\n");
  document.body.dataset.ready = "true";
  for (const problem of problems) console.error(problem);
}

Object.assign(globalThis, {
  stories: stories.map(({ name, says }) => ({ name, says })),
});
void main();
