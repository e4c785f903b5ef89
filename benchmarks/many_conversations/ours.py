"""`InProcessActorRuntime` on `SqliteStateStorage`, with far more actors than it keeps."""

import asyncio
import gc
import multiprocessing
import random
import time
from array import array
from collections.abc import Iterable
from pathlib import Path

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)
from benchmarks.measure import Figures, amount, database_path
from benchmarks.own_actors import CountingActor

_AT_ONCE = 64
_RESIDENT = 1000
_TEXT = b'{"text":"%s"}' % (b"What is known of the weather of the coming week? " * 8)


def _actor(number: int) -> ActorId:
    return ActorId("count", f"conversation-{number:06}")


def _store(path: Path, count: int) -> None:
    asyncio.run(_store_all(path, count))


async def _store_all(path: Path, count: int) -> None:
    """Conversations of one ended turn and a value."""
    storage = SqliteStateStorage(path, synchronous="NORMAL")
    await storage.open(HostInfo("before", "before"))

    async def store(number: int) -> None:
        actor_id = _actor(number)
        turn = TurnRecord(
            position=1,
            message_id="m1",
            status=RequestStatus.COMPLETED,
            body=_TEXT,
            result=_TEXT,
            accepted_at=1.0,
            ended_at=2.0,
        )
        epoch = (await storage.claim(actor_id)).epoch
        change = ActorChange(
            epoch=epoch, new_etag="e1", accepted=(turn,), set={"count": b"1"}
        )
        await storage.apply(actor_id, change)

    for first in range(0, count, _RESIDENT):
        last = min(first + _RESIDENT, count)
        await asyncio.gather(*map(store, range(first, last)))
    await storage.close()


async def _ask_all(client: InProcessActorClient, order: Iterable[int]) -> None:
    numbers = iter(order)

    async def ask() -> None:
        for number in numbers:
            handle = await client.send_request(_actor(number), "count", {})
            response = await handle.get_response()
            if response.status is not RequestStatus.COMPLETED:
                raise RuntimeError(f"{number} ended as {response.status}")

    await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))


async def _list_while_others_come_and_go(
    storage: IActorStateStorage, count: int
) -> tuple[int, float]:
    """How many of the stored ones were not listed once, and the worst page in ms."""
    seen = array("B", bytes(count))
    worst = 0.0
    after: str | None = None
    page = 0
    while True:
        started = time.perf_counter()
        found = await storage.list_actors(after=after, limit=200)
        worst = max(worst, time.perf_counter() - started)
        for actor_id in found.items:
            kind, _, number = actor_id.instance_id.partition("-")
            if kind == "conversation":
                seen[int(number)] += 1
        # One that sorts before all, one behind this page, and one that goes.
        page += 1
        for name in (f"a-{page}", f"conversation-{page:06}x"):
            await storage.write_state(ActorId("count", name), set={"k": b"1"})
        await storage.delete_state(ActorId("count", f"a-{page - 1}"))
        after = found.next
        if after is None:
            return count - seen.count(1), worst * 1000


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not tell")


def _measured(count: int) -> Figures:
    with database_path() as path:
        # In another process: what it leaves in this one's memory is not the question.
        process = multiprocessing.get_context("spawn").Process(
            target=_store, args=(path, count)
        )
        process.start()
        process.join()
        return asyncio.run(_asked(path, count))


async def _asked(path: Path, count: int) -> Figures:
    order = array("I", range(count))
    random.Random(1).shuffle(order)  # noqa: S311 - an order
    storage = SqliteStateStorage(path, synchronous="NORMAL")
    runtime = InProcessActorRuntime(
        storage, settings=RuntimeSettings(max_resident=_RESIDENT)
    )
    runtime.register_actor_type("count", lambda _: CountingActor())
    await runtime.start()
    client = InProcessActorClient(runtime)
    started = time.perf_counter()
    await _ask_all(client, order)
    seconds = time.perf_counter() - started
    gc.collect()
    resident = _resident_mb()
    in_memory = (await runtime.health()).resident
    wrong, worst_page = await _list_while_others_come_and_go(storage, count)
    await runtime.stop()
    return {
        "resident_mb": resident,
        "actors_in_memory": in_memory,
        "asks_per_s": count / seconds,
        "listed_wrong": wrong,
        "worst_page_ms": worst_page,
    }


def few(scale: float) -> Figures:
    """Ten times as many as are kept in memory."""
    return _measured(amount(10_000, scale))


def many(scale: float) -> Figures:
    """A hundred times as many."""
    return _measured(amount(100_000, scale))
