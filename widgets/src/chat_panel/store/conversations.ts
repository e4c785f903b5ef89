/** What a person does with whole conversations; the kernel answers each by a message. */

import { signal } from "@preact/signals";
import type { Message } from "../../shared/connection.ts";
import { download } from "../../shared/download.ts";

export interface ConversationName {
  instance_id: string;
  name?: string | null;
  activity: string;
  turns: number | null;
}

export interface Listed {
  items: ConversationName[];
  search: string;
  /** Where the list goes on. */
  next: string | null;
}

export type ExportFormat = "markdown" | "json" | "notebook";

const SAID: Record<string, string> = {
  rename: "Renamed.",
  delete: "The conversation was deleted.",
  forget: "Everything in this conversation was deleted.",
  disallow: "Noted. That tool asks again before it runs.",
  freeze: "The conversation was written into the cell.",
  discard: "Discarded. The model does not see this turn any more.",
};

export class ConversationActions {
  /** Null until the kernel has answered. */
  readonly listed = signal<Listed | null>(null);
  /** What was done last, for those who listen. */
  readonly said = signal({ words: "" });
  #send: (message: Message) => void;
  #search = "";
  #isGoingOn = false;
  /** What is done with the exports that were asked for, in order. */
  #takers: (typeof download)[] = [];
  #download: typeof download;

  constructor(send: (message: Message) => void, offer = download) {
    this.#send = send;
    this.#download = offer;
  }

  list(search = ""): void {
    this.#search = search;
    this.#isGoingOn = false;
    this.#send({ type: "list", search });
  }

  listMore(): void {
    const after = this.listed.value?.next;
    if (!after || this.#isGoingOn) return;
    this.#isGoingOn = true;
    this.#send({ type: "list", search: this.#search, after });
  }

  switchTo(instanceId: string): void {
    this.#send({ type: "switch", instance_id: instanceId });
  }

  start(): void {
    this.#send({ type: "new" });
  }

  /** An empty name is none: the conversation goes by its id again. */
  rename(instanceId: string, name: string): void {
    const named = name.trim() || null;
    this.#send({ type: "rename", instance_id: instanceId, name: named });
  }

  remove(instanceId: string): void {
    this.#send({ type: "delete", instance_id: instanceId });
  }

  forget(instanceId: string): void {
    this.#send({ type: "forget", instance_id: instanceId });
  }

  /** Ask again before this tool runs. */
  disallow(instanceId: string, tool: string): void {
    this.#send({ type: "disallow", instance_id: instanceId, tool });
  }

  freeze(): void {
    this.#send({ type: "freeze" });
  }

  export(instanceId: string, format: ExportFormat, take = this.#download): void {
    this.#takers.push(take);
    this.#send({ type: "export", instance_id: instanceId, format });
  }

  /** Whether a message was an answer to one of these. */
  take(message: Message): boolean {
    switch (message.type) {
      case "conversations":
        this.#show(message as unknown as Listed);
        return true;
      case "export":
        this.#offer(message as unknown as Record<string, string>);
        return true;
      case "done":
        this.said.value = { words: SAID[String(message.what)] ?? "" };
        return true;
      default:
        return false;
    }
  }

  /** The kernel would not do it. */
  refused(what: unknown): void {
    if (what === "export") this.#takers = [];
    if (what === "list") this.#isGoingOn = false;
  }

  /** An answer to an earlier search, or to another view's, changes nothing. */
  #show({ items, search = "", next = null }: Listed): void {
    if (search !== this.#search) return;
    const before = this.#isGoingOn ? (this.listed.value?.items ?? []) : [];
    this.#isGoingOn = false;
    this.listed.value = { items: [...before, ...items], search, next };
  }

  /** The answer goes to every page that shows the panel; one has asked. */
  #offer({ file_name = "conversation", media_type = "", text = "" }): void {
    this.#takers.shift()?.(file_name, media_type, text);
  }
}
