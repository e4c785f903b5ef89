"""`PostgresStateStorage`."""

import asyncio
import statistics
import time

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from benchmarks.measure import Figures, amount
from benchmarks.turns import ACTORS, accept, commit, measured
from tests.servers.postgres_server import running_server


async def _together(url: str, turns_each: int) -> Figures:
    storage = PostgresStateStorage(url)
    await storage.open(HostInfo("host", "host"))
    await asyncio.gather(*map(storage.claim, ACTORS))

    async def turn(actor_id: ActorId, position: int) -> None:
        await storage.apply(actor_id, accept(position))
        await storage.apply(actor_id, commit(position))

    figures = await measured(turn, turns_each)
    await storage.close()
    return figures


async def _alone(url: str, messages: int, turns: int) -> Figures:
    """One conversation: a turn is its accept, its commit and a look at the newest."""
    storage = PostgresStateStorage(url)
    await storage.open(HostInfo("host", "host"))
    times: list[float] = []
    for actor_id in ACTORS[: max(1, turns // 10)]:
        await storage.claim(actor_id)
        first = messages // 2 + 1  # a turn has two messages
        before = [
            storage.apply(actor_id, change(position))
            for position in range(1, first)
            for change in (accept, commit)
        ]
        await asyncio.gather(*before)
        for position in range(first, first + min(turns, 10)):
            started = time.perf_counter()
            await storage.apply(actor_id, accept(position))
            await storage.apply(actor_id, commit(position))
            await storage.read_turns(actor_id, limit=5)
            times.append(time.perf_counter() - started)
    await storage.close()
    return {"turn_us": statistics.median(times) * 1e6}


def together(scale: float) -> Figures:
    """An answered step is on the disk."""
    with running_server() as server:
        return asyncio.run(_together(server.local_url, amount(60, scale)))


def short(scale: float) -> Figures:
    """Conversations that are young: of 10 to 30 messages."""
    with running_server() as server:
        return asyncio.run(_alone(server.local_url, 10, amount(200, scale)))


def long(scale: float) -> Figures:
    """Conversations that are old: of 1,000 to 1,020 messages."""
    with running_server() as server:
        return asyncio.run(_alone(server.local_url, 1000, amount(200, scale)))
