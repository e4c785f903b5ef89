import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { signal } from "@preact/signals";
import type { Message } from "../../src/shared/connection.ts";
import {
  SideChannel,
  WIDGET_CHANNEL_TIMEOUT,
} from "../../src/side_channel/side_channel.ts";

const PAGE = "http://127.0.0.1:8888";
const HERE = "http://127.0.0.1:4321";
const PROXIED = `${PAGE}/proxy/4321`;
const STOP = { type: "stop", message_id: "m1" };

const TICKET = {
  type: "ticket",
  origin: PAGE,
  open: true,
  urls: [HERE, PROXIED],
  server: "s1",
  ticket: "secret",
};

type Asked = { url: string; options: RequestInit };
type Answer = { status?: number; body?: object } | "nobody";

/** A page and its kernel; `answer` says what a server does. */
function open(answer: (url: string) => Answer = () => ({ body: { server: "s1" } })) {
  mock.timers.reset(); // also after a test that failed
  mock.timers.enable({ apis: ["setTimeout"] });
  const sent: Message[] = [];
  const asked: Asked[] = [];
  const turn = signal("running");
  const channel = {
    picture: turn,
    pings: signal(1),
    unanswered: 0,
    send: (message: Message) => {
      sent.push(message);
      return true;
    },
  };
  const sideChannel = new SideChannel(channel, {
    origin: PAGE,
    cookie: () => "a=b; _xsrf=2|x; c=d",
    fetch: async (url, options) => {
      asked.push({ url, options });
      const given = answer(url);
      if (given === "nobody") throw new TypeError("Failed to fetch");
      const body = JSON.stringify(given.body ?? { accepted: true });
      return new Response(body, { status: given.status ?? 200 });
    },
  });
  const press = () => sideChannel.deliver("m1", STOP, () => turn.value !== "running");
  const pressed = () => sideChannel.deliveries.value.get("m1");
  const wait = async () => {
    mock.timers.tick(WIDGET_CHANNEL_TIMEOUT);
    await settle();
  };
  const end = () => {
    sideChannel.dispose();
    mock.timers.reset();
  };
  return { sideChannel, channel, turn, sent, asked, press, pressed, wait, end };
}

