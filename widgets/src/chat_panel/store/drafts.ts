/** What is being written, for each conversation by itself. */

import { signal } from "@preact/signals";
import type { Attachment } from "./attachments.ts";

const KEY = "agent-runtime-nb:draft:";

/**
 * The words are kept over a reload of the page, the images as long as the page lives.
 *
 * Everything is about the conversation that was opened last, unless a key is given.
 */
export class Drafts {
  readonly text = signal("");
  readonly media = signal<Attachment[]>([]);
  /** What is written for a conversation that is to come, another one each time. */
  #coming = "";
  #key = this.#coming;
  #became = new Map<string, string>();
  #texts = new Map<string, string>();
  #media = new Map<string, Attachment[]>();

  /** Which conversation's draft is shown. */
  get key(): string {
    return this.#key;
  }

  /**
   * Show the draft of another conversation, "" is one that is to come. Once it has, what
   * was written for it is added to its draft.
   */
  open(name: string): void {
    const key = name || this.#coming;
    if (key === this.#key) return;
    const [text, media] = [this.text.peek(), this.media.peek()];
    const hasCome = this.#key === this.#coming;
    this.#key = key;
    this.text.value = this.#texts.get(key) ?? kept(key);
    this.media.value = this.#media.get(key) ?? [];
    if (!hasCome) return;
    this.#became.set(this.#coming, key);
    this.#coming += "?";
    this.write(joined([this.text.peek(), text]));
    this.attach((before) => [...before, ...media]);
  }

  write(text: string): void {
    this.text.value = text;
    this.#texts.set(this.#key, text);
    if (this.#key !== this.#coming) keep(this.#key, text);
  }

  /** What was not sent after all comes before the rest. */
  prepend(said: { text: string; media: Attachment[] }[]): void {
    this.write(joined([...said.map(({ text }) => text), this.text.peek()]));
    this.attach((media) => [...said.flatMap((one) => one.media), ...media]);
  }

  /** What was taken back is a draft again, unless there is another one. */
  restore(text: string, media: Attachment[]): void {
    if (this.text.peek() !== "" || this.media.peek().length > 0) return;
    this.write(text);
    this.attach(() => media);
  }

  /** Change the images; `begunAt` a key, as reading a file takes a while. */
  attach(change: (media: Attachment[]) => Attachment[], begunAt = this.#key): void {
    const key = this.#became.get(begunAt) ?? begunAt;
    const media = change(this.#media.get(key) ?? []);
    this.#media.set(key, media);
    if (key === this.#key) this.media.value = media;
  }
}

function joined(texts: string[]): string {
  return texts.filter(Boolean).join("\n");
}

function kept(name: string): string {
  try {
    return sessionStorage.getItem(KEY + name) ?? "";
  } catch {
    return "";
  }
}

/** Storage may be forbidden in a frame; the draft then lives as long as the page. */
function keep(name: string, text: string): void {
  try {
    if (text) sessionStorage.setItem(KEY + name, text);
    else sessionStorage.removeItem(KEY + name);
  } catch {}
}
