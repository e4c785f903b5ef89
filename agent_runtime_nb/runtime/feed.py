"""The items for one watcher of an actor: numbered, kept until the watcher confirms them.

Pushing never waits. A watcher takes everything after the number that it has confirmed;
one that is too slow loses what it can do without, and gets an item that says so.
"""

import asyncio
from collections.abc import Callable
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


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
            kept = sorted([(gone[-1][0], mark), *kept], key=itemgetter(0))
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