async function settle(): Promise<void> {
  for (let index = 0; index < 20; index++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

function header(asked: Asked | undefined, name: string): string | undefined {
  return (asked?.options.headers as Record<string, string> | undefined)?.[name];
}

test("what the widget channel delivers in time never takes the side channel", async () => {
  const page = open();
  page.sideChannel.take(TICKET);
  await settle();
  const before = page.asked.length;

  page.press();
  const meanwhile = page.pressed()?.state;
  page.turn.value = "stopping";
  await page.wait();

  assert.deepEqual(
    page.sent.filter((one) => one.type === "stop"),
    [STOP],
  );
  assert.equal(meanwhile, "sent");
  assert.equal(page.pressed(), undefined);
  assert.equal(page.asked.length, before);
  page.end();
});

test("what it does not deliver goes over the side channel with the ticket", async () => {
  const page = open();
  page.sideChannel.take(TICKET);
  await settle();

  page.press();
  await page.wait();
  const accepted = page.pressed()?.state;
  page.turn.value = "cancelled";
  await settle();

  const last = page.asked.at(-1);
  assert.equal(last?.url, `${HERE}/tickets/cancel`);
  assert.equal(header(last, "X-Agent-Ticket"), "secret");
  assert.equal(last?.options.body, '{"message_id":"m1"}');
  assert.equal(last?.options.credentials, "omit");
  assert.equal(accepted, "accepted");
  assert.equal(page.pressed(), undefined);
  page.end();
});

test("the ticket names the conversation, so the side channel is not told of it", async () => {
  const page = open();
  page.sideChannel.take(TICKET);
  await settle();

  const message = { ...STOP, instance_id: "c1" };
  page.sideChannel.deliver("m1", message, () => false);
  await page.wait();

  assert.deepEqual(page.sent.at(-1), message);
  assert.equal(page.asked.at(-1)?.options.body, '{"message_id":"m1"}');
  page.end();
});

test("a kernel that was not heard lately is not waited for", async () => {
  const page = open();
  page.sideChannel.take(TICKET);
  await settle();

  page.channel.unanswered = 2;
  page.press();
  mock.timers.tick(1);
  await settle();

  assert.equal(page.pressed()?.state, "accepted");
  page.end();
});

test("pressing again while it is on its way is one", async () => {
  const page = open();
  page.sideChannel.take(TICKET);
  await settle();

  page.press();
  page.press();
  await page.wait();
  page.press();
  await page.wait();

  assert.equal(page.sent.filter((one) => one.type === "stop").length, 1);
  assert.equal(page.asked.filter((one) => one.url.endsWith("cancel")).length, 1);
  page.end();
});

test("without a side channel the person is told of the kernel's Interrupt", async () => {
  const page = open();
  const reason = "After rt.serve(), it works while a cell runs.";
  page.sideChannel.take({ type: "ticket", origin: PAGE, open: false, reason });

  page.press();
  await page.wait();

  assert.equal(page.pressed()?.state, "held");
  assert.match(page.pressed()?.reason ?? "", /Kernel → Interrupt/);
  assert.match(page.pressed()?.reason ?? "", /After rt\.serve\(\)/);
  page.turn.value = "cancelled";
  await settle();
  assert.equal(page.pressed(), undefined);
  page.end();
});

test("what the side channel refuses is said with its reason and can be pressed again", async () => {
  let body: Answer = { body: { server: "s1" } };
  const page = open(() => body);
  page.sideChannel.take(TICKET);
  await settle();

  const reasons: string[] = [];
  for (const next of [
    { status: 401 },
    { status: 503, body: { detail: "the loop does not answer" } },
    "nobody" as const,
  ]) {
    body = next;
    page.press();
    await page.wait();
    assert.equal(page.pressed()?.state, "failed");
    reasons.push(page.pressed()?.reason ?? "");
  }

  assert.match(reasons[0] ?? "", /does not take this page's ticket/);
  assert.match(reasons[1] ?? "", /the loop does not answer/);
  assert.match(reasons[2] ?? "", /does not answer/);
  for (const reason of reasons) assert.match(reason, /Kernel → Interrupt/);
  page.end();
});

test("a ticket is shown to nobody but the server that the kernel has named", async () => {
  const page = open((url) =>
    url.startsWith(HERE) ? { body: { server: "another" } } : { body: { server: "s1" } },
  );

  page.sideChannel.take(TICKET);
  await settle();
  page.press();
  await page.wait();

  assert.deepEqual(page.sideChannel.state.value, { kind: "open", url: PROXIED });
  const [first, second, third] = page.asked;
  assert.deepEqual(
    [first?.url, second?.url, third?.url],
    [`${HERE}/tickets/hello`, `${PROXIED}/tickets/hello`, `${PROXIED}/tickets/cancel`],
  );
  assert.equal(header(first, "X-Agent-Ticket"), undefined);
  assert.equal(header(second, "X-Agent-Ticket"), undefined);
  assert.equal(header(third, "X-Agent-Ticket"), "secret");
  page.end();
});

test("Jupyter's own mark goes with what goes through its proxy and nowhere else", async () => {
  const page = open((url) =>
    url.startsWith(HERE) ? "nobody" : { body: { server: "s1" } },
  );

  page.sideChannel.take(TICKET);
  await settle();

  const [direct, proxied] = page.asked;
  assert.equal(header(direct, "X-XSRFToken"), undefined);
  assert.equal(header(proxied, "X-XSRFToken"), "2|x");
  assert.equal(proxied?.options.credentials, "same-origin");
  page.end();
});

test("where no address answers the side channel is closed and it is said", async () => {
  const page = open(() => "nobody");

  page.sideChannel.take(TICKET);
  await settle();

  const { kind, ...rest } = page.sideChannel.state.value;
  assert.equal(kind, "closed");
  assert.match(JSON.stringify(rest), /does not answer this page/);
  page.end();
});

test("a ticket for another origin is not this page's", async () => {
  const page = open();

  const taken = page.sideChannel.take({ ...TICKET, origin: "http://localhost:8888" });
  await settle();

  assert.equal(taken, true);
  assert.deepEqual(page.asked, []);
  assert.equal(page.sideChannel.take({ type: "page" }), false);
  page.end();
});

test("each sign of life renews the ticket, over the side channel if the kernel is not heard", async () => {
  const page = open();
  page.sideChannel.take(TICKET);
  await settle();

  page.channel.unanswered = 1;
  page.channel.pings.value += 1;
  const heard = page.asked.length;
  page.channel.unanswered = 2;
  page.channel.pings.value += 1;
  await settle();

  const states = page.sent.map((one) => [one.type, one.origin, one.state]);
  assert.deepEqual(states, [
    ["side_channel", PAGE, "asking"],
    ["side_channel", PAGE, "open"],
    ["side_channel", PAGE, "open"],
  ]);
  assert.equal(heard, 1);
  assert.deepEqual(
    page.asked.slice(heard).map((one) => one.url),
    [`${HERE}/tickets/renew`],
  );
  page.end();
});

test("a ticket that the server does not know any more is asked for anew", async () => {
  let status = 200;
  const page = open(() => ({ status, body: { server: "s1" } }));
  page.sideChannel.take(TICKET);
  await settle();

  status = 401;
  page.channel.unanswered = 2;
  page.channel.pings.value += 1;
  await settle();
  page.channel.pings.value += 1;

  assert.equal(page.sent.at(-1)?.state, "asking");
  page.end();
});

test("a new ticket that comes during the look at the old one counts", async () => {
  const page = open((url) => ({
    body: { server: url === `${HERE}/tickets/hello` ? "s2" : "" },
  }));

  page.sideChannel.take(TICKET);
  page.sideChannel.take({ ...TICKET, server: "s2", ticket: "newer" });
  await settle();
  page.press();
  await page.wait();

  assert.equal(page.sideChannel.state.value.kind, "open");
  assert.equal(header(page.asked.at(-1), "X-Agent-Ticket"), "newer");
  page.end();
});
