"""`InProcessActorRuntime` on `SqliteStateStorage`."""

import asyncio
import time

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActorClient,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from benchmarks.measure import Figures, amount, database_path
from benchmarks.own_actors import EchoActor
from benchmarks.sqlite.work import CONVERSATIONS, PARAMS


async def _converse(client: IActorClient, actor_id: ActorId, turns: int) -> None:
    for _ in range(turns):
        handle = await client.send_request(actor_id, "run", PARAMS)
        await handle.get_response()


async def _measured(storage: SqliteStateStorage, turns_each: int) -> Figures:
    runtime = InProcessActorRuntime(storage)
    runtime.register_actor_type("echo", lambda _: EchoActor())
    await runtime.start()
    client = InProcessActorClient(runtime)
    actors = [ActorId("echo", str(number)) for number in range(CONVERSATIONS)]
    await asyncio.gather(*[_converse(client, actor, 1) for actor in actors])
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*[_converse(client, actor, turns_each) for actor in actors])
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    await runtime.stop()
    turns = turns_each * CONVERSATIONS
    return {"turns_per_s": turns / seconds, "cpu_us": cpu / turns * 1e6}


def normal(scale: float) -> Figures:
    """A commit survives the death of the process."""
    with database_path() as path:
        storage = SqliteStateStorage(path, synchronous="NORMAL")
        return asyncio.run(_measured(storage, amount(80, scale)))


def full(scale: float) -> Figures:
    """A commit survives the loss of power."""
    with database_path() as path:
        storage = SqliteStateStorage(path, synchronous="FULL")
        return asyncio.run(_measured(storage, amount(80, scale)))
