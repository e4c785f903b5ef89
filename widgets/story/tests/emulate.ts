/** A command of the tests: what the person's system asks of pages. */

import type { BrowserCommand } from "vitest/node";

export interface Wishes {
  forcedColors?: "active" | "none";
  reducedMotion?: "reduce" | "no-preference";
  colorScheme?: "dark" | "light";
}

export const emulate: BrowserCommand<[Wishes]> = async ({ page }, wishes) => {
  await page.emulateMedia(wishes);
};

declare module "vitest/browser" {
  interface BrowserCommands {
    emulate: (wishes: Wishes) => Promise<void>;
  }
}
