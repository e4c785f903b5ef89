import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnyModel } from "@anywidget/types";
import { LazyModules } from "../../src/shared/lazy_modules.ts";

test("a kernel that is gone has no modules, and is asked no more", async () => {
  let asks = 0;
  const model = {
    on: () => {},
    off: () => {},
    send: () => {
      asks += 1;
      throw new Error("Cannot send");
    },
  };
  const modules = new LazyModules(model as unknown as AnyModel);

  const module = modules.get("maths");

  await assert.rejects(module, /no kernel/);
  await assert.rejects(modules.get("maths"), /no kernel/);
  assert.equal(asks, 1);
  modules.dispose();
});
