/**
 * Where the focus goes when what a person has pressed goes away, or is disabled, by that.
 *
 * Without this it would fall to the page, where a notebook has shortcuts of its own. The
 * focus is never taken from anywhere else, and nothing moves it but a person's press.
 */

import { useEffect } from "preact/hooks";
import { focusOn, isFocusLost } from "../shared/focus.ts";

/**
 * Milliseconds in which a second Enter on a button does not send what is written; what
 * is written, or clicked, in the meantime says that it is meant.
 */
const PRESSED_TWICE = 500;

/** Keep the focus of whoever presses something in this panel. */
export function useFocusRestore(root: { current: HTMLElement | null }): void {
  useEffect(() => {
    if (!root.current) return;
    const restorer = new FocusRestorer(root.current);
    return () => restorer.dispose();
  }, [root]);
}

class FocusRestorer {
  #root: HTMLElement;
  /** What was pressed last, as long as it has the focus. */
  #pressed: Element | null = null;
  /** Where one goes from there, unless it is to the composer. */
  #fallback: HTMLElement | null = null;
  #movedAt = Number.NEGATIVE_INFINITY;
  #observer = new MutationObserver(() => this.#look());
  #ending = new AbortController();

  constructor(root: HTMLElement) {
    this.#root = root;
    const { signal } = this.#ending;
    const first = { capture: true, signal };
    root.addEventListener("keydown", (event) => this.#onKey(event), first);
    root.addEventListener("click", () => this.#onPress(), first);
    root.addEventListener("focusin", (event) => this.#onFocus(event), { signal });
    for (const kind of ["input", "pointerdown"]) {
      root.addEventListener(kind, () => this.#forgetMove(), first);
    }
  }

  dispose(): void {
    this.#observer.disconnect();
    this.#ending.abort();
  }

  #forgetMove(): void {
    this.#movedAt = Number.NEGATIVE_INFINITY;
  }

  #onKey(event: KeyboardEvent): void {
    if (event.key !== "Enter") {
      this.#forgetMove();
    } else if (performance.now() - this.#movedAt > PRESSED_TWICE) {
      this.#onPress();
    } else {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  #onPress(): void {
    const at = this.#root.ownerDocument.activeElement;
    if (!at || at === this.#pressed || !this.#root.contains(at)) return;
    this.#pressed = at;
    this.#fallback =
      at.closest("[role=dialog]")?.querySelector("input") ??
      // Another branch is shown soon, and has arrows too.
      (at.closest(".arn-branch") && at.closest<HTMLElement>("[role=log]"));
    const attributes = { attributes: true, attributeFilter: ["disabled"] };
    const tree = { childList: true, subtree: true };
    this.#observer.observe(this.#root, { ...tree, ...attributes });
  }

  #onFocus(event: FocusEvent): void {
    if (event.target !== this.#pressed) this.#release();
  }

  #look(): void {
    const pressed = this.#pressed;
    if (!pressed || (pressed.isConnected && !pressed.matches(":disabled"))) return;
    this.#release();
    if (!isFocusLost(this.#root)) return;
    this.#movedAt = performance.now();
    focusOn(this.#fallback?.isConnected ? this.#fallback : this.#place());
  }

  /** Where one writes; where nothing can be written, where one reads. */
  #place(): HTMLElement | null {
    return (
      this.#root.querySelector(".arn-composer textarea:enabled") ??
      this.#root.querySelector("[role=log]")
    );
  }

  #release(): void {
    this.#pressed = null;
    this.#observer.disconnect();
  }
}
