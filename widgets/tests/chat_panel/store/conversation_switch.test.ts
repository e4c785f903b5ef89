/** What is written between asking for another conversation and its arrival. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChatStore } from "../../../src/chat_panel/store/chat_store.ts";
import { Drafts } from "../../../src/chat_panel/store/drafts.ts";
import { open, openByClock, PONG, turn } from "../fake_kernel.ts";

const IMAGE = { name: "a.png", uri: "data:image/png;base64,AA" };
const AWAY = { type: "Unavailable", message: "away", retryable: true };

const WAYS: [string, (store: ChatStore) => void][] = [
  ["new", (store) => store.conversationActions.start()],
  ["switch", (store) => store.conversationActions.switchTo("c2")],
  ["delete", (store) => store.conversationActions.remove("c1")],
  ["edit", (store) => store.sendEdited("t1", "by bus", [])],
];

for (const [way, leave] of WAYS) {
  test(`words after ${way} are those of the conversation that comes`, () => {
    const { store, show } = open("c1");
    store.drafts.write("old words");
    store.drafts.attach(() => [IMAGE]);

    leave(store);
    const box = [store.drafts.text.value, store.drafts.media.value.length];
    store.drafts.write("new words");
    show({ instance_id: "c2" });

    assert.deepEqual(box, ["", 0]);
    assert.equal(store.drafts.text.value, "new words");
    assert.deepEqual(store.drafts.media.value, []);
    show({ instance_id: "c1" });
    assert.equal(store.drafts.text.value, "old words");
    assert.deepEqual(store.drafts.media.value, [IMAGE]);
    store.dispose();
  });

  test(`a ${way} that is refused leaves both drafts in the box`, () => {
    const { store, sentOf, tell } = open("c1");
    store.drafts.write("old words");
    leave(store);
    store.sendMessage("said", [IMAGE]);
    store.drafts.write("new words");

    const message_id = sentOf(way)[0]?.message_id ?? "";
    tell({ type: "refused", message_id, what: way, error: AWAY });

    assert.equal(store.drafts.text.value, "old words\nsaid\nnew words");
    assert.deepEqual(store.drafts.media.value, [IMAGE]);
    assert.deepEqual([store.outbox.value, sentOf("send")], [[], []]);
    const told = store.problem.value ?? store.editing.value?.refused;
    assert.equal(told?.message, "away");
    store.dispose();
  });

  test(`a ${way} of which nothing is heard leaves both drafts and says so`, () => {
    const { store, tell, wait, end } = openByClock();
    store.drafts.write("old words");
    leave(store);
    store.drafts.write("new words");

    tell(PONG);
    const atOnce = store.drafts.text.value;
    wait(5_001);
    tell(PONG);

    assert.equal(atOnce, "new words");
    assert.equal(store.drafts.text.value, "old words\nnew words");
    const told = store.problem.value ?? store.editing.value?.refused;
    assert.match(told?.message ?? "", /no other conversation/);
    end();
  });
}

test("what is sent before the conversation comes is sent there, in order", () => {
  const { store, sentOf, show } = open("c1");
  store.conversationActions.start();

  store.sendMessage("one", [IMAGE]);
  store.sendMessage("two");
  const before = [sentOf("send").length, store.sending.value.length];
  const waiting = store.comingQueued.value.map(({ text }) => text);
  show({ instance_id: "c2" });

  assert.deepEqual(before, [0, 0]);
  assert.deepEqual(waiting, ["one", "two"]);
  assert.deepEqual(
    sentOf("send").map(({ text, instance_id }) => [text, instance_id]),
    [
      ["one", "c2"],
      ["two", "c2"],
    ],
  );
  assert.deepEqual(
    store.sending.value.map(({ text }) => text),
    ["one", "two"],
  );
  store.dispose();
});

test("a message that waits for its conversation can be withdrawn", () => {
  const { store, sentOf, show } = open("c1");
  store.conversationActions.start();
  store.sendMessage("too early");

  store.withdraw(store.comingQueued.value[0]?.id ?? "");
  const box = store.drafts.text.value;
  show({ instance_id: "c2" });

  assert.equal(box, "too early");
  assert.deepEqual([...sentOf("send"), ...sentOf("stop")], []);
  assert.equal(store.drafts.text.value, "too early");
  store.dispose();
});

test("a switch by another view is not the one that was asked for here", () => {
  const { store, sentOf, show } = open("c1");
  store.conversationActions.switchTo("c2");
  store.sendMessage("for c2");
  store.drafts.write("more for c2");

  show({ instance_id: "c3" });
  const inOther = sentOf("send").length;
  show({ instance_id: "c2" });

  assert.equal(inOther, 0);
  assert.equal(sentOf("send")[0]?.instance_id, "c2");
  assert.equal(store.drafts.text.value, "more for c2");
  store.dispose();
});

test("a draft that the next conversation has already comes first", () => {
  const { store, show } = open("c1");
  show({ instance_id: "c2" });
  store.drafts.write("begun here");
  show({ instance_id: "c1" });

  store.conversationActions.switchTo("c2");
  store.drafts.write("and more");
  show({ instance_id: "c2" });

  assert.equal(store.drafts.text.value, "begun here\nand more");
  store.dispose();
});

test("deleting another conversation than the one shown leaves the draft alone", () => {
  const { store } = open("c1");
  store.drafts.write("words");

  store.conversationActions.remove("c7");
  store.conversationActions.switchTo("c1");

  assert.equal(store.drafts.text.value, "words");
  store.dispose();
});

test("words are kept when the kernel goes away during a switch", () => {
  const { store, show, part } = open("c1");
  show({ turns: [turn(1)] });
  store.drafts.write("old words");
  store.conversationActions.start();
  store.drafts.write("new words");

  part();

  assert.equal(store.connection.link.value, "gone");
  assert.equal(store.drafts.text.value, "old words\nnew words");
  store.dispose();
});

test("an image read meanwhile goes to the conversation that came", () => {
  const drafts = new Drafts();
  drafts.open("x/c1");
  drafts.open("");
  const { key } = drafts;

  drafts.open("x/c2");
  drafts.open("");
  drafts.attach((media) => [...media, IMAGE], key);

  assert.deepEqual(drafts.media.value, []);
  drafts.open("x/c2");
  assert.deepEqual(drafts.media.value, [IMAGE]);
});

test("what is said before the first picture waits for its conversation", () => {
  const { store, sentOf, show } = open("");
  store.sendMessage("early");

  const before = sentOf("send").length;
  show({ instance_id: "c1" });

  assert.equal(before, 0);
  assert.equal(sentOf("send")[0]?.instance_id, "c1");
  store.dispose();
});
