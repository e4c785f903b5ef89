/**
 * Bundles every widget: src/<name>/index.ts(x) becomes <name>.js and <name>.css in
 * the Python package, each one self-contained ES module with its stylesheet.
 *
 * The licences of everything that is bundled are written beside the bundles, since
 * these are passed on with the wheel. A widget over its size limit fails the build:
 * every widget instance carries its module over the wire and in saved notebooks.
 */

import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = join(HERE, "..", "agent_runtime_nb", "widgets", "static");
const GZIP_LIMIT = 45 * 1024;

async function entryPoints() {
  const folders = await readdir(join(HERE, "src"), { withFileTypes: true });
  return folders
    .filter((folder) => folder.isDirectory() && folder.name !== "shared")
    .flatMap((folder) =>
      ["index.ts", "index.tsx"]
        .map((file) => join(HERE, "src", folder.name, file))
        .filter((path) => existsSync(path))
        .map((path) => ({ in: path, out: folder.name })),
    );
}

function bundledPackages(metafile) {
  const names = Object.keys(metafile.inputs).flatMap((input) => {
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

function checkSizes(outputs) {
  const tooLarge = [];
  for (const { path, contents } of outputs) {
    const zipped = gzipSync(contents).length;
    console.log(`${basename(path)}: ${contents.length} bytes, ${zipped} gzipped`);
    if (zipped > GZIP_LIMIT) tooLarge.push(basename(path));
  }
  if (tooLarge.length > 0) {
    throw new Error(`over ${GZIP_LIMIT} bytes gzipped: ${tooLarge.join(", ")}`);
  }
}

const entries = await entryPoints();
if (entries.length === 0) {
  throw new Error("no widget: there is no src/<name>/index.ts or index.tsx");
}
const { metafile, outputFiles } = await build({
  absWorkingDir: HERE,
  entryPoints: entries,
  outdir: OUT,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  metafile: true,
  write: false,
  logLevel: "warning",
});
checkSizes(outputFiles);
const notices = await licences(bundledPackages(metafile));

// Only now, so that a failed build leaves the old bundles as they were.
await rm(OUT, { recursive: true, force: true });
await mkdir(OUT, { recursive: true });
for (const { path, contents } of outputFiles) await writeFile(path, contents);
await writeFile(join(OUT, "third_party_licenses.txt"), notices);
