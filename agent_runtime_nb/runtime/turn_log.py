"""The progress of turns, for any number of readers.

One append-only bounded log per turn, shared by all its readers: a reader asks for "the
slice after n", again and again, from any place, and only a reader that has everything
makes the log remember a future. Appending never waits and costs nothing more with ten
readers than with one. Everything here is touched on the runtime's loop only.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

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


class Taken(NamedTuple, Generic[T]):
    """Items of a feed, and the number of the last one."""

    last: int
    items: tuple[T, ...]


class Feed(Generic[T]):
    """What one reader has not confirmed yet, in order, bounded.

    Items are numbered, and stay until the reader asks for what comes after them: a
    reader whose wait was cancelled just asks again and loses nothing.

    Args:
        limit: items kept for a slow reader.
        droppable: whether an item may go if the reader is slow. The others follow,
            oldest first, if that is not enough.
        mark: makes of the first item that goes the one that says so, if any does.
    """

    def __init__(
        self,
        limit: int,
        droppable: Callable[[T], bool],
        mark: Callable[[T], T | None] = lambda _: None,
    ) -> None:
        self._items: list[tuple[int, T]] = []
        self._last = 0
        self._limit = limit
        self._droppable = droppable
        self._mark = mark
        self._reader: asyncio.Future[Taken[T]] | None = None
        self._waking = False
        self._closed: BaseException | None = None

    def close(self, error: BaseException) -> None:
        """There will be no more: once everything is taken, `take` raises the error."""
        self._closed = error
        self._wake()

    def push(self, item: T) -> None:
        """Add an item."""
        self._last += 1
        self._items.append((self._last, item))
        if len(self._items) > self._limit:
            self._shrink()
        if self._reader is not None and not self._waking:
            # One loop turn later, so that a burst is taken at once.
            self._waking = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _shrink(self) -> None:
        gone = [one for one in self._items if self._droppable(one[1])]
        kept = [one for one in self._items if not self._droppable(one[1])]
        surplus = max(0, len(kept) - self._limit // 2)
        gone, kept = kept[:surplus] or gone, kept[surplus:]
        mark = self._mark(gone[0][1]) if gone else None
        if mark is not None:
            # Numbered as the last one that goes: a reader that has not confirmed what
            # it has must not take the mark for something it has.
            kept = sorted([(gone[-1][0], mark), *kept], key=_number_of)
        self._items = kept

    def take(self, seen: int) -> "Taken[T] | asyncio.Future[Taken[T]]":
        """Everything after the item numbered `seen`, or a future of it.

        What comes before is forgotten. One reader only.

        Raises:
            BaseException: the error it was closed with, after the last item.
        """
        if self._items and self._items[0][0] <= seen:
            self._items = [one for one in self._items if one[0] > seen]
        if self._items:
            return self._taken()
        if self._closed is not None:
            raise self._closed
        self._reader = asyncio.get_running_loop().create_future()
        return self._reader

    def _taken(self) -> Taken[T]:
        return Taken(self._items[-1][0], tuple(item for _, item in self._items))

    def _wake(self) -> None:
        self._waking = False
        reader, self._reader = self._reader, None
        if reader is None or reader.done():
            return
        if self._items:
            reader.set_result(self._taken())
        elif self._closed is not None:
            reader.set_exception(self._closed)
        else:
            self._reader = reader


def _number_of(item: tuple[int, object]) -> int:
    return item[0]
