"""A runtime with the sample agents on a loop in a thread, and its server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import EchoAgent, scripted_agent
from agent_runtime_nb.conversations.entries import text_of, turn_entries
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId

T = TypeVar("T")


class ServedAgents:
    """Agents behind a real server, for the tests with clients of other APIs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.runtime = InProcessActorRuntime()
        self.gate = asyncio.Event()
        agents: dict[str, Any] = {
            "echo": EchoAgent(),
            "scripted": scripted_agent(delay=0),
            "gated": self._gated,
        }
        for name, agent in agents.items():
            self.runtime.register_actor_type(
                name, lambda _context, agent=agent: AgentActor(agent), description=name
            )
        self.call(self.runtime.start())
        self.client = InProcessActorClient(self.runtime)
        self.server = EmbeddedServer(self.client, self.runtime).start()

    async def _gated(self, message: str) -> AsyncIterator[str]:
        yield "first "
        await self.gate.wait()
        yield "second"

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def said(self, actor: str) -> list[str]:
        """The conversation, as "role: text"."""
        view = self.call(self.runtime.read_actor(ActorId.parse(actor)))
        return [
            f"{entry['role']}: {text_of(entry)}"
            for turn in view.turns
            for entry in turn_entries(turn)
        ]

    def conversations(self) -> set[str]:
        page = self.call(self.runtime.list_actors())
        return {str(one.actor_id) for one in page.items}

    def open_gate(self) -> None:
        self._loop.call_soon_threadsafe(self.gate.set)

    def close(self) -> None:
        self.open_gate()
        assert self.server.stop()
        self.call(self.runtime.stop(drain=0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@contextmanager
def serving() -> Generator[ServedAgents]:
    served = ServedAgents()
    try:
        yield served
    finally:
        served.close()
