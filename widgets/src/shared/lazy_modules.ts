/**
 * Parts of the front end that few conversations need: asked of the kernel when the first
 * use comes up, so that they are neither in every notebook nor fetched from the web.
 *
 * The kernel sends the module's text, which is imported from the page itself. Without a
 * kernel a module never comes, and what needs it stays in its simple form.
 */

import type { AnyModel } from "@anywidget/types";

interface Contents {
  highlight: typeof import("../lazy/highlight.ts");
  maths: typeof import("../lazy/maths.ts");
  sanitise: typeof import("../lazy/sanitise.ts");
}

export type ModuleName = keyof Contents;

const ASK_AGAIN_AFTER = 5_000;
const MOST_ASKS = 12;

interface Wanted {
  module: Promise<unknown>;
  arrived: (text: string) => void;
  failed: (problem: Error) => void;
  timer: ReturnType<typeof setInterval>;
}

/** The modules of one widget model, each fetched once. */
export class LazyModules {
  #model: AnyModel;
  #wanted = new Map<ModuleName, Wanted>();
  #isOver = false;

  constructor(model: AnyModel) {
    this.#model = model;
    model.on("msg:custom", this.#take);
  }

  /** The module once it is there; rejected if the kernel has none. */
  get<N extends ModuleName>(name: N): Promise<Contents[N]> {
    const wanted = this.#wanted.get(name) ?? this.#want(name);
    return wanted.module as Promise<Contents[N]>;
  }

  dispose(): void {
    this.#isOver = true;
    this.#model.off("msg:custom", this.#take);
    for (const { timer } of this.#wanted.values()) clearInterval(timer);
  }

  #want(name: ModuleName): Wanted {
    const { promise, resolve, reject } = withResolvers<string>();
    const module = promise.then(importText);
    let asked = 0;
    const ask = () => {
      asked += 1;
      if (asked === MOST_ASKS) clearInterval(wanted.timer);
      if (this.#isOver) return;
      try {
        this.#model.send({ type: "module", name });
      } catch {
        // The kernel was restarted or shut down; this model does not come back.
        clearInterval(wanted.timer);
        reject(new Error("there is no kernel that has the module"));
      }
    };
    const timer = setInterval(ask, ASK_AGAIN_AFTER);
    const wanted = { module, arrived: resolve, failed: reject, timer };
    this.#wanted.set(name, wanted);
    ask();
    return wanted;
  }

  #take = (message: unknown): void => {
    const { type, name, text } = (message ?? {}) as Record<string, unknown>;
    const wanted = this.#wanted.get(name as ModuleName);
    if (type !== "module" || !wanted) return;
    clearInterval(wanted.timer);
    if (typeof text === "string") wanted.arrived(text);
    else wanted.failed(new Error(`the kernel has no module ${name}`));
  };
}

async function importText(text: string): Promise<unknown> {
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return await import(/* @vite-ignore */ address);
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Promise.withResolvers, which is younger than the browsers that notebooks meet. */
function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: Error) => void;
  const promise = new Promise<T>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
}
