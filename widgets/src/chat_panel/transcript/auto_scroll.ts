/**
 * Keeps a growing list scrolled to its bottom, but only for a reader who is near it.
 *
 * Whether to follow is decided by the reader's own scrolling, before content grows;
 * deciding after it has grown would let go of a reader at the bottom.
 */

const NEAR = 40;

export class AutoScroll {
  #box: HTMLElement;
  #onChange: (following: boolean) => void;
  #following = true;
  #lastTop = 0;
  /** The box's size when its bottom was followed last. */
  #size = "";
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
  scrollToBottom(): void {
    this.#set(true);
    this.#moveTo(this.#box.scrollHeight);
  }

  /** Show something in the middle, and follow the bottom no more. */
  scrollToMiddle(element: HTMLElement): void {
    this.#set(false);
    const box = this.#box.getBoundingClientRect();
    const place = element.getBoundingClientRect();
    const above = (box.height - place.height) / 2;
    this.#moveTo(this.#box.scrollTop + place.top - box.top - above);
  }

  /** Keep what is read in place after the content grew in front of it. */
  keepPosition(heightBefore: number): void {
    if (!this.#following) {
      this.#moveTo(this.#box.scrollTop + this.#box.scrollHeight - heightBefore);
    }
  }

  dispose(): void {
    this.#observer.disconnect();
    this.#box.removeEventListener("scroll", this.#scrolled);
  }

  /**
   * Only moving up lets go: content may have grown since the last paint. A box of
   * another size was moved by its resize, not by the reader.
   */
  #scrolled = (): void => {
    const box = this.#box;
    const near = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
    const movedUp = box.scrollTop < this.#lastTop && sizeOf(box) === this.#size;
    this.#lastTop = box.scrollTop;
    if (near) this.#set(true);
    else if (movedUp) this.#set(false);
  };

  #grown(): void {
    this.#size = sizeOf(this.#box);
    if (this.#following && this.#content.isConnected) {
      this.#moveTo(this.#box.scrollHeight);
    }
  }

  /** What is told of this move later finds nothing that has moved. */
  #moveTo(top: number): void {
    this.#box.scrollTop = top;
    this.#lastTop = this.#box.scrollTop;
  }

  #set(following: boolean): void {
    if (following === this.#following) return;
    this.#following = following;
    this.#onChange(following);
  }
}

function sizeOf(box: HTMLElement): string {
  return `${box.clientWidth} ${box.clientHeight}`;
}
