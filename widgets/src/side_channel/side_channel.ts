/**
 * A side channel to the kernel, for what must arrive while a cell blocks the widget's.
 *
 * Messages of a widget wait for the end of such a cell; what the kernel sends arrives
 * all the same. So the page says which origin it has, and the kernel tells it, by
 * message, where its embedded server is and gives it a ticket. The ticket is kept here
 * and nowhere else: not in the model, which is saved with the notebook.
 *
 * Something pressed goes over the widget channel at once. Unless the picture shows soon
 * that it has arrived, it goes over the side channel as well; both together count once.
 * Where that is not open the person is told what to do instead.
 */

import { type Signal, signal } from "@preact/signals";
import type { Message } from "../shared/connection.ts";

/**
 * Milliseconds that the widget channel gets before the side channel is used; a free
 * kernel needs a tenth of it. So what is pressed arrives within a second.
 */
export const WIDGET_CHANNEL_TIMEOUT = 500;

const REQUEST_TIMEOUT = 6_000;

/**
 * "asking" until the kernel has said something or a server has answered; "closed" with
 * what would open it, in a sentence.
 */
export type SideChannelState =
  | { kind: "asking" }
  | { kind: "open"; url: string }
  | { kind: "closed"; hint: string };

/**
 * Something that was pressed and is not in the picture yet: "sent" while there is hope
 * that it arrives by itself, "accepted" over the side channel, "held" up by a cell while
 * the side channel is not open, "failed" on the side channel.
 */
export interface Delivery {
  state: "sent" | "accepted" | "held" | "failed";
  /** For a person: why it waits, and what can be done. */
  reason: string;
}

/** What is needed of a `Connection`. */
interface WidgetChannel {
  readonly picture: Signal<unknown>;
  readonly pings: Signal<number>;
  readonly unanswered: number;
  send(message: Message): boolean;
}

/** What is needed of the browser; a test has its own. */
export interface BrowserAccess {
  origin: string;
  cookie: () => string;
  fetch: (url: string, options: RequestInit) => Promise<Response>;
}

interface Undelivered {
  message: Message;
  arrived: () => boolean;
  timer: ReturnType<typeof setTimeout>;
}

const VERBS: Record<string, string> = { stop: "cancel", answer: "answer" };

const WAITS =
  "The kernel is busy, most likely with a cell: this takes effect when that ends.";
const INTERRUPT =
  "To have it at once, interrupt the kernel (Kernel → Interrupt, or ■ in the toolbar).";

export class SideChannel {
  readonly state = signal<SideChannelState>({ kind: "asking" });
  readonly deliveries = signal<ReadonlyMap<string, Delivery>>(new Map());
  #channel: WidgetChannel;
  #browser: BrowserAccess;
  #ticket = "";
  #undelivered = new Map<string, Undelivered>();
  /** Numbers the tickets, so that a slow look at an older one changes nothing. */
  #turn = 0;
  #endings: (() => void)[];

