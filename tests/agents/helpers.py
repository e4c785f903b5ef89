"""Agents and small tools that the tests of the agent bridge share."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agent_framework import (
    Agent,
    AgentResponseUpdate,
    AgentSession,
    Content,
    Message,
)

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import (
    ScriptedChatClient,
    Step,
    call_tool,
    scripted_agent,
)
from tests.agents.fake_context import FakeContext, FakeStore, Outcome, request


def echo_script(messages: Sequence[Message]) -> list[Step]:
    return [f"You said {messages[-1].text}. ", "Bye."]


def scripted(script: Any = echo_script, **options: Any) -> Agent[Any]:
    return scripted_agent(script, delay=0, **options)


def model_of(agent: Any) -> ScriptedChatClient:
    client = agent.client
    assert isinstance(client, ScriptedChatClient)
    return client


def seen(agent: Any, call: int = -1) -> list[tuple[str, str]]:
    """What the scripted model saw in a call: roles and texts."""
    messages = model_of(agent).calls[call]
    return [(str(message.role), message.text) for message in messages]


def contents_seen(agent: Any, call: int = -1) -> list[Content]:
    """The contents that the scripted model saw in a call."""
    messages = model_of(agent).calls[call]
    return [content for message in messages for content in message.contents]


def texts(entries: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (entry["role"], "".join(part.get("text", "") for part in entry["contents"]))
        for entry in entries
    ]


class Gate:
    """A sleep that a test holds: `reached` is set at the given piece, then it waits."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.reached = asyncio.Event()
        self._never = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._left -= 1
        if self._left < 0:
            self.reached.set()
            await self._never.wait()


async def ask_and_cancel(
    actor: AgentActor,
    store: FakeStore,
    reached: asyncio.Event,
    *contents: Any,
    reason: str = "cancelled",
) -> list[Outcome]:
    """Cancel the first request once `reached`; the others then follow in the task."""
    first = len(store.turns) + 1
    context = FakeContext(
        store,
        [request(content, f"r{n}") for n, content in enumerate(contents, first)],
    )
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(actor.run(context))
        await reached.wait()
        context.cancelling(reason)
        task.cancel()
    assert not task.cancelled()
    assert task.cancelling() == 0
    return context.outcomes


def weather_script(messages: Sequence[Message]) -> list[Step]:
    if messages[-1].role == "tool":
        return ["It is sunny."]
    return ["Let me look. ", call_tool(messages, "get_weather", city="Paris")]


class OwnHistory:
    """An agent of nobody's class that keeps its history in its session."""

    id = "own"
    name = "own"
    description = "counts"

    def create_session(self, *, session_id: str | None = None) -> AgentSession:
        return AgentSession(session_id=session_id)

    def get_session(self, service_session_id: str, **_: Any) -> AgentSession:
        return AgentSession(service_session_id=service_session_id)

    async def run(
        self, messages: Any, *, stream: bool = False, session: Any = None
    ) -> Any:
        session.state["count"] = session.state.get("count", 0) + 1
        if messages[-1].text == "fail":
            raise ValueError("asked to")
        return self._stream(session.state["count"])

    async def _stream(self, count: int) -> AsyncIterator[AgentResponseUpdate]:
        yield AgentResponseUpdate(contents=[Content.from_text(f"number {count}")])
