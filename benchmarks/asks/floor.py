"""One task, one queue, one future per ask: the least that is still an actor."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeAlias

from benchmarks.asks.work import Ask, actors_at_once, alone, at_once
from benchmarks.measure import Figures, amount

_Inbox: TypeAlias = asyncio.Queue[tuple[int, asyncio.Future[int]]]


async def _echo(value: int) -> int:
    return value


async def _serve(inbox: _Inbox) -> None:
    while True:
        value, answer = await inbox.get()
        try:
            answer.set_result(await _echo(value))
        except Exception as error:
            answer.set_exception(error)


@contextlib.asynccontextmanager
async def _actors(count: int) -> AsyncGenerator[Ask]:
    loop = asyncio.get_running_loop()
    inboxes: list[_Inbox] = [asyncio.Queue() for _ in range(count)]
    tasks = [loop.create_task(_serve(inbox)) for inbox in inboxes]

    def ask(actor: int, value: int) -> Awaitable[int]:
        answer: asyncio.Future[int] = loop.create_future()
        inboxes[actor].put_nowait((value, answer))
        return answer

    yield ask
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _run(scale: float) -> Figures:
    async with _actors(1) as ask:
        one = await alone(ask, amount(20_000, scale))
    async with _actors(actors_at_once(scale)) as ask:
        thousand = await at_once(ask, actors_at_once(scale))
    return {"alone_us": one, "thousand_us": thousand}


def run(scale: float) -> Figures:
    """Measure."""
    return asyncio.run(_run(scale))
