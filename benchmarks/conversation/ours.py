"""`AgentActor` over an agent that does next to nothing, on SQLite."""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agent_framework import (
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    BaseAgent,
    Content,
    HistoryProvider,
    Message,
    ResponseStream,
    normalize_messages,
)

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActorClient,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from benchmarks.measure import Figures, amount, database_path

_CONVERSATIONS = 4
_TURNS = 10
_WARM_UP = 60
_PARAMS = {"messages": [{"role": "user", "content": "What is the weather like? " * 8}]}


class CheapAgent(BaseAgent):
    """Loads its history and saves its turn as the framework's agents do; measures it."""

    wall = 0.0
    cpu = 0.0

    def run(
        self, messages: Any = None, *, session: AgentSession | None = None, **_: Any
    ) -> ResponseStream[AgentResponseUpdate, AgentResponse[Any]]:
        """Answer with one piece."""
        return ResponseStream(
            self._updates(normalize_messages(messages), session),
            finalizer=AgentResponse.from_updates,
        )

    async def _updates(
        self, inputs: list[Message], session: AgentSession | None
    ) -> AsyncIterator[AgentResponseUpdate]:
        wall, cpu = time.perf_counter(), time.process_time()
        history = self.context_providers[0]
        assert isinstance(history, HistoryProvider)  # noqa: S101 - the actor staged it
        session_id = None if session is None else session.session_id
        seen = len(await history.get_messages(session_id))
        text = f"I have seen {seen} messages. " * 8
        await history.save_messages(
            session_id, [*inputs, Message(role="assistant", contents=[text])]
        )
        CheapAgent.wall += time.perf_counter() - wall
        CheapAgent.cpu += time.process_time() - cpu
        yield AgentResponseUpdate(contents=[Content.from_text(text)], role="assistant")


async def _turns(client: IActorClient, actor_id: ActorId, count: int) -> None:
    for _ in range(count):
        await _turn(client, actor_id)


async def _turn(client: IActorClient, actor_id: ActorId) -> None:
    handle = await client.send_request(actor_id, "run", _PARAMS)
    response = await handle.get_response()
    if response.status != "completed":
        raise RuntimeError(f"a turn ended as {response.status}: {response.data}")


def _empty_log(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


async def _measured(path: Path, messages: int) -> Figures:
    runtime = InProcessActorRuntime(SqliteStateStorage(path, synchronous="NORMAL"))
    runtime.register_actor_type("cheap", lambda _: AgentActor(CheapAgent()))
    await runtime.start()
    client = InProcessActorClient(runtime)
    actors = [ActorId("cheap", str(number)) for number in range(_CONVERSATIONS)]
    for actor in actors:
        await _turns(client, actor, messages // 2)
    for number in range(_WARM_UP):  # the few turns of short ones warm nothing up
        await _turns(client, ActorId("cheap", f"warm-up {number}"), 5)
    log = path.with_name(f"{path.name}-wal")
    walls: list[float] = []
    cpus: list[float] = []
    inside: list[float] = []
    written: list[float] = []
    for actor in actors * _TURNS:
        _empty_log(path)
        CheapAgent.wall = CheapAgent.cpu = 0.0
        wall, cpu = time.perf_counter(), time.process_time()
        await _turn(client, actor)
        walls.append(time.perf_counter() - wall - CheapAgent.wall)
        cpus.append(time.process_time() - cpu - CheapAgent.cpu)
        inside.append(CheapAgent.wall)
        written.append(log.stat().st_size)
    await runtime.stop()
    return {
        "outside_us": statistics.median(walls) * 1e6,
        "outside_cpu_us": statistics.median(cpus) * 1e6,
        "inside_us": statistics.median(inside) * 1e6,
        "written_bytes": statistics.mean(written),
    }


def short(_: float) -> Figures:
    """A conversation of 10 messages."""
    with database_path() as path:
        return asyncio.run(_measured(path, 10))


def long(scale: float) -> Figures:
    """A conversation of 1,000 messages."""
    with database_path() as path:
        return asyncio.run(_measured(path, amount(1000, scale)))
