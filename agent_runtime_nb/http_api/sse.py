"""An answer as a stream of server-sent events.

Events are written by hand and whatever is ready goes out as one chunk: with a library
that handles one event at a time a burst costs many times as much. The `id` of an event
is the sequence of the last update (none before the first), so `Last-Event-ID` continues
where a connection broke; a final event comes again then. Comments keep the line alive.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping

import orjson
from fastapi import Response
from starlette.types import Receive, Scope, Send

from agent_runtime_nb.http_api.problems import Problem, Refused, retry_after, stopping
from agent_runtime_nb.runtime_abstractions import (
    JsonValue,
)

HEARTBEAT = 15.0
"""Seconds of silence before a comment is sent."""

WRITE_TIMEOUT = 10.0
"""Seconds that a reader may take no bytes at all before it is dropped."""

_QUEUED = 256
"""Events that may wait for a slow reader; further ones wait in the turn's own log."""

_log = logging.getLogger(__name__)


def frame(kind: str, sequence: int | None, data: JsonValue) -> bytes:
    """One event; without a sequence the reader keeps the id that it has."""
    event_id = b"" if sequence is None else b"id: %d\n" % sequence
    return b"%sevent: %s\ndata: %s\n\n" % (event_id, kind.encode(), orjson.dumps(data))


class StreamSlots:
    """Bounds the streams that are open at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 0

    def take(self) -> Callable[[], None]:
        """Take a place; returns the function that gives it back, once.

        Raises:
            Refused: with 429 if there is none.
        """
        if self._open >= self._limit:
            detail = f"{self._limit} streams are open; close one or try again later"
            more, headers = {"retryable": True}, retry_after(5)
            raise Refused(Problem(429, "too-many-streams", detail, more, headers))
        self._open += 1
        pending = [None]

        def release() -> None:
            if pending:
                pending.pop()
                self._open -= 1

        return release


class EventStream(Response):
    """Sends frames as they come, until they end or the reader goes.

    Args:
        frames: the events as `frame` makes them; closed when the stream ends.
        on_close: called once when the stream has ended, however it did.
        headers: sent beside those of an event stream.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        on_close: Callable[[], None],
        headers: Mapping[str, str],
    ) -> None:
        # A proxy must neither keep nor collect the events.
        fixed = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers={**fixed, **headers})
        del self.headers["content-length"]
        self._frames = frames
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        try:
            await send({"type": "http.response.start", **start})
            if not await self._serve(receive, send):
                await _abort(scope)
        except asyncio.CancelledError:
            # The server stops: the reader is told, and may resume elsewhere.
            await _sent(send, frame("error", None, stopping().body()), more=False)
        finally:
            self._on_close()

    async def _serve(self, receive: Receive, send: Send) -> bool:
        """False if the reader takes nothing and must be dropped."""
        ready: asyncio.Queue[bytes] = asyncio.Queue(_QUEUED)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(ready))
            writing = group.create_task(_write(ready, send))
            leaving = group.create_task(_wait_until_gone(receive))
            await asyncio.wait((writing, leaving), return_when="FIRST_COMPLETED")
            for task in (reading, writing, leaving):
                task.cancel()
        return writing.cancelled() or writing.result()

    async def _read(self, ready: asyncio.Queue[bytes]) -> None:
        try:
            async for event in self._frames:
                await ready.put(event)
            await ready.put(b"")
        finally:
            await self._frames.aclose()


async def _write(ready: asyncio.Queue[bytes], send: Send) -> bool:
    events = [b": stream\n\n"]
    while True:
        while events[-1] and not ready.empty():
            events.append(ready.get_nowait())
        more = bool(events[-1])
        taken = await _sent(send, b"".join(events), more=more)
        if not taken or not more:
            return taken
        try:
            async with asyncio.timeout(HEARTBEAT):
                events = [await ready.get()]
        except TimeoutError:
            events = [b": keep-alive\n\n"]


async def _sent(send: Send, body: bytes, *, more: bool) -> bool:
    """Send a chunk; False if the reader did not take it in time."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await send({"type": "http.response.body", "body": body, "more_body": more})
    except TimeoutError:
        _log.info("a stream was dropped: nothing was read for %s s", WRITE_TIMEOUT)
        return False
    return True


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _abort(scope: Scope) -> None:
    """Cut the connection, if the server gives a way to."""
    abort = scope.get("state", {}).get("abort")
    if abort is not None:
        abort()
        await asyncio.sleep(0)  # it is gone in the loop's next turn
