"""Reading in bursts: all that there is, in order, and no wake-up for each."""

import asyncio
from collections.abc import AsyncIterator

from agent_runtime_nb.widgets.pacing import paced


class Source:
    """Gives what was put in, as a watch does; counts how often it was waited for."""

    def __init__(self, *items: int) -> None:
        self.waits = 0
        self._items = [*items]
        self._put = asyncio.Event()
        self._ended = False

    def put(self, *items: int, end: bool = False) -> None:
        self._items += items
        self._ended = end
        self._put.set()

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            self.waits += 1
            self._put.clear()
            await self._put.wait()
        return self._items.pop(0)


class Pauses:
    """Counts the pauses; something happens at the beginning of each."""

    def __init__(self, source: Source, *during: tuple[int, ...]) -> None:
        self.count = 0
        self._source = source
        self._during = list(during)

    def __call__(self) -> float:
        self.count += 1
        if self._during:
            items = self._during.pop(0)
            self._source.put(*items, end=not self._during)
        return 1e-9


async def test_what_is_there_is_given_without_a_pause() -> None:
    source = Source(1, 2, 3)
    source.put(end=True)
    pauses = Pauses(source)

    given = [item async for item in paced(source, pauses)]

    assert given == [1, 2, 3]
    assert pauses.count == 0


async def test_what_comes_in_a_pause_is_given_together() -> None:
    source = Source()
    pauses = Pauses(source, (2, 3), (5, 6))
    loop = asyncio.get_running_loop()
    loop.call_soon(source.put, 1)
    given: list[int] = []

    async for item in paced(source, pauses):
        given.append(item)
        if item == 3:
            loop.call_soon(source.put, 4)

    assert given == [1, 2, 3, 4, 5, 6]
    assert pauses.count == source.waits == 2
