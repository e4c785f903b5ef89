/**
 * Bundles every widget: src/<name>/index.ts(x) becomes <name>.js and <name>.css in
 * the Python package, each one self-contained ES module with its stylesheet. What is
 * sent only when needed (lazy.mjs) becomes modules/<name>.js.
 *
 * The licences of everything that is bundled are written beside the bundles, since
 * these are passed on with the wheel. A widget whose module and stylesheet together
 * are over the size limit fails the build: every instance carries them over the wire.
 */

import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";
import { INTERNAL } from "./internal_names.mjs";
import { buildLazy } from "./lazy.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = join(HERE, "..", "agent_runtime_nb", "widgets", "static");
const GZIP_LIMIT = 45 * 1024;
const NO_WIDGETS = new Set(["shared", "lazy", "side_channel"]);

async function entryPoints() {
  const folders = await readdir(join(HERE, "src"), { withFileTypes: true });
  return folders
    .filter((folder) => folder.isDirectory() && !NO_WIDGETS.has(folder.name))
    .flatMap((folder) =>
      ["index.ts", "index.tsx"]
        .map((file) => join(HERE, "src", folder.name, file))
        .filter((path) => existsSync(path))
        .map((path) => ({ in: path, out: folder.name })),
    );
}

function bundledPackages(metafiles) {
  const inputs = metafiles.flatMap((metafile) => Object.keys(metafile.inputs));
  const names = inputs.flatMap((input) => {
    const match = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    return match ? [match[1]] : [];
  });
  return [...new Set(names)].sort();
}

async function licences(packages) {
  const texts = packages.map(async (name) => {
    const folder = join(HERE, "node_modules", name);
    const { version, license } = JSON.parse(
      await readFile(join(folder, "package.json"), "utf8"),
    );
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? await readFile(join(folder, file), "utf8") : "";
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(72)}\n\n`);
}

/** Of each widget: its module and its stylesheet together. */
function checkSizes(outputs) {
  const sizes = new Map();
  for (const { path, contents } of outputs) {
    const zipped = report(path, contents);
    const widget = basename(path).replace(/\.(js|css)$/, "");
    sizes.set(widget, (sizes.get(widget) ?? 0) + zipped);
  }
  const tooLarge = [...sizes].filter(([, size]) => size > GZIP_LIMIT);
  if (tooLarge.length > 0) {
    const list = tooLarge.map(([widget, size]) => `${widget} (${size})`).join(", ");
    throw new Error(`over ${GZIP_LIMIT} bytes gzipped: ${list}`);
  }
}

function report(path, contents) {
  const zipped = gzipSync(contents).length;
  console.log(`${basename(path)}: ${contents.length} bytes, ${zipped} gzipped`);
  return zipped;
}

/** A bundle as small as it gets: every instance carries it over the wire. */
async function smallest({ path, contents, text }) {
  if (!path.endsWith(".js")) return { path, contents };
  const compress = {
    passes: 3,
    unsafe: true,
    unsafe_arrows: true,
    lhs_constants: false, // the same order everywhere is smaller when zipped
    drop_console: ["assert"],
  };
  const options = { module: true, ecma: 2022, compress };
  const { code } = await minify(text, options);
  return { path, contents: Buffer.from(code ?? text) };
}

const entries = await entryPoints();
if (entries.length === 0) {
  throw new Error("no widget: there is no src/<name>/index.ts or index.tsx");
}
const { metafile, outputFiles: bundled } = await build({
  absWorkingDir: HERE,
  entryPoints: entries,
  outdir: OUT,
  bundle: true,
  minify: true,
  mangleProps: INTERNAL,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  metafile: true,
  write: false,
  logLevel: "warning",
});
const outputFiles = await Promise.all(bundled.map(smallest));
checkSizes(outputFiles);
const lazy = await buildLazy();
for (const { path, contents } of lazy.outputFiles)
  report(`lazy ${basename(path)}`, contents);
const notices = await licences(bundledPackages([metafile, lazy.metafile]));

// Only now, so that a failed build leaves the old bundles as they were.
await rm(OUT, { recursive: true, force: true });
await mkdir(join(OUT, "modules"), { recursive: true });
for (const { path, contents } of outputFiles) await writeFile(path, contents);
for (const { path, contents } of lazy.outputFiles) {
  await writeFile(join(OUT, "modules", basename(path)), contents);
}
await writeFile(join(OUT, "third_party_licenses.txt"), notices);
