"""The work that every contender does."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from benchmarks.measure import amount

Ask: TypeAlias = Callable[[int, int], Awaitable[object]]
"""Ask the actor with that number for an echo of a value."""

ASKS_EACH = 10
_WARM_UP = 500


def actors_at_once(scale: float) -> int:
    """How many actors are asked at once."""
    return amount(1000, scale)


async def alone(ask: Ask, asks: int) -> float:
    """CPU microseconds per ask of one client to one actor."""
    await _client(ask, 0, min(asks, _WARM_UP))
    return await _measured([_client(ask, 0, asks)], asks)


async def at_once(ask: Ask, actors: int, asks: int = ASKS_EACH) -> float:
    """CPU microseconds per ask of as many clients as actors, each with its own."""
    await asyncio.gather(*[_client(ask, actor, 1) for actor in range(actors)])
    clients = [_client(ask, actor, asks) for actor in range(actors)]
    return await _measured(clients, actors * asks)


async def _client(ask: Ask, actor: int, asks: int) -> None:
    for value in range(asks):
        await ask(actor, value)


async def _measured(clients: Sequence[Awaitable[None]], asks: int) -> float:
    gc.collect()
    started = time.process_time()
    await asyncio.gather(*clients)
    return (time.process_time() - started) / asks * 1e6
