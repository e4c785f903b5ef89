/** A widget model without a kernel: it answers as told, and keeps what was sent. */

export type KernelMessage = { type: string } & Record<string, unknown>;

export interface FakeModelOptions {
  /** "silent" answers the first ping and then nothing, "gone" has no comm, as Lab after a restart. */
  link?: "live" | "silent" | "gone";
  /** Answers to messages, by the type of the message. */
  answers?: Record<string, KernelMessage | ((message: KernelMessage) => KernelMessage)>;
}

type Listener = (...parts: unknown[]) => void;

export class FakeModel {
  readonly sent: KernelMessage[] = [];
  #listeners = new Map<string, Listener[]>();
  #snapshot: Record<string, unknown>;
  #options: FakeModelOptions;
  #pings = 0;

  constructor(snapshot: Record<string, unknown>, options: FakeModelOptions = {}) {
    this.#snapshot = snapshot;
    this.#options = options;
  }

  get(name: string): unknown {
    return name === "snapshot" ? this.#snapshot : undefined;
  }

  set(): void {}

  save_changes(): void {}

  on(name: string, listener: Listener): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  off(name: string, listener: Listener): void {
    const others = this.#listeners.get(name)?.filter((one) => one !== listener);
    this.#listeners.set(name, others ?? []);
  }

  send(message: KernelMessage): void {
    if (this.#options.link === "gone") throw new Error("Cannot send");
    this.sent.push(message);
    if (message.type === "ping") {
      this.#pong();
      return;
    }
    const { link = "live", answers } = this.#options;
    const answer = link === "live" && answers?.[message.type];
    if (answer) this.receive(typeof answer === "function" ? answer(message) : answer);
  }

  /** What the kernel would send; batches are numbered from 2 on. */
  receive(message: KernelMessage): void {
    queueMicrotask(() => this.#tell("msg:custom", message));
  }

  #pong(): void {
    const { link = "live" } = this.#options;
    const { seq } = this.#snapshot as { seq: number };
    this.#pings += 1;
    if (link === "silent" && this.#pings > 1) return;
    this.receive({ type: "pong", seq, now: Date.now() / 1000 });
  }

  #tell(name: string, ...parts: unknown[]): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(...parts);
  }
}
