/** What belongs to a conversation stays with it when the panel shows another one. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { open, turn } from "../fake_kernel.ts";

const IMAGE = { name: "a.png", uri: "data:image/png;base64,AA" };
const FULL = { type: "MailboxFull", message: "full", retryable: true };

test("what is asked about a conversation names the one that the page shows", () => {
  const { store, sent, show } = open("c1");
  show({ turns: [turn(1, { status: "running" })] });

  store.stop("t1");
  store.retry(turn(2));
  store.discard(turn(3));
  store.answer(turn(4), "r1", "once");
  store.loadEarlier();
  store.sendEdited("t5", "by bus", []);

  const asked = ["stop", "retry", "discard", "answer", "earlier", "edit"];
  assert.deepEqual(
    sent
      .filter(({ type }) => asked.includes(String(type)))
      .map(({ type, instance_id }) => [type, instance_id]),
    asked.map((type) => [type, "c1"]),
  );
  store.dispose();
});

test("a draft waits in its conversation and is not taken into another one", () => {
  const { store, show } = open("c1");
  store.drafts.write("for c1 only");
  store.drafts.attach(() => [IMAGE]);

  show({ instance_id: "c2" });
  const inOther = [store.drafts.text.value, store.drafts.media.value.length];
  store.drafts.write("for c2");
  show({ instance_id: "c1" });

  assert.deepEqual(inOther, ["", 0]);
  assert.equal(store.drafts.text.value, "for c1 only");
  assert.deepEqual(store.drafts.media.value, [IMAGE]);
  show({ instance_id: "c2" });
  assert.equal(store.drafts.text.value, "for c2");
  store.dispose();
});

test("an image that is read while the panel switches goes where it was put", () => {
  const { store, show } = open("c1");
  const { key } = store.drafts;

  show({ instance_id: "c2" });
  store.drafts.attach((media) => [...media, IMAGE], key);

  assert.deepEqual(store.drafts.media.value, []);
  show({ instance_id: "c1" });
  assert.deepEqual(store.drafts.media.value, [IMAGE]);
  store.dispose();
});

test("what is written before the first picture belongs to its conversation", () => {
  const { store, show } = open("");
  store.drafts.write("early");

  show({ instance_id: "c1" });

  assert.equal(store.drafts.text.value, "early");
  store.dispose();
});

/** An edit that was sent, and the branch for it is shown already. */
function forked() {
  const kernel = open("c1");
  kernel.store.edit("t2");
  kernel.store.sendEdited("t2", "a long new text", [IMAGE]);
  kernel.show({ instance_id: "edit-1", turns: [turn(1)] });
  const message_id = kernel.sentOf("edit")[0]?.message_id;
  return { ...kernel, message_id };
}

test("an edit that its branch does not take is kept there with the reason", () => {
  const { store, tell, message_id, sentOf } = forked();
  const before = store.sending.value.length;

  tell({ type: "refused", message_id, error: FULL });

  const [kept] = store.sending.value;
  assert.equal(before, 0);
  assert.equal(kept?.text, "a long new text");
  assert.deepEqual(kept?.media, [IMAGE]);
  assert.equal(kept?.refused?.message, "full");
  assert.equal(store.problem.value, null);
  if (kept) store.resendMessage(kept);
  assert.equal(sentOf("send")[0]?.instance_id, "edit-1");
  store.dispose();
});

test("an edit whose refusal comes before its branch is kept in the branch too", () => {
  const { store, sentOf, show, tell } = open("c1");
  store.edit("t2");
  store.sendEdited("t2", "a long new text", []);
  const message_id = sentOf("edit")[0]?.message_id;

  tell({ type: "refused", message_id, error: FULL });
  const inEditor = store.editing.value?.refused?.message;
  show({ instance_id: "edit-1" });

  assert.equal(inEditor, "full");
  assert.equal(store.sending.value[0]?.text, "a long new text");
  assert.equal(store.sending.value[0]?.refused?.message, "full");
  store.dispose();
});

test("an edit without a branch is kept where it was written", () => {
  const { store, tell, show, message_id } = forked();

  tell({ type: "refused", message_id, what: "edit", error: FULL });
  const elsewhere = [store.sending.value.length, store.problem.value?.message];
  show({ instance_id: "c1" });

  assert.deepEqual(elsewhere, [0, "full"]);
  assert.equal(store.sending.value[0]?.text, "a long new text");
  store.dispose();
});

test("a message that is withdrawn comes back with its images", () => {
  const { store, show } = open("c1");
  const media = [{ kind: "media" as const, uri: IMAGE.uri, media_type: "image/png" }];
  const items = [{ kind: "user" as const, text: "look", media }];
  show({
    turns: [turn(1, { status: "running" }), turn(2, { status: "waiting", items })],
  });

  store.withdraw("t2");

  assert.equal(store.drafts.text.value, "look");
  assert.deepEqual(
    store.drafts.media.value.map((image) => image.uri),
    [IMAGE.uri],
  );
  store.dispose();
});

test("a message that is withdrawn on its way comes back, but over no other draft", () => {
  const { store, show } = open("c1");
  show({ turns: [turn(1, { status: "running" })] });
  store.sendMessage("first", [IMAGE]);
  store.sendMessage("second");
  const [first, second] = store.sending.value;

  store.withdraw(first?.id ?? "");
  store.withdraw(second?.id ?? "");

  assert.equal(store.drafts.text.value, "first");
  assert.deepEqual(store.drafts.media.value, [IMAGE]);
  store.dispose();
});
