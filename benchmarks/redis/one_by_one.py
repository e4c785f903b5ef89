"""The same scripts over redis-py's own asyncio client, each awaited by itself."""

import asyncio
from typing import Any

import redis.asyncio

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.redis.keys import Keys
from agent_runtime_nb.storage.redis.scripts import SCRIPTS
from agent_runtime_nb.storage.redis.steps import ApplyStep, ClaimStep, RedisStep
from agent_runtime_nb.storage_abstractions import HostInfo
from benchmarks.measure import Figures, amount
from benchmarks.redis.work import server
from benchmarks.turns import ACTORS, accept, commit, measured


async def _singly(url: str, turns_each: int, connections: int) -> Figures:
    pools: Any = redis.asyncio.BlockingConnectionPool
    pool = pools.from_url(url, max_connections=connections, timeout=None, protocol=2)
    client: Any = redis.asyncio.Redis(connection_pool=pool)
    for script in SCRIPTS:
        await client.script_load(script.text)
    keys = Keys("agent-runtime")
    actor_keys = {actor_id: keys.actor(actor_id) for actor_id in ACTORS}

    async def send(step: RedisStep) -> None:
        command = step.command(actor_keys[step.actor_id], "0")
        answer = await client.execute_command(*command)
        if answer[0] != b"ok":
            raise RuntimeError(f"it was refused: {answer}")

    async def turn(actor_id: ActorId, position: int) -> None:
        await send(ApplyStep(actor_id, accept(position)))
        await send(ApplyStep(actor_id, commit(position)))

    for actor_id in ACTORS:
        await send(ClaimStep(actor_id, HostInfo("host", "host"), take_over=False))
    figures = await measured(turn, turns_each)
    await client.aclose()
    await pool.aclose()
    return figures


def many_connections_always(scale: float) -> Figures:
    """A connection for each conversation; an answered step is on the disk."""
    with server("always") as one:
        return asyncio.run(_singly(one.url, amount(40, scale), len(ACTORS)))


def many_connections_everysec(scale: float) -> Figures:
    """A connection for each conversation; on the disk a second later."""
    with server("everysec") as one:
        return asyncio.run(_singly(one.url, amount(40, scale), len(ACTORS)))


def one_connection_always(scale: float) -> Figures:
    """One connection for all; an answered step is on the disk."""
    with server("always") as one:
        return asyncio.run(_singly(one.url, amount(10, scale), 1))
