// Runs of the official AG-UI client in one thread, written as JSON lines: each event as it
// comes, then what the client made of the run.
//
// Arguments: the folder with the package, the URL of the route and the thread. The token
// and the runs come on the standard input, {token, runs: [{text} or {approve}]}: a list
// of processes would show arguments to everybody.

import { createRequire } from "node:module";
import { join } from "node:path";
import { json } from "node:stream/consumers";

const [folder, url, threadId] = process.argv.slice(2);
const { HttpAgent } = createRequire(join(folder, "package.json"))("@ag-ui/client");
const { token, runs } = await json(process.stdin);

const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const headers = { Authorization: `Bearer ${token}` };
const agent = new HttpAgent({ url, threadId, headers });
let interrupts = [];

function answers(approved) {
  const payload = { approved };
  return interrupts.map(({ id }) => ({
    interruptId: id,
    status: "resolved",
    payload,
  }));
}

for (const [number, { text, approve }] of runs.entries()) {
  const resume = approve === undefined ? undefined : answers(approve);
  if (text) agent.addMessage({ id: `u${number}`, role: "user", content: text });
  const result = { said: [], error: null };
  const subscriber = {
    onEvent: ({ event }) => tell({ event }),
    onRunErrorEvent: ({ event }) => void (result.error = event.message),
    onRunFinishedEvent: ({ event }) =>
      void (interrupts = event.outcome?.interrupts ?? []),
  };
  try {
    const done = await agent.runAgent({ runId: `${threadId}-${number}`, resume }, subscriber);
    result.said = done.newMessages;
  } catch (error) {
    result.error = error.message;
  }
  tell({ ...result, messages: agent.messages });
}
