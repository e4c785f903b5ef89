"""`RedisStateStorage`."""

import asyncio
import statistics
import time

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.redis.storage import RedisStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from benchmarks.measure import Figures, amount
from benchmarks.redis.work import server
from benchmarks.turns import ACTORS, accept, commit, measured


async def _together(url: str, turns_each: int) -> Figures:
    storage = RedisStateStorage(url)
    await storage.open(HostInfo("host", "host"))
    for actor_id in ACTORS:
        await storage.claim(actor_id)

    async def turn(actor_id: ActorId, position: int) -> None:
        await storage.apply(actor_id, accept(position))
        await storage.apply(actor_id, commit(position))

    figures = await measured(turn, turns_each)
    await storage.close()
    return figures


async def _alone(url: str, messages: int, turns: int, conversations: int) -> Figures:
    """One conversation after the other, each of so many messages when it begins.

    A turn is its accept, its commit and a look at the newest.
    """
    storage = RedisStateStorage(url)
    await storage.open(HostInfo("host", "host"))
    times: list[float] = []
    for number in range(conversations):
        actor_id = ActorId("echo", f"alone {number}")
        await storage.claim(actor_id)
        first = messages // 2 + 1  # a turn has two messages
        for position in range(1, first):
            storage.apply(actor_id, accept(position))
            await storage.apply(actor_id, commit(position))
        for position in range(first, first + turns):
            started = time.perf_counter()
            await storage.apply(actor_id, accept(position))
            await storage.apply(actor_id, commit(position))
            await storage.read_turns(actor_id, limit=5)
            times.append(time.perf_counter() - started)
    await storage.close()
    return {"turn_us": statistics.median(times) * 1e6}


def always(scale: float) -> Figures:
    """An answered step is on the disk."""
    with server("always") as one:
        return asyncio.run(_together(one.url, amount(100, scale)))


def everysec(scale: float) -> Figures:
    """An answered step is on the disk a second later."""
    with server("everysec") as one:
        return asyncio.run(_together(one.url, amount(100, scale)))


def short(scale: float) -> Figures:
    """Conversations of 10 messages, and a few more while they are measured."""
    # Not ALWAYS: the disk would hide what a turn costs, and is not the same twice.
    with server("everysec") as one:
        return asyncio.run(_alone(one.url, 10, 10, amount(50, scale)))


def long(scale: float) -> Figures:
    """A conversation of 1,000 messages and more."""
    with server("everysec") as one:
        return asyncio.run(_alone(one.url, 1000, amount(500, scale), 1))
