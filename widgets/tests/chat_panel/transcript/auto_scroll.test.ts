import assert from "node:assert/strict";
import { test } from "node:test";
import { AutoScroll } from "../../../src/chat_panel/transcript/auto_scroll.ts";

/** A scrolling box as far as the follower sees it; `top` is kept in its bounds. */
class FakeBox {
  scrollHeight = 1000;
  clientWidth = 800;
  clientHeight = 300;
  #top = 0;
  #scrolled = () => {};

  get scrollTop(): number {
    return this.#top;
  }

  set scrollTop(top: number) {
    this.#top = Math.max(0, Math.min(top, this.scrollHeight - this.clientHeight));
  }

  addEventListener = (_name: string, listener: () => void) => {
    this.#scrolled = listener;
  };
  removeEventListener = () => {};

  scrollTo(top: number): void {
    this.scrollTop = top;
    this.#scrolled();
  }
}

function follow() {
  const box = new FakeBox();
  let observed = () => {};
  class FakeObserver {
    constructor(callback: () => void) {
      observed = callback;
    }
    observe = () => {};
    disconnect = () => {};
  }
  Object.assign(globalThis, { ResizeObserver: FakeObserver });
  const told: boolean[] = [];
  const element = box as unknown as HTMLElement;
  const content = { isConnected: true } as HTMLElement;
  new AutoScroll(element, content, (following) => told.push(following));
  const grow = (by: number) => {
    box.scrollHeight += by;
    observed();
  };
  grow(0);
  const isAtBottom = () => box.scrollTop === box.scrollHeight - box.clientHeight;
  return { box, told, grow, isAtBottom };
}

test("the bottom is followed while content grows", () => {
  const { grow, isAtBottom } = follow();

  grow(500);

  assert.ok(isAtBottom());
});

test("a reader who moves up is let go, and followed again at the bottom", () => {
  const { box, told, grow } = follow();

  box.scrollTo(200);
  grow(500);
  const kept = box.scrollTop;
  box.scrollTo(1200);

  assert.equal(kept, 200);
  assert.deepEqual(told, [false, true]);
});

test("a resize that moves the box does not let go of the bottom", () => {
  const { box, told, grow, isAtBottom } = follow();

  Object.assign(box, { clientWidth: 300, scrollHeight: 2600 });
  box.scrollTo(100);
  grow(0);

  assert.ok(isAtBottom());
  assert.deepEqual(told, []);
});

test("a scroll that is told late, when more has come, does not let go", () => {
  const { box, told, grow, isAtBottom } = follow();

  Object.assign(box, { clientWidth: 1600, scrollHeight: 600 });
  grow(0);
  box.scrollHeight += 200;
  box.scrollTo(box.scrollTop);
  grow(0);

  assert.ok(isAtBottom());
  assert.deepEqual(told, []);
});

test("a resize does not pull back a reader who had moved up", () => {
  const { box, grow } = follow();
  box.scrollTo(200);

  Object.assign(box, { clientWidth: 300, scrollHeight: 2600 });
  grow(0);

  assert.equal(box.scrollTop, 200);
});
