/** Going to another branch by an arrow: one stays at the place where they part. */

import { useLayoutEffect } from "preact/hooks";
import { focusOn, isFocusLost } from "../../shared/focus.ts";
import type { ChatStore } from "../store/chat_store.ts";
import type { AutoScroll } from "./auto_scroll.ts";

interface Places {
  content: { current: HTMLElement | null };
  follower: { current: AutoScroll | undefined };
}

/**
 * Once the branch is there, its arrows are in view, and whoever was at an arrow is at
 * the same one, or at the other one where there is nothing more in that direction.
 */
export function useBranchNavigation(
  store: ChatStore,
  { content, follower }: Places,
): void {
  useLayoutEffect(() => {
    const { branchNavigation: stepping } = store;
    if (!stepping || stepping.isDone || !content.current) return;
    if (stepping.to !== store.picture.peek().instance_id) return;
    const control = [
      ...content.current.querySelectorAll<HTMLElement>(".arn-branch"),
    ].find(({ dataset }) => dataset.shown === stepping.to);
    if (!control) return;
    stepping.isDone = true;
    follower.current?.scrollToMiddle(control);
    const log = control.closest("[role=log]");
    if (!isFocusLost(control) && document.activeElement !== log) return;
    const arrows = [...control.querySelectorAll("button")];
    if (stepping.step > 0) arrows.reverse();
    focusOn(arrows.find((arrow) => !arrow.disabled));
  });
}
