/** Every state of the chat panel. */

import type { Conversation, Turn } from "../src/chat_panel/store/model.ts";
import type { FakeModelOptions, KernelMessage } from "./fake_model.ts";
import { atThisTime, scene } from "./kernel.ts";
import {
  click,
  fill,
  find,
  type MountedStory,
  nextFrame,
  paste,
  press,
  write,
} from "./user_actions.ts";

export interface Story extends FakeModelOptions {
  name: string;
  /** What it is, for the docs. */
  says: string;
  picture: Partial<Conversation>;
  /** What a person does before one looks. */
  act?: (story: MountedStory) => Promise<void> | void;
  /** A selector; the state is reached once it matches. */
  shows: string;
}

const turnIs = (status: string) => `[data-testid=turn][data-status=${status}]`;
const id = (name: string) => `[data-testid=${name}]`;

function story(
  name: string,
  says: string,
  shows: string,
  more: Partial<Story> & { of?: string; set?: Partial<Conversation> } = {},
): Story {
  const { of = name, set = {}, picture, ...rest } = more;
  return {
    name,
    says,
    shows,
    picture: { ...(picture ?? scene(of).picture), ...set },
    ...rest,
  };
}

/** The scene with its last turn changed: for what the kernel cannot be made to say. */
function lastTurn(of: string, change: Record<string, unknown>): Partial<Conversation> {
  const { picture } = scene(of);
  const last = picture.turns.at(-1) as Turn;
  return {
    ...picture,
    turns: [
      ...picture.turns.slice(0, -1),
      { ...last, ...(atThisTime(change) as object) },
    ],
  };
}

const refuse = (message: KernelMessage): KernelMessage => ({
  type: "refused",
  message_id: message.message_id,
  error: {
    type: "MailboxFull",
    message: "100 messages are waiting already. Send it again when some are done.",
    retryable: true,
  },
});

/** The recorded list, with what the search finds of it. */
function list({ search = "" }: KernelMessage): KernelMessage {
  const { items, ...answer } = scene("conversations").conversations as KernelMessage;
  const found = (items as Array<{ instance_id: string }>).filter(({ instance_id }) =>
    instance_id.includes(String(search)),
  );
  return { ...answer, type: "conversations", items: found, search };
}

const openList = ({ el }: MountedStory) => click(el, id("conversations"));
const FOUND = `${id("conversation-item")}:only-child`;

const openMenu = ({ el }: MountedStory) => click(el, id("menu-button"));

/** Open the menu and press one of its items. */
const chooseInMenu = (item: string) => async (story: MountedStory) => {
  openMenu(story);
  await nextFrame();
  click(story.el, id(item));
};

const beginning: Story[] = [
  story("empty", "A new conversation, with messages to begin with.", id("starter")),
  story("sending", "The kernel has not confirmed the message yet.", turnIs("sending"), {
    of: "empty",
    act: ({ el }) => write(el, "Plan a weekend in Oslo", "Enter"),
  }),
  story("refused", "The kernel did not take the message.", turnIs("refused"), {
    of: "empty",
    answers: { send: refuse },
    act: ({ el }) => write(el, "Plan a weekend in Oslo", "Enter"),
  }),
];

const turns: Story[] = [
  story(
    "waiting-for-the-first-word",
    "The agent has the message and has said nothing yet.",
    id("typing"),
  ),
  story("streaming", "The answer grows; Stop is at hand.", turnIs("running")),
  story(
    "queued",
    "Two messages wait behind the answer and can be withdrawn.",
    id("withdraw"),
  ),
  story("thinking", "The model thinks before it answers.", id("reasoning")),
  story("thought", "What it thought is folded away.", id("reasoning")),
  story("thought-open", "What it thought, opened.", `${id("reasoning")}[open]`, {
    of: "thought",
    act: ({ el }) => click(el, `${id("reasoning")} summary`),
  }),
  story("stopping", "Stop was pressed; the kernel was told.", turnIs("stopping"), {
    picture: lastTurn("streaming", { status: "stopping", stop: "asked" }),
  }),
  story(
    "could-not-stop",
    "Stop did not land; the panel says so and names the other way.",
    id("stop-refused"),
    {
      picture: lastTurn("streaming", {
        stop: "refused",
        stop_detail: "It was too late to stop this turn: its answer is being stored.",
      }),
    },
  ),
  story("stopped", "Stopped; what was said so far stays.", turnIs("cancelled")),
  story("failed", "The model's service failed; Retry and Details.", turnIs("failed")),
  story("failed-details", "The details of a failure.", `${id("failure")} [open]`, {
    of: "failed",
    act: ({ el }) => click(el, id("details")),
  }),
  story(
    "rate-limited",
    "The model's service asks for patience: a countdown.",
    id("countdown"),
    {
      picture: lastTurn("failed", {
        ended_at: -1,
        error: {
          type: "RateLimited",
          message: "The model's service takes no more requests for now.",
          retryable: true,
          retry_after: 42,
        },
      }),
    },
  ),
  story("retried", "The earlier try is folded.", id("earlier-try")),
  story(
    "interrupted",
    "The kernel went away in the middle of an answer.",
    turnIs("interrupted"),
  ),
  story("discarded", "The model does not see the turn any more.", id("discarded-note")),
];

