"""A real runtime on its own loop in a thread, with real agents, and its server."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any, TypeVar

import httpx2

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import EchoAgent, scripted_agent
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime

T = TypeVar("T")


def says(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


class ServedRuntime:
    """A runtime in a thread, an agent that waits for a gate, and a server."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.runtime = InProcessActorRuntime()
        self.gate = asyncio.Event()
        agents = {
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
        headers = {"Authorization": f"Bearer {self.server.token}"}
        self.http = httpx2.Client(
            base_url=self.server.url, headers=headers, timeout=30, trust_env=False
        )

    async def _gated(self, message: str, history: list[Any]) -> AsyncIterator[str]:
        yield "first "
        await self.gate.wait()
        if message == "fail":
            raise ValueError("the gate is broken")
        yield "second"

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def forget_logs(self) -> None:
        """As if the time in which the updates of ended turns are kept was over."""

        async def forget() -> None:
            actors = self.runtime._actors
            for actor_id, _ in list(actors._kept):
                actors.drop_logs(actor_id)

        self.call(forget())

    def open_gate(self) -> None:
        self._loop.call_soon_threadsafe(self.gate.set)

    @contextlib.contextmanager
    def blocked(self) -> Generator[None]:
        """Blocks the runtime's loop, as a cell does that computes."""
        release, entered = threading.Event(), threading.Event()

        def block() -> None:
            entered.set()
            release.wait(20)

        self._loop.call_soon_threadsafe(block)
        assert entered.wait(5)
        try:
            yield
        finally:
            release.set()

    def close(self) -> None:
        self.http.close()
        stopped = self.server.stop()
        self.open_gate()
        self.call(self.runtime.stop(drain=1))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        assert stopped
