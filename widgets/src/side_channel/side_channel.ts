/**
 * A second road to the kernel, for what must land while a cell blocks the first.
 *
 * Messages of a widget wait for the end of such a cell; what the kernel sends arrives
 * all the same. So the page says which origin it has, and the kernel tells it, by
 * message, where its embedded server is and gives it a ticket. The ticket is kept here
 * and nowhere else: not in the model, which is saved with the notebook.
 *
 * Something pressed goes over the widget channel at once. Unless the picture shows soon
 * that it has arrived, it goes over the road as well; both together count once. Where no
 * road is open the person is told what to do instead.
 */

import { type Signal, signal } from "@preact/signals";
import type { Message } from "../shared/connection.ts";

/**
 * Milliseconds that the widget channel gets before the road is taken; a free kernel
 * needs a tenth of it. With the road's own time, what is pressed lands within a second.
 */
export const CHANNEL_GETS = 500;

const ROAD_GETS = 6_000;

/**
 * "asking" until the kernel has said something or a server has answered; "closed" with
 * what would open it, in a sentence.
 */
export type Road =
  | { kind: "asking" }
  | { kind: "open"; url: string }
  | { kind: "closed"; hint: string };

/**
 * Something that was pressed and is not in the picture yet: "sent" while there is hope
 * that it arrives by itself, "accepted" over the road, "held" up by a cell with no road
 * open, "failed" on the road.
 */
export interface Press {
  state: "sent" | "accepted" | "held" | "failed";
  /** For a person: why it waits, and what can be done. */
  reason: string;
}

/** What is needed of a `Connection`. */
interface Channel {
  readonly picture: Signal<unknown>;
  readonly pings: Signal<number>;
  readonly unanswered: number;
  send(message: Message): boolean;
}

/** Where the browser is; a test has its own. */
export interface Surroundings {
  origin: string;
  cookie: () => string;
  fetch: (url: string, options: RequestInit) => Promise<Response>;
}

interface Pressed {
  message: Message;
  arrived: () => boolean;
  timer: ReturnType<typeof setTimeout>;
}

const VERBS: Record<string, string> = { stop: "cancel", answer: "answer" };

const WAITS =
  "The kernel is busy, most likely with a cell: this takes effect when that ends.";
const INTERRUPT =
  "To have it at once, interrupt the kernel (Kernel → Interrupt, or ■ in the toolbar).";

export class SecondRoad {
  readonly road = signal<Road>({ kind: "asking" });
  readonly presses = signal<ReadonlyMap<string, Press>>(new Map());
  #channel: Channel;
  #around: Surroundings;
  #ticket = "";
  #pressed = new Map<string, Pressed>();
  /** Numbers the tickets, so that a slow look at an older one changes nothing. */
  #turn = 0;
  #endings: (() => void)[];

