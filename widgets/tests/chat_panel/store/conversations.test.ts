import assert from "node:assert/strict";
import { test } from "node:test";
import { ConversationActions } from "../../../src/chat_panel/store/conversations.ts";

function menu() {
  const sent: Record<string, unknown>[] = [];
  const files: string[][] = [];
  const conversationActions = new ConversationActions(
    (message) => sent.push(message),
    (...file) => files.push(file),
  );
  return { conversationActions, sent, files };
}

const named = (id: string) => ({ instance_id: id, activity: "idle", turns: 1 });

test("an answer to an earlier search does not replace a later one", () => {
  const { conversationActions } = menu();
  conversationActions.list("os");
  conversationActions.list("oslo");

  conversationActions.take({
    type: "conversations",
    items: [named("a")],
    search: "oslo",
  });
  conversationActions.take({
    type: "conversations",
    items: [named("b")],
    search: "os",
  });

  const ids = conversationActions.listed.value?.items.map((item) => item.instance_id);
  assert.deepEqual(ids, ["a"]);
});

test("a list goes on behind what is shown, and is asked for once", () => {
  const { conversationActions, sent } = menu();
  conversationActions.list();
  const page = { type: "conversations", search: "" };
  conversationActions.take({ ...page, items: [named("a")], next: "x" });

  conversationActions.listMore();
  conversationActions.listMore();
  conversationActions.take({ ...page, items: [named("b")], next: null });

  assert.deepEqual(sent.slice(1), [{ type: "list", search: "", after: "x" }]);
  const ids = conversationActions.listed.value?.items.map((item) => item.instance_id);
  assert.deepEqual(ids, ["a", "b"]);
});

test("only the page that asked for an export offers the file", () => {
  const asked = menu();
  const other = menu();
  const file = { type: "export", file_name: "a.md", media_type: "text/markdown" };
  asked.conversationActions.export("c1", "markdown");

  for (const { conversationActions } of [asked, other]) {
    conversationActions.take({ ...file, text: "# a" });
    conversationActions.take({ ...file, text: "# a" });
  }

  assert.deepEqual(asked.files, [["a.md", "text/markdown", "# a"]]);
  assert.deepEqual(other.files, []);
});

test("what is done with a conversation names it", () => {
  const { conversationActions, sent } = menu();

  conversationActions.forget("c1");
  conversationActions.disallow("c1", "delete_file");
  conversationActions.export("c1", "json");

  assert.deepEqual(sent, [
    { type: "forget", instance_id: "c1" },
    { type: "disallow", instance_id: "c1", tool: "delete_file" },
    { type: "export", instance_id: "c1", format: "json" },
  ]);
});

test("an empty name takes the name away", () => {
  const { conversationActions, sent } = menu();

  conversationActions.rename("c", "  ");

  assert.deepEqual(sent, [{ type: "rename", instance_id: "c", name: null }]);
});
