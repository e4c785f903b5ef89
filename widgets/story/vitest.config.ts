/** The tests of the stories, in the Chromium that AGENT_RUNTIME_CHROMIUM names. */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { emulate } from "./tests/emulate.ts";

const executablePath = process.env.AGENT_RUNTIME_CHROMIUM;
if (!executablePath) {
  throw new Error("AGENT_RUNTIME_CHROMIUM names no browser; see tools/chromium.py");
}

export default defineConfig({
  root: dirname(fileURLToPath(import.meta.url)),
  cacheDir: "../node_modules/.vite-stories",
  clearScreen: false,
  server: { host: "127.0.0.1" },
  test: {
    include: ["tests/**/*.test.ts"],
    // Most of the time a page waits for its next frame.
    maxWorkers: 2,
    testTimeout: 30_000,
    // As patient where the machine is busy.
    expect: { poll: { timeout: 20_000 } },
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          executablePath,
          args: [
            "--no-sandbox", // containers run tests as root
            "--disable-gpu",
            "--disable-background-networking",
            // What leaves the machine fails.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
          ],
        },
      }),
      instances: [{ browser: "chromium", viewport: { width: 900, height: 800 } }],
      commands: { emulate },
    },
  },
});
