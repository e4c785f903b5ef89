/** Names that the bundles shorten are nobody else's. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { INTERNAL } from "../internal_names.mjs";

const RECORDED = new URL("../story/kernel.json", import.meta.url);

/** All names of properties, wherever they stand. */
function names(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(names);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, one]) => [name, ...names(one)]);
}

test("nothing that the kernel sends has a name that the bundles shorten", () => {
  const scenes = JSON.parse(readFileSync(RECORDED, "utf8")) as Record<string, object>;
  const sent = new Set(
    Object.values(scenes).flatMap((scene) =>
      // The recording itself calls one of its parts "picture".
      Object.values(scene).flatMap(names),
    ),
  );

  assert.ok(sent.has("instance_id"));
  assert.deepEqual(
    [...sent].filter((name) => INTERNAL.test(name)),
    [],
  );
});
