import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { AnyModel } from "@anywidget/types";
import { syncSavedCopies } from "../../src/chat_panel/saved_copy.ts";

type Output = Record<string, unknown>;

const VIEW = "application/vnd.jupyter.widget-view+json";
const LIVE = { output_type: "display_data", data: { [VIEW]: { model_id: "w1" } } };
const OTHER = { output_type: "display_data", data: { [VIEW]: { model_id: "w2" } } };
const STREAM = { output_type: "stream", text: "hello" };
const OLD = { "text/plain": "old" };
const NEW = { "text/plain": "new" };

function copy(mark: string, revision: number, data: object = OLD): Output {
  const metadata = { agent_runtime_nb: { copy: mark, revision } };
  return { output_type: "display_data", data, metadata };
}

/** A widget in a page with a notebook of one cell; without outputs, no notebook. */
function open(outputs?: Output[], refuse = () => {}) {
  mock.timers.reset(); // also after a test that failed
  mock.timers.enable({ apis: ["setTimeout"] });
  const sent: unknown[] = [];
  let take: ((message: object) => void) | undefined;
  const list = {
    toJSON: () => structuredClone(outputs),
    set: (index: number, output: Output) => outputs?.splice(index, 1, output),
  };
  const model = {
    get: () => "arn-1",
    on: (_event: string, handler: typeof take) => {
      take = handler;
    },
    off: () => {
      take = undefined;
    },
    send: (message: unknown) => {
      refuse();
      sent.push(message);
    },
    widget_manager: outputs && {
      context: { model: { cells: [{}, { outputs: list }] } },
    },
  };
  const end = syncSavedCopies(model as unknown as AnyModel);
  const say = (message: object) => take?.(message);
  return { say, sent, end, later: () => mock.timers.tick(1_000) };
}

const saved = (revision: number, frozen = false) => ({
  type: "saved",
  revision,
  frozen,
  model_id: "w1",
});

test("a page whose copy is behind asks for it and changes only that output", () => {
  const outputs = [STREAM, LIVE, copy("arn-1", 1), copy("arn-2", 1)];
  const page = open(outputs);

  page.say(saved(2));
  page.later();
  const { metadata } = copy("arn-1", 2);
  page.say({ type: "saved_data", revision: 2, copy: NEW, metadata });

  assert.deepEqual(page.sent, [{ type: "saved_data" }]);
  const expected = [STREAM, LIVE, copy("arn-1", 2, NEW), copy("arn-2", 1)];
  assert.deepEqual(outputs, expected);
});

test("a page that has the copy already asks for nothing", () => {
  const page = open([LIVE, copy("arn-1", 2)]);

  page.say(saved(2));
  page.later();

  assert.deepEqual(page.sent, []);
});

test("a frozen panel's view gives way to the words, another panel's stays", () => {
  const outputs: Output[] = [OTHER, LIVE];
  const page = open(outputs);

  page.say(saved(1, true));
  page.later();
  page.say({ type: "saved_data", revision: 1, live: NEW });

  const words = { output_type: "display_data", data: NEW, metadata: {} };
  assert.deepEqual(outputs, [OTHER, words]);
});

test("where no notebook can be seen nothing is asked for", () => {
  const page = open();

  page.say(saved(1, true));
  page.later();

  assert.deepEqual(page.sent, []);
});

test("a widget that is gone asks for nothing", () => {
  const page = open([LIVE]);

  page.say(saved(1, true));
  page.end();
  page.later();

  assert.deepEqual(page.sent, []);
});

test("a kernel that is gone when a copy is behind is no fault", () => {
  const page = open([LIVE, copy("arn-1", 1)], () => {
    throw new Error("Cannot send");
  });

  page.say(saved(2));

  assert.doesNotThrow(page.later);
  page.end();
});
