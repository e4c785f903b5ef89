"""A runtime here, its HTTP API, and a wire to it that can be cut."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import EchoAgent, scripted_agent
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client.client import HttpActorClient
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
)
from tests.fakes import HandlingActor
from tests.servers.tcp_faults import TcpFaults

T = TypeVar("T")
ONE = ActorId("steps", "one")


@dataclass
class Steps:
    """Publishes one word for each `go`, and ends after the last."""

    allowed: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    turns: int = 0

    async def __call__(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        self.turns += 1
        for number in range(int(message.params)):
            await self.allowed.acquire()
            context.on_progress_update(message.message_id, number, f"word {number}")
        return "done"

    def go(self, times: int = 1) -> None:
        for _ in range(times):
            self.allowed.release()


@dataclass
class Remote:
    """A runtime here, its server, and a bad wire to it."""

    runtime: InProcessActorRuntime
    server: EmbeddedServer
    wire: TcpFaults
    steps: Steps
    clients: list[HttpActorClient] = field(default_factory=list[HttpActorClient])

    def client(self, retry_for: float = 20.0, **options: Any) -> HttpActorClient:
        options.setdefault("token", self.server.token)
        url = f"http://127.0.0.1:{self.wire.port}"
        client = HttpActorClient(url, retry_for=retry_for, **options)
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving() -> AsyncGenerator[Remote]:
    runtime, steps = InProcessActorRuntime(), Steps()
    runtime.register_actor_type("steps", lambda _: HandlingActor(steps))
    runtime.register_actor_type("echo", lambda _: AgentActor(EchoAgent()))
    runtime.register_actor_type(
        "scripted", lambda _: AgentActor(scripted_agent(delay=0))
    )
    await runtime.start()
    with TcpFaults(("127.0.0.1", 0)) as wire:
        server = EmbeddedServer(
            InProcessActorClient(runtime),
            runtime,
            allowed_hosts=[f"127.0.0.1:{wire.port}"],
        ).start()
        wire._target = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        there = Remote(runtime, server, wire, steps)
        yield there
        steps.go(1000)
        for client in there.clients:
            await asyncio.to_thread(client.close)
        await asyncio.to_thread(server.stop)
    await runtime.stop(drain=0)


async def until(holds: Callable[[], bool], client: HttpActorClient) -> None:
    """Wait for something on the server's side; each look is an exchange."""
    async with asyncio.timeout(10):
        while not holds():
            await client.directory.health()


async def taken(items: AsyncIterator[T]) -> T:
    return await anext(items)
