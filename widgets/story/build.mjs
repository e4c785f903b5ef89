/** Bundles the stories into story/build (not in git). Run: node story/build.mjs */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
await build({
  absWorkingDir: join(here, ".."),
  entryPoints: ["story/story.ts"],
  outdir: "story/build",
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
});
