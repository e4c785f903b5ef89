/** Writing: keys, history, editing, the queue, the list, and what is tried again. */

import { expect, test } from "vitest";
import { userEvent } from "vitest/browser";
import type { Turn } from "../../../../src/chat_panel/store/model.ts";
import { click, composer, find, nextFrame } from "../../../user_actions.ts";
import { id, leave, open, receive, sent, show, storyOf } from "../../open_story.ts";

const PIXEL =
  "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

const focused = () => document.activeElement?.getAttribute("data-testid");

async function press(keys: string): Promise<void> {
  await userEvent.keyboard(keys);
  await nextFrame();
}

test("ArrowUp at the beginning brings back what was written, ArrowDown the draft", async () => {
  const el = await open("branches");
  const area = composer(el);
  area.focus();

  await press("draft{Home}{ArrowUp}");
  const last = area.value;
  await press("{ArrowUp}");
  const first = area.value;
  await press("{ArrowDown}{ArrowDown}");

  expect([last, first, area.value]).toEqual(["Think: and by bus?", "Hello", "draft"]);
});

test("ArrowUp in the middle of a text moves the caret only", async () => {
  const el = await open("branches");
  const area = composer(el);
  area.focus();

  await press("draft{ArrowUp}");

  expect(area.value).toBe("draft");
});

test("Enter and Escape that belong to a composition send and stop nothing", async () => {
  const el = await open("streaming");
  const area = composer(el);
  area.focus();
  await press("ni");

  for (const key of ["Enter", "Escape"]) {
    area.dispatchEvent(
      new KeyboardEvent("keydown", { key, isComposing: true, bubbles: true }),
    );
  }
  await nextFrame();

  expect([...sent("send"), ...sent("stop")]).toEqual([]);
  expect(area.value).toBe("ni");
});

test("keys in the panel do not reach the notebook", async () => {
  const el = await open("thought");
  const heard: string[] = [];
  const listen = (event: KeyboardEvent) => heard.push(event.key);
  document.body.addEventListener("keydown", listen);

  composer(el).focus();
  await press("dd{Escape}");
  document.body.removeEventListener("keydown", listen);

  expect(heard).toEqual([]);
});

test("a message is edited in its place, and Escape leaves it as it was", async () => {
  const el = await open("thought");
  click(el, id("edit"));
  await nextFrame();
  const focused = document.activeElement;

  await press(" Really?{Escape}");

  expect(focused?.getAttribute("data-testid")).toBe("edit-input");
  expect(el.querySelector(id("edit-input"))).toBeNull();
  await expect.poll(() => document.activeElement).toBe(find(el, id("edit")));
  expect(sent("edit")).toEqual([]);
});

test("Enter in the editor sends what is said instead, once", async () => {
  const el = await open("thought");
  click(el, id("edit"));
  await nextFrame();

  await press(" Really?{Enter}{Enter}");

  const turn = find(el, id("turn")).dataset.turn;
  expect(sent("edit")).toMatchObject([
    { turn, text: "Think: is the train cheaper? Really?", media: [] },
  ]);
});

test("pictures that are not sent again with an edit are counted", async () => {
  const { picture } = storyOf("thought");
  const [turn] = picture.turns as Turn[];
  const media = [null, "https://example.org/a.png", PIXEL].map((uri) => ({
    kind: "media" as const,
    uri,
    media_type: "image/png",
  }));
  const items: Turn["items"] = [{ kind: "user", text: "look", media }];
  const turns = [{ ...(turn as Turn), items }];
  const el = await open("thought", {
    picture: { ...picture, turns },
    shows: id("user-message"),
  });

  click(el, id("edit"));
  await nextFrame();

  expect(find(el, id("editor")).textContent).toContain("2 pictures are not sent again");
  expect(el.querySelectorAll(id("attachment")).length).toBe(1);
});