  constructor(channel: Channel, around: Surroundings = browser()) {
    this.#channel = channel;
    this.#around = around;
    this.#endings = [
      // Later, when everybody has seen the new picture.
      channel.picture.subscribe(() => queueMicrotask(() => this.#settle())),
      channel.pings.subscribe(() => this.#ask()),
    ];
  }

  /** Whether a message was the kernel's answer to this. */
  take(message: Message): boolean {
    if (message.type !== "ticket") return false;
    if (message.origin !== this.#around.origin) return true;
    const turn = ++this.#turn;
    this.#ticket = "";
    if (message.open === true) {
      this.road.value = { kind: "asking" };
      void this.#tryWays(message, turn);
    } else {
      this.road.value = { kind: "closed", hint: String(message.reason ?? "") };
    }
    return true;
  }

  /**
   * Something that must land. `key` says what it is about: pressing twice is one.
   * `arrived` looks in the picture whether the kernel has it.
   */
  press(key: string, message: Message, arrived: () => boolean): void {
    const state = this.presses.peek().get(key)?.state;
    if (state === "sent" || state === "accepted" || arrived()) return;
    this.#drop(key);
    // A kernel that is gone is said elsewhere.
    if (!this.#channel.send(message)) return;
    const patience = this.#channel.unanswered > 1 ? 0 : CHANNEL_GETS;
    const timer = setTimeout(() => void this.#insist(key), patience);
    this.#pressed.set(key, { message, arrived, timer });
    this.#show(key, { state: "sent", reason: "" });
  }

  /** The kernel is known to listen: what it seems not to have heard is sent again. */
  again(): void {
    for (const [key, { message, arrived }] of [...this.#pressed]) {
      const state = this.presses.peek().get(key)?.state;
      if (state !== "sent" && state !== "accepted") this.press(key, message, arrived);
    }
  }

  /** What was pressed, or all that was, is not waited for any more. */
  forget(key?: string): void {
    const keys = key === undefined ? [...this.#pressed.keys()] : [key];
    for (const one of keys) this.#drop(one);
  }

  dispose(): void {
    for (const end of this.#endings) end();
    this.forget();
    this.#ticket = "";
  }

  // --- what was pressed ---------------------------------------------------------------

  async #insist(key: string): Promise<void> {
    const pressed = this.#pressed.get(key);
    const road = this.road.peek();
    const verb = VERBS[pressed?.message.type ?? ""];
    if (!pressed || !verb || pressed.arrived()) return;
    if (road.kind !== "open") {
      this.#show(key, { state: "held", reason: whyHeld(road) });
      return;
    }
    // The ticket says which conversation it is for.
    const { type: _, instance_id: __, ...body } = pressed.message;
    const problem = await this.#post(road.url, verb, body);
    // It may have arrived, or have been pressed anew, in the meantime.
    if (this.#pressed.get(key) !== pressed) return;
    if (problem === null) this.#show(key, { state: "accepted", reason: "" });
    else this.#show(key, { state: "failed", reason: `${problem} ${INTERRUPT}` });
  }

  #settle(): void {
    for (const [key, { arrived }] of [...this.#pressed]) {
      if (arrived()) this.#drop(key);
    }
  }

  #drop(key: string): void {
    const pressed = this.#pressed.get(key);
    if (!pressed) return;
    clearTimeout(pressed.timer);
    this.#pressed.delete(key);
    const presses = new Map(this.presses.peek());
    presses.delete(key);
    this.presses.value = presses;
  }

  #show(key: string, press: Press): void {
    this.presses.value = new Map(this.presses.peek()).set(key, press);
  }

  // --- the road -----------------------------------------------------------------------

  /** With every sign of life: say the origin, and renew what is there. */
  #ask(): void {
    const road = this.road.peek();
    const { origin } = this.#around;
    this.#channel.send({ type: "road", origin, state: road.kind });
    // Over the road too, if the kernel did not hear the last time.
    if (road.kind === "open" && this.#channel.unanswered > 1) {
      void this.#renew(road.url);
    }
  }

  /** Take the first way at whose end the right server answers. */
  async #tryWays(message: Message, turn: number): Promise<void> {
    const urls = Array.isArray(message.urls) ? message.urls.map(String) : [];
    for (const url of urls) {
      // Without the ticket: behind a tunnel, another machine's server may answer.
      const answer = await this.#fetch(url, "hello", {});
      const found = answer?.ok ? await json(answer) : null;
      if (turn !== this.#turn) return;
      if (found?.server === message.server) {
        this.#ticket = String(message.ticket);
        this.road.value = { kind: "open", url };
        return;
      }
    }
    const hint = "The server of rt.serve() does not answer this page.";
    this.road.value = { kind: "closed", hint };
  }

  async #renew(url: string): Promise<void> {
    const turn = this.#turn;
    const problem = await this.#post(url, "renew", {});
    // Asking anew gives another ticket as soon as the kernel hears it.
    if (problem !== null && turn === this.#turn) this.road.value = { kind: "asking" };
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
    const isOwn = url.startsWith(`${this.#around.origin}/`);
    // Jupyter's own check against forged requests, as on the way through its proxy.
    const xsrf = isOwn ? /(?:^|; )_xsrf=([^;]+)/.exec(this.#around.cookie())?.[1] : "";
    if (xsrf) headers["X-XSRFToken"] = xsrf;
    try {
      return await this.#around.fetch(`${url}/tickets/${verb}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        credentials: isOwn ? "same-origin" : "omit",
        cache: "no-store",
        redirect: "error",
        referrerPolicy: "no-referrer",
        signal: AbortSignal.timeout(ROAD_GETS),
      });
    } catch {
      return null; // nobody listens there, or a browser's rule is against it
    }
  }
}

function whyHeld(road: Road): string {
  const hint = road.kind === "closed" ? ` ${road.hint}` : "";
  return `${WAITS} ${INTERRUPT}${hint}`;
}

async function json(answer: Response): Promise<Record<string, unknown> | null> {
  try {
    return (await answer.json()) as Record<string, unknown>;
  } catch {
    return null;
  }
}

function browser(): Surroundings {
  return {
    origin: globalThis.location?.origin ?? "",
    cookie: () => document.cookie,
    fetch: (url, options) => fetch(url, options),
  };
}
