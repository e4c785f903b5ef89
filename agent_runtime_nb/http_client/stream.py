"""Streams from the transport's loop to a reader on any loop.

A producer runs on the transport's loop and puts items into a `StreamBuffer`; its reader
is a `StreamIterator`, which an `async for` of any loop and thread may consume.
"""

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agent_runtime_nb.exceptions import NotRunning

if TYPE_CHECKING:  # needs an extra; loaded with the first use
    from agent_runtime_nb.http_client.transport import HttpTransport

T = TypeVar("T")

_BUFFERED = 256


class StreamBuffer(Generic[T]):
    """Numbered items from a producer to one reader, bounded; on the transport's loop.

    Items stay until the reader asks for later ones, so a cancelled read loses nothing.
    """

    def __init__(self) -> None:
        self._items: list[T] = []
        self._first = 0  # the number of the first item
        self._room = asyncio.Event()
        self._reader: asyncio.Future[None] | None = None
        self._end: BaseException | None = None

    async def put(self, item: T) -> None:
        """Add an item; waits while the reader is far behind."""
        while len(self._items) >= _BUFFERED:
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        self._wake()

    def end(self, error: BaseException | None) -> None:
        """No more items; the reader gets the error, if any, after the last one."""
        self._end = error or _Ended()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def take(self, seen: int) -> list[T]:
        """The items after the first `seen` ones; waits until there is one."""
        del self._items[: seen - self._first]
        self._first = seen
        self._room.set()
        while not self._items:
            if self._end is not None:
                raise self._end
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return list(self._items)


class _Ended(Exception):
    """The producer ended without an error."""


class StreamIterator(AsyncIterator[T]):
    """Reads a buffer from any loop; the producer is cancelled with this object's end."""

    def __init__(
        self,
        open_transport: Callable[[], "HttpTransport"],
        producer: Callable[[StreamBuffer[T]], Coroutine[Any, Any, None]],
    ) -> None:
        self._open = open_transport
        self._producer = producer
        self._transport: HttpTransport | None = None
        self._buffer: StreamBuffer[T] | None = None
        self._stop: Callable[[], object] = lambda: None
        self._items: deque[T] = deque()
        self._seen = 0

    def __aiter__(self) -> "StreamIterator[T]":
        return self

    async def __anext__(self) -> T:
        if not self._items:
            if self._transport is None or self._buffer is None:
                self._transport = self._open()
                self._buffer = await self._transport.bridge.call(
                    partial(self._begin, self._transport)
                )
            try:
                items = await self._transport.run(
                    partial(self._buffer.take, self._seen)
                )
            except _Ended:
                raise StopAsyncIteration from None
            # Nothing is awaited from here on.
            self._seen += len(items)
            self._items.extend(items)
        return self._items.popleft()

    def _begin(self, transport: "HttpTransport") -> StreamBuffer[T]:
        buffer: StreamBuffer[T] = StreamBuffer()
        task = transport.tasks.spawn(
            _run_producer(self._producer, buffer), name="stream", awaited=True
        )
        self._stop = weakref.finalize(self, transport.bridge.post, task.cancel)
        return buffer

    async def aclose(self) -> None:
        """End it now."""
        self._stop()


async def _run_producer(
    producer: Callable[[StreamBuffer[T]], Coroutine[Any, Any, None]],
    buffer: StreamBuffer[T],
) -> None:
    error: BaseException | None = None
    try:
        await producer(buffer)
    except asyncio.CancelledError:
        error = NotRunning("stopped")
    except Exception as failure:
        error = failure
    buffer.end(error)
