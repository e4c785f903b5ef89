/**
 * The modules that the kernel sends when a conversation first needs them: src/lazy.
 *
 * They do not count as part of a widget. Who bundles: build.mjs and the story book.
 */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));

/** By name; agent_runtime_nb/widgets/lazy_modules.py has the same list. */
export const LAZY = ["highlight", "maths", "sanitise"];

/** Bundle them in memory, each one self-contained ES module. */
export function buildLazy() {
  return build({
    absWorkingDir: HERE,
    entryPoints: LAZY.map((name) => join(HERE, "src", "lazy", `${name}.ts`)),
    outdir: join(HERE, "modules"),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    metafile: true,
    write: false,
    logLevel: "warning",
  });
}

/** Their texts by name. */
export async function lazyTexts() {
  const { outputFiles } = await buildLazy();
  return Object.fromEntries(LAZY.map((name, place) => [name, outputFiles[place].text]));
}
