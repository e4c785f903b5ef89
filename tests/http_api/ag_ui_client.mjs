// Runs of the official AG-UI client, told as JSON lines.
//
// Arguments: the folder with the package, the URL of the face and a thread. The token
// comes with the runs, as JSON on the standard input, so that no list of processes
// shows it: {token, runs: [{text?, resume?}]}.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { join } from "node:path";

const [folder, url, threadId] = process.argv.slice(2);
const { HttpAgent } = createRequire(join(folder, "package.json"))("@ag-ui/client");
const { token, runs } = JSON.parse(await text(process.stdin));

const agent = new HttpAgent({
  url,
  threadId,
  headers: { Authorization: `Bearer ${token}` },
});

for (const [number, { text, resume }] of runs.entries()) {
  if (text) agent.addMessage({ id: `u${number}`, role: "user", content: text });
  const events = [];
  const told = { error: null, result: null };
  try {
    const { newMessages } = await agent.runAgent(
      { runId: `${threadId}-r${number}`, resume },
      {
        onEvent: ({ event }) => void events.push(event),
        onRunErrorEvent: ({ event }) => void (told.error = event.message),
      },
    );
    told.result = newMessages;
  } catch (error) {
    told.error = `${error.message}`;
  }
  console.log(JSON.stringify({ ...told, events, messages: agent.messages }));
}
