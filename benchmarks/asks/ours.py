"""`InProcessActorRuntime` on memory storage, through `InProcessActorClient`."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from benchmarks.asks.work import Ask, actors_at_once, alone, at_once
from benchmarks.measure import Figures, amount
from benchmarks.own_actors import CountingActor, EchoActor


@contextlib.asynccontextmanager
async def _actors(count: int, actor_type: type[EchoActor]) -> AsyncGenerator[Ask]:
    runtime = InProcessActorRuntime()
    runtime.register_actor_type("echo", lambda _: actor_type())
    await runtime.start()
    client = InProcessActorClient(runtime)
    actors = [ActorId("echo", str(number)) for number in range(count)]

    async def ask(actor: int, value: int) -> object:
        handle = await client.send_request(actors[actor], "echo", value)
        return (await handle.get_response()).data

    yield ask
    await runtime.stop()


async def _run(scale: float) -> Figures:
    async with _actors(1, EchoActor) as ask:
        one = await alone(ask, amount(20_000, scale))
    async with _actors(actors_at_once(scale), CountingActor) as ask:
        thousand = await at_once(ask, actors_at_once(scale))
    return {"alone_us": one, "thousand_us": thousand}


def run(scale: float) -> Figures:
    """Measure."""
    return asyncio.run(_run(scale))
