/** The lazy modules as the kernel would send them; story/build.mjs makes them. */

import texts from "./build/modules.js";
import type { KernelMessage } from "./fake_model.ts";

export function answerModule({ name }: KernelMessage): KernelMessage {
  const text = texts[String(name)];
  return { type: "module", name, ...(text ? { text } : { error: "there is none" }) };
}