test("buttons of a question look as dead as they are", async () => {
  const el = await open("approval");
  const live = getComputedStyle(find(el, id("approve"))).opacity;

  await show({ phase: "stopped" });

  expect(live).toBe("1");
  expect(Number(getComputedStyle(find(el, id("deny"))).opacity)).toBeLessThan(0.7);
});

test("a chip of the queue withdraws its own message", async () => {
  const el = await open("queued");
  const chips = el.querySelectorAll<HTMLElement>(id("queued"));

  find(chips[1] as HTMLElement, id("withdraw")).click();

  expect(chips.length).toBe(2);
  expect(sent("stop").map((message) => message.message_id)).toEqual(["m3"]);
});

test("the list of conversations is searched and chosen from by keys", async () => {
  const el = await open("conversations");

  await press("{ArrowDown}{ArrowDown}{Enter}");

  expect(sent("switch").map((message) => message.instance_id)).toEqual([
    "trip-to-rome",
  ]);
  expect(el.querySelector(id("conversation-search"))).toBeNull();
  expect(document.activeElement).toBe(find(el, id("conversations")));
});

test("a new name is kept with Enter, and not with Escape", async () => {
  await open("renaming");
  await press("Oslo{Enter}");
  const kept = sent("rename").map((message) => message.name);
  await expect.poll(focused).toBe("conversations");
  leave();

  await open("renaming");
  await press("Rome{Escape}");

  expect(kept).toEqual(["Oslo"]);
  expect(sent("rename")).toEqual([]);
});

test("deleting needs a second press, and is kept with Escape", async () => {
  const el = await open("deleting");
  const focused = document.activeElement;
  await press("{Escape}");
  const before = sent("delete").length;

  click(el, id("menu-button"));
  await nextFrame();
  click(el, id("delete"));
  await nextFrame();
  click(el, id("delete-confirm"));

  expect(focused?.getAttribute("data-testid")).toBe("keep");
  expect(before).toBe(0);
  expect(sent("delete").length).toBe(1);
});

test("giving up ends the countdown, and the turn can still be retried", async () => {
  const el = await open("rate-limited");
  const countdown = find(el, id("countdown")).textContent;

  click(el, id("give-up"));
  await nextFrame();
  click(el, id("retry"));

  expect(countdown).toMatch(/Trying again in \d+ s/);
  expect(el.querySelector(id("countdown"))).toBeNull();
  expect(sent("retry").length).toBe(1);
});

test("a countdown that runs out while one looks tries again by itself", async () => {
  const el = await open("rate-limited");
  const turn = find(el, id("turn")).dataset.turn;
  const error = {
    type: "RateLimited",
    message: "busy",
    retryable: true,
    retry_after: 1,
  };
  const changes = [
    { op: "patch", id: turn, set: { error, ended_at: Date.now() / 1000 } },
  ];

  receive({ type: "batch", seq: 2, changes });

  await expect.poll(() => sent("retry").length, { timeout: 5_000 }).toBe(1);
  expect(find(el, id("countdown")).textContent).toMatch(/Trying again…/);
});

test("a countdown that ran out before one looked waits for a person", async () => {
  const { picture } = storyOf("rate-limited");
  const last = picture.turns?.at(-1) as Turn;
  const turns = [{ ...last, ended_at: Date.now() / 1000 - 100 }];

  const el = await open("rate-limited", {
    picture: { ...picture, turns },
    shows: id("retry"),
  });

  expect(el.querySelector(id("countdown"))).toBeNull();
  expect(find(el, id("retry")).textContent).toContain("Retry");
  expect(sent("retry")).toEqual([]);
});

test("a tool that was allowed can be asked for again, by keyboard", async () => {
  const el = await open("menu");

  find(el, id("disallow")).focus();
  await press("{Enter}");

  expect(find(el, id("menu-button"))).not.toBeNull();
  expect(sent("disallow")).toMatchObject([{ tool: "delete_file" }]);
});

