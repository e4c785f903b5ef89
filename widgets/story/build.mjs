/**
 * Bundles the stories into story/build (not in git). Run: node story/build.mjs
 *
 * The lazy modules' texts go there first: the stories, and the tests that Vite serves,
 * answer with them as the kernel does.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { lazyTexts } from "../lazy.mjs";

const here = dirname(fileURLToPath(import.meta.url));
await mkdir(join(here, "build"), { recursive: true });
const texts = JSON.stringify(await lazyTexts());
await writeFile(join(here, "build", "modules.js"), `export default ${texts};\n`);
await build({
  absWorkingDir: join(here, ".."),
  entryPoints: ["story/story.ts"],
  outdir: "story/build",
  bundle: true,
  // A classic script: the page can then be opened as a file, without a server.
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
});
