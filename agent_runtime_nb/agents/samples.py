"""Agents that need no key and no network: for a first try, for demos and for tests.

`EchoAgent` and `MockAIAgent` are agents written by hand. `scripted_agent` is a real
`Agent` of the framework on a model that follows a script, so its tools, approvals,
history, middleware and traces are the real ones:

    scripted_agent()                                    # the demo; type "help"
    scripted_agent(["Hello ", "world!"])                # the same answer each time
    scripted_agent(lambda messages: ["You said ", messages[-1].text])

What a script is stands in `scripted_model`; its words can be imported from here.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

from agent_framework import (
    Agent,
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    BaseAgent,
    Content,
    Message,
    ResponseStream,
    normalize_messages,
    tool,
)
from agent_framework.exceptions import ChatClientException

from agent_runtime_nb.agents.scripted_model import (
    CUT,
    Pace,
    Script,
    ScriptedChatClient,
    Sleep,
    Step,
    call_tool,
    new_message_id,
    split_words,
)

__all__ = [
    "CUT",
    "EchoAgent",
    "MockAIAgent",
    "Pace",
    "Script",
    "ScriptedChatClient",
    "Step",
    "call_tool",
    "delete_file",
    "demo_script",
    "get_weather",
    "scripted_agent",
]


# --- agents written by hand -----------------------------------------------------------


class _SampleAgent(BaseAgent):
    """Streams a text that a subclass gives."""

    def __init__(self, name: str, description: str, delay: float, sleep: Sleep) -> None:
        super().__init__(name=name, description=description)
        self._delay = delay
        self._sleep = sleep

    def answer(self, text: str, session: AgentSession | None) -> str:
        """The answer to a text."""
        raise NotImplementedError

    def run(
        self,
        messages: Any = None,
        *,
        stream: bool = False,
        session: AgentSession | None = None,
        **kwargs: Any,
    ) -> Any:
        """Answer; see `SupportsAgentRun.run`."""
        inputs = normalize_messages(messages)
        updates = self._updates(inputs[-1].text if inputs else "", session)
        response: ResponseStream[AgentResponseUpdate, AgentResponse[Any]] = (
            ResponseStream(updates, finalizer=AgentResponse.from_updates)
        )
        return response if stream else response.get_final_response()

    async def _updates(
        self, text: str, session: AgentSession | None
    ) -> AsyncIterator[AgentResponseUpdate]:
        message_id = new_message_id()
        for piece in split_words(self.answer(text, session)):
            if self._delay:
                await self._sleep(self._delay)
            yield AgentResponseUpdate(
                contents=[Content.from_text(piece)],
                role="assistant",
                message_id=message_id,
                author_name=self.name,
                agent_id=self.id,
            )


class EchoAgent(_SampleAgent):
    """Answers "Echo: " and what was said, word by word, `delay` seconds apart."""

    def __init__(
        self, *, name: str = "echo", delay: float = 0.0, sleep: Sleep = asyncio.sleep
    ) -> None:
        super().__init__(name, "Repeats what it is told.", delay, sleep)

    def answer(
        self,
        text: str,
        session: AgentSession | None,
    ) -> str:
        """The text again."""
        return f"Echo: {text}"


class MockAIAgent(_SampleAgent):
    """Cycles through canned answers, in each conversation from the first one on."""

    ANSWERS: ClassVar[tuple[str, ...]] = (
        "Hello! How can I help you today?",
        "That is an interesting question. Let me think about it.",
        "I am only a mock, but I would say: try it and look what happens.",
        "Could you tell me a little more?",
        "Thank you, that was all I can say. From here I begin again.",
    )

    def __init__(
        self,
        *,
        name: str = "mock-ai",
        delay: float = 0.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(name, "Cycles through canned answers.", delay, sleep)
        self._without_session: dict[str, Any] = {}

    def answer(self, text: str, session: AgentSession | None) -> str:
        """The next canned answer of the session."""
        state = self._without_session
        if session is not None:
            state = session.state.setdefault("mock_ai", {})
        count: int = state.get("answers", 0)
        state["answers"] = count + 1
        return self.ANSWERS[count % len(self.ANSWERS)]


# --- the demo -------------------------------------------------------------------------


@tool(approval_mode="never_require")
def get_weather(city: str) -> str:
    """Say the weather of a city."""
    kinds = ("sunny", "cloudy", "rainy", "windy")
    number = sum(map(ord, city))
    return f"{city}: {kinds[number % 4]}, {10 + number % 15} °C"


@tool(approval_mode="always_require")
def delete_file(path: str) -> str:
    """Delete a file, or so it says: nothing is really deleted."""
    return f"{path} is deleted (not really, this is a demo)"


_HELP = """\
I am a **scripted model**: no key, no network, the same answer every time. This is \
message {count} of our conversation.