test("a file that is no image is named with the reason", async () => {
  const el = await open("empty");
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["x"], "plan.pdf", { type: "application/pdf" }));

  composer(el).dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
  await expect.poll(() => el.querySelector(id("attachment-problem"))).not.toBeNull();

  expect(find(el, id("attachment-problem")).textContent).toMatch(/plan\.pdf.*PNG/);
});

test("an image is sent with the message and can be removed before", async () => {
  const el = await open("attachments");

  composer(el).focus();
  await press("{Enter}");

  const media = sent("send")[0]?.media as string[];
  expect(media.length).toBe(1);
  expect(media[0]).toMatch(/^data:image\/png;base64,/);
  expect(el.querySelector(id("attachment"))).toBeNull();
});

test("a large image is made small enough to be shown again", async () => {
  const el = await open("empty");
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(await noise(2600, 1300));

  composer(el).dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
  await expect.poll(() => el.querySelector(id("attachment"))).not.toBeNull();
  composer(el).focus();
  await press("look{Enter}");

  const [uri] = (sent("send")[0]?.media ?? []) as string[];
  expect(uri).toMatch(/^data:image\/jpeg;base64,/);
  expect(uri?.length).toBeLessThan(700_000);
  const shown = new Image();
  shown.src = uri as string;
  await shown.decode();
  expect(shown.naturalWidth).toBe(2 * shown.naturalHeight);
});

test("images that are too much together for one message are left out by name", async () => {
  const el = await open("empty");
  const bytes = new Uint8Array(3.5 * 1024 * 1024);
  const dataTransfer = new DataTransfer();
  for (const name of ["one.gif", "two.gif", "small.gif"]) {
    const part = name === "small.gif" ? bytes.subarray(0, 1000) : bytes;
    dataTransfer.items.add(new File([part], name, { type: "image/gif" }));
  }

  composer(el).dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
  await expect.poll(() => el.querySelector(id("attachment"))).not.toBeNull();

  const names = [...el.querySelectorAll<HTMLImageElement>(`${id("attachment")} img`)];
  expect(names.map(({ alt }) => alt)).toEqual(["one.gif", "small.gif"]);
  const said = find(el, id("attachment-problem")).textContent;
  expect(said).toMatch(/two\.gif is left out.*6 MB/);
});

test("a file that only says that it is an image is named", async () => {
  const el = await open("empty");
  const dataTransfer = new DataTransfer();
  const words = new Uint8Array(600_000);
  dataTransfer.items.add(new File([words], "sketch.png", { type: "image/png" }));

  composer(el).dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
  await expect.poll(() => el.querySelector(id("attachment-problem"))).not.toBeNull();

  expect(find(el, id("attachment-problem")).textContent).toMatch(/sketch\.png cannot/);
});

test("what the turn says while it streams leaves focus and selection alone", async () => {
  const el = await open("streaming");
  composer(el).focus();
  const answer = el.querySelectorAll(id("answer"))[0] as HTMLElement;
  const first = document.createTreeWalker(answer, NodeFilter.SHOW_TEXT).nextNode();
  getSelection()?.selectAllChildren((first as Text).parentElement as Node);
  const selected = getSelection()?.toString();

  for (const [index, text] of [" and", " more", " words"].entries()) {
    const changes = [{ op: "append", id: "m2", index: 1, field: "text", text }];
    receive({ type: "batch", seq: index + 2, changes });
    await nextFrame();
  }

  await expect.poll(() => el.textContent).toContain("more word");
  expect(getSelection()?.toString()).toBe(selected);
  expect(document.activeElement).toBe(composer(el));
});

/** What compresses badly: several megabytes as a PNG. */
async function noise(width: number, height: number): Promise<File> {
  const canvas = new OffscreenCanvas(width, height);
  const brush = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
  const image = brush.createImageData(width, height);
  for (let at = 0; at < image.data.length; at += 65_536)
    crypto.getRandomValues(image.data.subarray(at, at + 65_536));
  brush.putImageData(image, 0, 0);
  return new File([await canvas.convertToBlob()], "noise.png", { type: "image/png" });
}
