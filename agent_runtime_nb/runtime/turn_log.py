"""The progress of turns, for any number of readers.

One append-only bounded log per turn, shared by all its readers: a reader asks for "the
slice after n", again and again, from any place, and only a reader that has everything
makes the log remember a future. Appending never waits and costs nothing more with ten
readers than with one. Everything here is touched on the runtime's loop only.
"""

import asyncio
from bisect import bisect_right
from typing import NamedTuple, TypeVar

from agent_runtime_nb.runtime_abstractions import (
    Encoded,
)

T = TypeVar("T")


_TIDY_EVERY = 32


class Slice(NamedTuple):
    """Some updates of a turn, and whether there will be no more after them."""

    items: list[tuple[int, Encoded]]
    ended: bool


class TurnLog:
    """The numbered updates of one turn.

    Keeps the newest `limit` updates and `max_bytes` bytes; a reader sees by the
    numbers that older ones are gone.
    """

    __slots__ = (
        "_bytes",
        "_items",
        "_limit",
        "_max_bytes",
        "_readers",
        "_waking",
        "ended",
        "forgotten",
        "last",
    )

    def __init__(self, limit: int, max_bytes: int) -> None:
        self.last = -1  # the number of the newest update
        self.forgotten = -1  # the number of the newest update that is not kept
        self.ended = False
        self._items: list[tuple[int, Encoded]] = []
        self._bytes = 0
        self._limit = limit
        self._max_bytes = max_bytes
        self._readers: list[tuple[int, asyncio.Future[Slice]]] = []
        self._waking = False

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._bytes

    def append(self, sequence: int, data: Encoded) -> None:
        """Add an update.

        Raises:
            ValueError: if the sequence does not grow.
        """
        if sequence <= self.last:
            problem = f"sequence_number must be over {self.last}, got {sequence}"
            raise ValueError(problem)
        self.last = sequence
        self._items.append((sequence, data))
        self._bytes += len(data)
        if len(self._items) > self._limit or self._bytes > self._max_bytes:
            self._forget()
        self._wake()

    def _forget(self) -> None:
        # A tenth at once, so that a full log does not move its list at every append.
        drop = max(1, len(self._items) // 10)
        while drop < len(self._items) - 1 and (
            self._bytes - sum(len(data) for _, data in self._items[:drop])
            > self._max_bytes
        ):
            drop += max(1, len(self._items) // 10)
        drop = min(drop, len(self._items) - 1)
        if drop:
            self.forgotten = self._items[drop - 1][0]
        self._bytes -= sum(len(data) for _, data in self._items[:drop])
        del self._items[:drop]

    def end(self) -> None:
        """There will be no more updates."""
        self.ended = True
        self._wake()

    def after(self, sequence: int) -> "Slice | asyncio.Future[Slice]":
        """What comes after an update, or a future of it if that is nothing yet."""
        found = self._slice(sequence)
        if found.items or found.ended:
            return found
        future: asyncio.Future[Slice] = asyncio.get_running_loop().create_future()
        if len(self._readers) % _TIDY_EVERY == _TIDY_EVERY - 1:  # of those who left
            self._readers = [one for one in self._readers if not one[1].done()]
        self._readers.append((sequence, future))
        return future

    def kept(self, sequence: int) -> list[tuple[int, Encoded]]:
        """What is kept of the updates after `sequence`, now."""
        return self._slice(sequence).items

    def _slice(self, sequence: int) -> Slice:
        items = self._items
        if sequence >= self.last:
            return Slice([], self.ended)
        start = bisect_right(items, sequence, key=_number_of)
        return Slice(items[start:], self.ended)

    def _wake(self) -> None:
        if self._readers and not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        # One loop turn later, so that a burst reaches its readers as one slice.
        self._waking = False
        readers, self._readers = self._readers, []
        for sequence, future in readers:
            if not future.done():
                future.set_result(self._slice(sequence))


def _number_of(item: tuple[int, object]) -> int:
    return item[0]
