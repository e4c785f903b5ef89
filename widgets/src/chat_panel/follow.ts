/**
 * Follow the bottom of a growing list, but only for a reader who is near it.
 *
 * Whether to follow is decided by the reader's own scrolling, before content grows;
 * deciding after it has grown would let go of a reader at the bottom.
 */

const NEAR = 40;

export class BottomFollower {
  #box: HTMLElement;
  #onChange: (following: boolean) => void;
  #following = true;
  #lastTop = 0;
  #observer: ResizeObserver;
  #content: HTMLElement;

  constructor(
    box: HTMLElement,
    content: HTMLElement,
    onChange: (following: boolean) => void,
  ) {
    this.#box = box;
    this.#content = content;
    this.#onChange = onChange;
    this.#observer = new ResizeObserver(() => this.#grown());
    this.#observer.observe(content);
    this.#observer.observe(box);
    box.addEventListener("scroll", this.#scrolled, { passive: true });
  }

  /** Go to the bottom and follow it. */
  jump(): void {
    this.#set(true);
    this.#box.scrollTop = this.#box.scrollHeight;
  }

  /** Keep what is read in place after the content grew in front of it. */
  grewAbove(heightBefore: number): void {
    if (!this.#following) {
      this.#box.scrollTop += this.#box.scrollHeight - heightBefore;
    }
  }

  dispose(): void {
    this.#observer.disconnect();
    this.#box.removeEventListener("scroll", this.#scrolled);
  }

  /** Only moving up lets go: content may have grown since the last paint. */
  #scrolled = (): void => {
    const box = this.#box;
    const near = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
    const movedUp = box.scrollTop < this.#lastTop;
    this.#lastTop = box.scrollTop;
    if (near) this.#set(true);
    else if (movedUp) this.#set(false);
  };

  #grown(): void {
    if (this.#following && this.#content.isConnected) {
      this.#box.scrollTop = this.#box.scrollHeight;
    }
  }

  #set(following: boolean): void {
    if (following === this.#following) return;
    this.#following = following;
    this.#onChange(following);
  }
}