  constructor(channel: WidgetChannel, browser: BrowserAccess = realBrowser()) {
    this.#channel = channel;
    this.#browser = browser;
    this.#endings = [
      // Later, when everybody has seen the new picture.
      channel.picture.subscribe(() => queueMicrotask(() => this.#settle())),
      channel.pings.subscribe(() => this.#announce()),
    ];
  }

  /** Whether a message was the kernel's answer to this. */
  take(message: Message): boolean {
    if (message.type !== "ticket") return false;
    if (message.origin !== this.#browser.origin) return true;
    const turn = ++this.#turn;
    this.#ticket = "";
    if (message.open === true) {
      this.state.value = { kind: "asking" };
      void this.#tryUrls(message, turn);
    } else {
      this.state.value = { kind: "closed", hint: String(message.reason ?? "") };
    }
    return true;
  }

  /**
   * Something that must arrive. `key` says what it is about: asking twice is one.
   * `arrived` looks in the picture whether the kernel has it.
   */
  deliver(key: string, message: Message, arrived: () => boolean): void {
    const state = this.deliveries.peek().get(key)?.state;
    if (state === "sent" || state === "accepted" || arrived()) return;
    this.#drop(key);
    // A kernel that is gone is said elsewhere.
    if (!this.#channel.send(message)) return;
    const patience = this.#channel.unanswered > 1 ? 0 : WIDGET_CHANNEL_TIMEOUT;
    const timer = setTimeout(() => void this.#escalate(key), patience);
    this.#undelivered.set(key, { message, arrived, timer });
    this.#show(key, { state: "sent", reason: "" });
  }

  /** The kernel is known to listen: what it seems not to have heard is sent again. */
  resend(): void {
    for (const [key, { message, arrived }] of [...this.#undelivered]) {
      const state = this.deliveries.peek().get(key)?.state;
      if (state !== "sent" && state !== "accepted") this.deliver(key, message, arrived);
    }
  }

  /** What was pressed, or all that was, is not waited for any more. */
  forget(key?: string): void {
    const keys = key === undefined ? [...this.#undelivered.keys()] : [key];
    for (const one of keys) this.#drop(one);
  }

  dispose(): void {
    for (const end of this.#endings) end();
    this.forget();
    this.#ticket = "";
  }

  // --- what was pressed ---------------------------------------------------------------

  async #escalate(key: string): Promise<void> {
    const undelivered = this.#undelivered.get(key);
    const sideChannel = this.state.peek();
    const verb = VERBS[undelivered?.message.type ?? ""];
    if (!undelivered || !verb || undelivered.arrived()) return;
    if (sideChannel.kind !== "open") {
      this.#show(key, { state: "held", reason: whyHeld(sideChannel) });
      return;
    }
    // The ticket says which conversation it is for.
    const { type: _, instance_id: __, ...body } = undelivered.message;
    const problem = await this.#post(sideChannel.url, verb, body);
    // It may have arrived, or have been pressed anew, in the meantime.
    if (this.#undelivered.get(key) !== undelivered) return;
    if (problem === null) this.#show(key, { state: "accepted", reason: "" });
    else this.#show(key, { state: "failed", reason: `${problem} ${INTERRUPT}` });
  }

  #settle(): void {
    for (const [key, { arrived }] of [...this.#undelivered]) {
      if (arrived()) this.#drop(key);
    }
  }

  #drop(key: string): void {
    const undelivered = this.#undelivered.get(key);
    if (!undelivered) return;
    clearTimeout(undelivered.timer);
    this.#undelivered.delete(key);
    const deliveries = new Map(this.deliveries.peek());
    deliveries.delete(key);
    this.deliveries.value = deliveries;
  }

  #show(key: string, delivery: Delivery): void {
    this.deliveries.value = new Map(this.deliveries.peek()).set(key, delivery);
  }

  // --- the way there ------------------------------------------------------------------

  /** With every sign of life: say the origin, and renew what is there. */
  #announce(): void {
    const sideChannel = this.state.peek();
    const { origin } = this.#browser;
    this.#channel.send({ type: "side_channel", origin, state: sideChannel.kind });
    // Over the side channel too, if the kernel did not hear the last time.
    if (sideChannel.kind === "open" && this.#channel.unanswered > 1) {
      void this.#renew(sideChannel.url);
    }
  }

  /** Take the first address at which the right server answers. */
  async #tryUrls(message: Message, turn: number): Promise<void> {
    const urls = Array.isArray(message.urls) ? message.urls.map(String) : [];
    for (const url of urls) {
      // Without the ticket: behind a tunnel, another machine's server may answer.
      const answer = await this.#fetch(url, "hello", {});
      const found = answer?.ok ? await json(answer) : null;
      if (turn !== this.#turn) return;
      if (found?.server === message.server) {
        this.#ticket = String(message.ticket);
        this.state.value = { kind: "open", url };
        return;
      }
    }
    const hint = "The server of rt.serve() does not answer this page.";
    this.state.value = { kind: "closed", hint };
  }

  async #renew(url: string): Promise<void> {
    const turn = this.#turn;
    const problem = await this.#post(url, "renew", {});
    // Asking anew gives another ticket as soon as the kernel hears it.
    if (problem !== null && turn === this.#turn) this.state.value = { kind: "asking" };
  }

  /** Why it failed, in a sentence; null: it is there. */
  async #post(url: string, verb: string, body: object): Promise<string | null> {
    const answer = await this.#fetch(url, verb, body, this.#ticket);
    if (answer?.ok) return null;
    const where = "The kernel's server";
    if (!answer) return `${where} does not answer.`;
    if (answer.status === 401) return `${where} does not take this page's ticket.`;
    const detail = (await json(answer))?.detail;
    return `${where} says: ${detail ?? `${answer.status} ${answer.statusText}`}.`;
  }

  async #fetch(
    url: string,
    verb: string,
    body: object,
    ticket?: string,
  ): Promise<Response | null> {
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (ticket) headers["X-Agent-Ticket"] = ticket;
    const isOwn = url.startsWith(`${this.#browser.origin}/`);
    // Jupyter's own check against forged requests, as on the way through its proxy.
    const xsrf = isOwn ? /(?:^|; )_xsrf=([^;]+)/.exec(this.#browser.cookie())?.[1] : "";
    if (xsrf) headers["X-XSRFToken"] = xsrf;
    try {
      return await this.#browser.fetch(`${url}/tickets/${verb}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        credentials: isOwn ? "same-origin" : "omit",
        cache: "no-store",
        redirect: "error",
        referrerPolicy: "no-referrer",
        signal: AbortSignal.timeout(REQUEST_TIMEOUT),
      });
    } catch {
      return null; // nobody listens there, or a browser's rule is against it
    }
  }
}

function whyHeld(state: SideChannelState): string {
  const hint = state.kind === "closed" ? ` ${state.hint}` : "";
  return `${WAITS} ${INTERRUPT}${hint}`;
}

async function json(answer: Response): Promise<Record<string, unknown> | null> {
  try {
    return (await answer.json()) as Record<string, unknown>;
  } catch {
    return null;
  }
}

function realBrowser(): BrowserAccess {
  return {
    origin: globalThis.location?.origin ?? "",
    cookie: () => document.cookie,
    fetch: (url, options) => fetch(url, options),
  };
}
