/**
 * Checks that imports in src/ go down only: node import_layers.mjs
 *
 * A folder may import from itself and from folders of the layers below its own; two
 * folders of one layer do not know each other. Imports of types count. A folder that is
 * not listed is an error, so that everybody who adds one says where it belongs. Cycles
 * inside a folder are biome's to find (noImportCycles).
 */

import { readdir, readFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** Folders of src/, the highest layer first. */
export const LAYERS = [
  ["chat_panel", "actor_dashboard"],
  ["chat_panel/menu", "chat_panel/transcript"],
  ["chat_panel/composer"],
  ["chat_panel/items"],
  ["chat_panel/markdown"],
  ["chat_panel/store"],
  ["side_channel"],
  ["shared"],
  ["lazy"],
];

/** Packages that one module alone imports: it is the only one that knows them. */
export const SOLE_IMPORTERS = {
  "streaming-markdown": "chat_panel/markdown/block_parser.ts",
};

/** Of `from "x"`, `import "x"` and `import("x")`, also over several lines. */
const IMPORT = /\b(?:from|import)\s*\(?\s*"([^"]+)"/g;

/**
 * What is wrong, a sentence each.
 *
 * `sources` has the texts by their paths below src/, with slashes.
 */
export function findProblems(sources) {
  const layers = new Map(
    LAYERS.flatMap((folders, layer) => folders.map((folder) => [folder, layer])),
  );
  return [...sources].flatMap(([path, text]) => {
    const folder = dirname(path);
    if (folder === ".") return [];
    if (!layers.has(folder))
      return [`${path}: import_layers.mjs does not list ${folder}`];
    return [...text.matchAll(IMPORT)].flatMap(([, specifier]) =>
      problemsOf(path, specifier, layers),
    );
  });
}

function problemsOf(path, specifier, layers) {
  if (!specifier.startsWith(".")) {
    const importer = SOLE_IMPORTERS[specifier];
    const isForeign = importer !== undefined && importer !== path;
    return isForeign ? [`${path}: only ${importer} may import ${specifier}`] : [];
  }
  const folder = dirname(path);
  const target = dirname(join(folder, specifier)).split(sep).join("/");
  const isInside = target === folder;
  const isBelow = layers.get(target) > layers.get(folder);
  return isInside || isBelow ? [] : [`${path}: ${folder} may not import ${specifier}`];
}

async function readSources(root) {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    files.map(async (file) => [
      relative(root, file).split(sep).join("/"),
      await readFile(file, "utf8"),
    ]),
  );
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = join(dirname(fileURLToPath(import.meta.url)), "src");
  const problems = findProblems(await readSources(root));
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
