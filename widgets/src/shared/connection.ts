/**
 * One widget model's connection to its kernel, shared by all views of the model.
 *
 * It listens from `initialize`, not from `render`: what arrives before the first view
 * would be lost otherwise. A ping every few seconds, while a view is on screen, says
 * that somebody looks, shows whether the kernel answers, and finds a lost last batch.
 */

import type { AnyModel } from "@anywidget/types";
import { type Signal, signal } from "@preact/signals";
import { applyBatch, type Batch, type Picture } from "./state_sync.ts";

const PING_EVERY = 20_000;
const ANSWER_WITHIN = 6_000;
const SAVE_AFTER = 1_000;

/**
 * "connecting" until the first answer, "live", "silent" when an answer is overdue (a
 * cell may be running), "gone" when the kernel was restarted or never was there.
 */
export type LinkState = "connecting" | "live" | "silent" | "gone";

export type Message = { type: string } & Record<string, unknown>;

interface Options<S, C> {
  empty: S;
  reduce: (picture: S, change: C) => S;
  /** What to keep of the old picture when a new one arrives. */
  merge?: (old: S, next: S) => S;
  /** Messages that are neither snapshot, batch nor pong. */
  onMessage?: (message: Message) => void;
  onPong?: () => void;
}

export class Connection<S extends Picture, C> {
  readonly picture: Signal<S>;
  readonly link = signal<LinkState>("connecting");
  /** How many signs of life were asked for: others may say something with each. */
  readonly pings = signal(0);
  /** How many of the last ones were not answered, though other things may be heard. */
  unanswered = 0;
  /** Whether the kernel has ever said something here. */
  hasAnswered = false;
  /** Seconds to add to this machine's clock to get the kernel's. */
  clockOffset = 0;
  #model: AnyModel;
  #options: Options<S, C>;
  #views = 0;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  #answerTimer: ReturnType<typeof setTimeout> | undefined;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;
  #disconnected = false;
  #resyncAskedAt = 0;
  #lastChange: C | undefined;

  constructor(model: AnyModel, options: Options<S, C>) {
    this.#model = model;
    this.#options = options;
    const saved = model.get("snapshot") as S | undefined;
    this.picture = signal(
      saved && typeof saved.seq === "number" ? saved : options.empty,
    );
    model.on("msg:custom", (message: Message) => this.#take(message));
    // Lab tells a model this way that its kernel was restarted or shut down.
    model.on("comm_live_update", () => {
      this.#disconnected = true;
      this.ping();
    });
    this.ping();
  }

  /** Whether it could be sent; a kernel that went away is known from then on. */
  send(message: Message): boolean {
    try {
      this.#model.send(message);
      return true;
    } catch {
      // Lab has closed the comm, because the kernel was restarted or shut down.
      this.#disconnected = true;
      this.link.value = "gone";
      return false;
    }
  }

  /** Ask the kernel for a sign of life. */
  ping(): void {
    if (!this.send({ type: "ping", seq: this.picture.value.seq })) return;
    this.unanswered += 1;
    this.pings.value += 1;
    this.#answerTimer ??= setTimeout(() => {
      this.#answerTimer = undefined;
      this.link.value = this.#disconnected ? "gone" : "silent";
    }, ANSWER_WITHIN);
  }

  /** A view is on screen; returns what to call when it no longer is. */
  attach(): () => void {
    const onVisible = () => {
      if (document.visibilityState === "visible") this.ping();
    };
    if (++this.#views === 1) {
      this.#pingTimer = setInterval(() => this.ping(), PING_EVERY);
      this.ping();
    }
    document.addEventListener("visibilitychange", onVisible);
    return () => {
      document.removeEventListener("visibilitychange", onVisible);
      if (--this.#views === 0) clearInterval(this.#pingTimer);
    };
  }

  dispose(): void {
    for (const timer of [this.#pingTimer, this.#answerTimer, this.#saveTimer]) {
      clearTimeout(timer);
    }
  }

  #take(message: Message): void {
    this.#heard();
    switch (message.type) {
      case "snapshot": {
        const next = message.snapshot as S;
        const { merge } = this.#options;
        this.#resyncAskedAt = 0;
        this.#lastChange = undefined;
        this.#show(merge ? merge(this.picture.value, next) : next);
        break;
      }
      case "batch":
        this.#takeBatch(message as unknown as Batch<C>);
        break;
      case "pong":
        this.unanswered = 0;
        this.clockOffset = (message.now as number) - Date.now() / 1000;
        // Nothing overtakes on this way, so a number not seen by now is lost.
        if ((message.seq as number) > this.picture.value.seq) this.#resync();
        this.#options.onPong?.();
        break;
      default:
        this.#options.onMessage?.(message);
    }
  }

  #takeBatch(batch: Batch<C>): void {
    const { reduce } = this.#options;
    const received = applyBatch(this.picture.value, batch, reduce, this.#lastChange);
    if (received.kind === "applied") {
      this.#lastChange = received.last;
      this.#show(received.picture);
    } else if (received.kind === "gap") this.#resync();
  }

  /** What arrives before the answer shows the same gap; that needs no second one. */
  #resync(): void {
    const now = Date.now();
    if (now - this.#resyncAskedAt < ANSWER_WITHIN) return;
    this.#resyncAskedAt = now;
    this.send({ type: "resync", seq: this.picture.value.seq });
  }

  #heard(): void {
    this.hasAnswered = true;
    clearTimeout(this.#answerTimer);
    this.#answerTimer = undefined;
    this.#disconnected = false;
    this.link.value = "live";
  }

  #show(picture: S): void {
    this.picture.value = picture;
    // The model's copy is what Lab saves with the notebook. It stays on this side:
    // no save_changes(). Setting compares deeply, hence not for every batch.
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = undefined;
      this.#model.set("snapshot", this.picture.value);
    }, SAVE_AFTER);
  }
}
