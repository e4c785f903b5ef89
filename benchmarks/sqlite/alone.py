"""One conversation alone, straight at the storage, by its length."""

import asyncio
import statistics
import time
from pathlib import Path

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from benchmarks.measure import Figures, amount, database_path
from benchmarks.sqlite.work import accept, commit


async def _alone(path: Path, messages: int, turns: int, conversations: int) -> Figures:
    """One conversation after the other, each of so many messages when it begins.

    A turn is its accept, its commit and a look at the newest. NORMAL: the disk would
    hide what a turn costs.
    """
    storage = SqliteStateStorage(path, synchronous="NORMAL")
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


def short(scale: float) -> Figures:
    """Conversations of 10 messages, and a few more while they are measured."""
    with database_path() as path:
        return asyncio.run(_alone(path, 10, 10, amount(50, scale)))


def long(scale: float) -> Figures:
    """A conversation of 1,000 messages and more."""
    with database_path() as path:
        return asyncio.run(_alone(path, 1000, amount(500, scale), 1))