const tools: Story[] = [
  story("tool-running", "A tool works.", `${id("tool")}[data-state=running]`),
  story("answer", "A tool has worked; table, code and quote.", id("answer")),
  story("tool-open", "A tool's arguments and result.", `${id("tool")}[open]`, {
    of: "tool-failed",
    act: ({ el }) => click(el, `${id("tool")} summary`),
  }),
  story("tool-with-rich-result", "A table and a picture from a tool.", id("rich")),
  story("tool-failed", "A tool failed.", `${id("tool")}[data-state=failed]`),
  story("approval", "A tool asks for leave.", id("approve")),
  story(
    "approval-with-hidden-characters",
    "Characters that hide are made visible.",
    id("hidden-character"),
  ),
  story(
    "denying",
    "Denying asks for a reason, which may be empty.",
    id("deny-reason"),
    {
      of: "approval",
      act: ({ el }) => click(el, id("deny")),
    },
  ),
  story("approved-once", "Approved for this time.", id("approval-outcome")),
  story(
    "approved-for-the-conversation",
    "Approved until the conversation ends.",
    id("approval-outcome"),
  ),
  story("denied", "Denied, with a reason for the model.", id("approval-outcome")),
];

const kernel: Story[] = [
  story("disconnected", "No kernel: readable, and what to do.", "[data-link=gone]", {
    of: "answer",
    link: "gone",
  }),
  story(
    "kernel-busy",
    "The kernel does not answer: a cell runs.",
    "[data-link=silent]",
    {
      of: "thought",
      link: "silent",
    },
  ),
  story("runtime-away", "The runtime cannot be reached.", "[data-phase=offline]", {
    of: "thought",
    set: { phase: "offline", detail: "no connection to the storage" },
  }),
  story("runtime-stopped", "The runtime was stopped for good.", "[data-phase=stopped]"),
  story("restored", "Turns of an earlier kernel, then new ones.", id("restored")),
  story("read-only", "To read only.", id("read-only")),
];

const conversation: Story[] = [
  story(
    "long-history",
    "The last 50 turns; earlier ones on request.",
    id("load-earlier"),
    {
      answers: { earlier: scene("long-history").page as KernelMessage },
    },
  ),
  story("branches", "An edited message: two branches to choose from.", id("branch")),
  story("editing", "An earlier message is changed and sent anew.", id("edit-input"), {
    of: "thought",
    act: ({ el }) => click(el, id("edit")),
  }),
  story("earlier-try", "The earlier try, opened.", `${id("earlier-try")}[open]`, {
    of: "retried",
    act: ({ el }) => click(el, `${id("earlier-try")} > summary`),
  }),
  story("conversations", "The list of conversations.", id("conversation-item"), {
    of: "thought",
    answers: { list },
    act: openList,
  }),
  story("search", "A conversation that was looked for.", FOUND, {
    of: "thought",
    answers: { list },
    act: async (visit) => {
      openList(visit);
      await nextFrame();
      fill(find(visit.el, id("conversation-search")), "rome");
    },
  }),
  story("menu", "What can be done with a conversation.", id("menu"), {
    of: "thought",
    act: openMenu,
    picture: { ...lastTurn("thought", {}), allowed_tools: ["delete_file"] },
  }),
  story("renaming", "The conversation gets a name.", id("rename-input"), {
    of: "thought",
    act: chooseInMenu("rename"),
  }),
  story("deleting", "Deleting asks first.", id("delete-confirm"), {
    of: "thought",
    act: chooseInMenu("delete"),
  }),
];

const content: Story[] = [
  story("maths", "Formulas.", `${id("answer")} math`),
  story("image", "A picture in a message.", `${id("user-message")} img`),
  story(
    "attachments",
    "Pictures that will be sent with the message.",
    id("attachment"),
    {
      of: "thought",
      act: async ({ el }) => {
        write(el, "What is on this picture?");
        await paste(el, "harbour.png");
      },
    },
  ),
  story("written", "A message of several lines, not sent yet.", id("composer"), {
    of: "thought",
    act: ({ el }) => {
      write(el, "One line,\nanother line,\nand a third one");
      press(el, "Home");
    },
  }),
];

export const chatStories: Story[] = [
  ...beginning,
  ...turns,
  ...tools,
  ...kernel,
  ...conversation,
  ...content,
];
