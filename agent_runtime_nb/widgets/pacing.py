"""Reads what comes one by one in bursts: a task that wakes up is what costs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")


async def paced(
    source: AsyncIterator[T], pause: Callable[[], float]
) -> AsyncIterator[T]:
    """Give the items of a source, in order.

    Args:
        source: what it has already it gives without letting the loop go round.
        pause: seconds to wait when an item came that was waited for, so that those
            which come meanwhile are given together with it.
    """
    loop = asyncio.get_running_loop()
    while True:
        rounds: list[None] = []  # of the loop, while we wait
        first = loop.call_soon(rounds.append, None)
        try:
            item = await anext(source)
        except StopAsyncIteration:
            return
        finally:
            first.cancel()
        if rounds and (seconds := pause()) > 0:
            await asyncio.sleep(seconds)
        yield item
