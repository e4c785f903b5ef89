"""A host of agents that proxies reach, for the tests of `AgentProxy`."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_framework import Agent, AgentResponseUpdate, Message

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.proxy import AgentProxy
from agent_runtime_nb.agents.samples import Step
from agent_runtime_nb.conversations.entries import text_of, turn_entries
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    IActor,
    IActorRuntimeContext,
    TurnView,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from tests.agents.helpers import scripted

OpenStorage = Callable[[], IActorStateStorage]


def storage_opener(kind: str, folder: Path) -> OpenStorage:
    """Opens the same data again and again, as processes one after another do."""
    if kind == "sqlite":
        return lambda: SqliteStateStorage(folder / "state.db")
    memory = InMemoryStateStorage()
    return lambda: memory


class Host:
    """A process that hosts some actors."""

    def __init__(self, runtime: InProcessActorRuntime) -> None:
        self.runtime = runtime
        self.client = InProcessActorClient(runtime)

    def proxy(self, agent_name: str = "agent", **options: Any) -> AgentProxy:
        return AgentProxy(self.client, agent_name, **options)

    def register(self, agents: Mapping[str, Any]) -> None:
        """Agents by their names; a factory of an actor takes a `context`."""
        for name, agent in agents.items():
            self.runtime.register_actor_type(name, _factory(agent))

    async def turns(self, conversation: str, agent: str = "agent") -> list[TurnView]:
        view = await self.runtime.read_actor(ActorId(agent, conversation))
        return list(view.turns)

    async def said(self, conversation: str, agent: str = "agent") -> list[str]:
        return [
            f"{entry['role']}: {text_of(entry)}"
            for turn in await self.turns(conversation, agent)
            for entry in turn_entries(turn)
        ]

    async def conversations(self, agent: str = "agent") -> set[str]:
        page = await self.runtime.list_actors(agent)
        return {actor.actor_id.instance_id for actor in page.items}


def _factory(agent: Any) -> Callable[[IActorRuntimeContext], IActor]:
    if getattr(agent, "makes_actors", False):
        return agent
    return lambda context: AgentActor(agent)


def makes_actors(
    make: Callable[[IActorRuntimeContext], IActor],
) -> Callable[[IActorRuntimeContext], IActor]:
    """Marks a factory of actors, which is otherwise taken for an agent's."""
    make.makes_actors = True  # pyright: ignore[reportFunctionMemberAccess]
    return make


@asynccontextmanager
async def hosting(
    storage: IActorStateStorage | None = None, /, **agents: Any
) -> AsyncGenerator[Host]:
    runtime = InProcessActorRuntime(storage)
    host = Host(runtime)
    host.register(agents)
    await runtime.start()
    try:
        yield host
    finally:
        await runtime.stop(drain=0)


class SenderOnly:
    """What an actor has in a turn: it can send, and nothing else."""

    def __init__(self, client: InProcessActorClient) -> None:
        self._client = client
        self.options: list[dict[str, Any]] = []

    async def send_request(self, *args: Any, **options: Any) -> ActorResponseHandle:
        self.options.append(options)
        return await self._client.send_request(*args, **options)


def writer(name: str) -> Agent[Any]:
    """Puts its name around what was said last."""

    def script(messages: Sequence[Message]) -> list[Step]:
        return [f"{name}({messages[-1].text})"]

    return scripted(script, name=name)


async def ask(agent: Any, messages: Any, *, stream: bool, **options: Any) -> Any:
    run = agent.run(messages, stream=stream, **options)
    return await (run.get_final_response() if stream else run)


async def read(stream: Any) -> list[AgentResponseUpdate]:
    return [update async for update in stream]


def told(text: str = "Hi") -> Message:
    return Message("user", [text], message_id="m1")


@pytest.fixture(params=["memory", "sqlite"])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStorage:
    return storage_opener(request.param, tmp_path)
