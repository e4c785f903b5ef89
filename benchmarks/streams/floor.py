"""A queue for each reader."""

import asyncio
import time

from benchmarks.measure import Figures, amount
from benchmarks.streams.work import READERS, TEXT, TURNS, UPDATES, figure


async def _read(queue: asyncio.Queue[str | None]) -> int:
    count = 0
    while await queue.get() is not None:
        count += 1
    return count


async def _publish(queues: list[asyncio.Queue[str | None]], updates: int) -> None:
    for number in range(updates + 1):
        for queue in queues:
            queue.put_nowait(TEXT if number < updates else None)
        await asyncio.sleep(0)


async def _run(scale: float) -> Figures:
    updates, figures = amount(UPDATES, scale), Figures()
    for readers in READERS:
        cpu = time.process_time()
        for _ in range(TURNS):
            queues = [asyncio.Queue[str | None]() for _ in range(readers)]
            await asyncio.gather(_publish(queues, updates), *map(_read, queues))
        seconds = time.process_time() - cpu
        figures[figure(readers)] = TURNS * updates / seconds
    return figures


def run(scale: float) -> Figures:
    """Measure."""
    return asyncio.run(_run(scale))