| say | and see |
|---|---|
| `weather in Paris` | a tool call and its result |
| `delete notes.txt` | a tool that asks for approval |
| `think` | reasoning before the answer |
| `slow` | a long answer, slowly; press Stop |
| `fail` | a service that fails in the middle |
| `cut` | an answer that is cut off |

An agent like me is a few lines:

```python
from agent_runtime_nb.agents.samples import scripted_agent

agent = scripted_agent(["Hello ", "world!"])
```

1. Everything I say is *streamed*.
2. Restart the kernel: our conversation is still here.
"""

_PARAGRAPH = """\
## Part {number}

An actor has one identity, one mailbox and one turn at a time, so two messages never \
get into each other's way. What it knows is stored when a turn ends, and only then: a \
turn happens whole or not at all. That is why you may stop me in the middle of this \
sentence, and what I have said so far stays.

"""


def demo_script(messages: Sequence[Message]) -> list[Step]:
    """What the demo agent answers; it reacts to a few words, see "help"."""
    last = messages[-1]
    if last.role == "tool":
        return [_after_tools(last)]
    text = last.text
    if match := re.search(r"weather (?:in|of|at|for) ([^?.!,]+)", text, re.IGNORECASE):
        city = match[1].strip()
        return ["Let me look. ", call_tool(messages, "get_weather", city=city)]
    if match := re.search(r"\bdelete\s+(\S+)", text, re.IGNORECASE):
        return ["I can do that. ", call_tool(messages, "delete_file", path=match[1])]
    for word, steps in _REACTIONS.items():
        if re.search(rf"\b{word}\b", text, re.IGNORECASE):
            return list(steps)
    count = sum(message.role == "user" for message in messages)
    return [_HELP.format(count=count)]


def _after_tools(message: Message) -> str:
    results = [
        str(content.result)
        for content in message.contents
        if content.type == "function_result"
    ]
    if any("rejected" in result for result in results):
        return "All right, I leave it as it is."
    return f"Here it is: **{'; '.join(results)}**."


_REACTIONS: Mapping[str, tuple[Step, ...]] = {
    "fail": (
        "I begin, but then ",
        ChatClientException("the scripted model fails because it was asked to"),
    ),
    "cut": ("This answer ends in the middle of a", CUT),
    "think": (
        Content.from_text_reasoning(
            text="The person wants to see me think. First I look at the question, "
            "then I weigh two answers, then I choose the shorter one."
        ),
        "I have thought about it: **42**.",
    ),
    "slow": (
        Pace(0.1),
        "".join(_PARAGRAPH.format(number=number) for number in range(1, 6)),
    ),
}


def scripted_agent(
    script: Script = demo_script,
    *,
    name: str = "scripted",
    delay: float = 0.02,
    sleep: Sleep = asyncio.sleep,
    tools: Sequence[Any] = (get_weather, delete_file),
) -> Agent[Any]:
    """A real agent of the framework on a scripted model.

    Args:
        script: what the model answers; without one, the demo.
        name: of the agent.
        delay: seconds before each piece of an answer.
        sleep: waits; a test gives its own.
        tools: what the script may call.

    Returns:
        An agent whose `client` is a `ScriptedChatClient`.
    """
    return Agent(
        ScriptedChatClient(script, delay=delay, sleep=sleep),
        name=name,
        description="Follows a script; needs no key.",
        tools=list(tools),
    )
