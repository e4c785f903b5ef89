"""Server-sent events: an answer as a stream.

Events are written by hand, and all that are ready go out in one chunk: with a library
that sends one event at a time a burst costs many times as much. Comments keep an idle
connection open.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping

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
"""Seconds that a client may read nothing before it is disconnected."""

_QUEUED = 256
"""Events that may wait for a slow client; further ones wait in the turn's own log."""

_log = logging.getLogger(__name__)


def frame(kind: str, event_id: int | str | None, data: JsonValue) -> bytes:
    """One event; without an id the reader keeps the one that it has."""
    numbered = "" if event_id is None else f"id: {event_id}\n"
    head = f"{numbered}event: {kind}\ndata: ".encode()
    return b"%s%s\n\n" % (head, orjson.dumps(data))


class StreamSlot:
    """The permit of one open stream; `end` ends the stream from outside, with a problem."""

    def __init__(self, slots: "StreamSlots") -> None:
        self._slots = slots
        self._ended: asyncio.Future[Problem] | None = None
        self._problem: Problem | None = None

    def release(self) -> None:
        """Give it back; idempotent."""
        self._slots.drop(self)

    def end(self, problem: Problem) -> None:
        """End the stream; on the loop that serves it."""
        self._problem = problem
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(problem)

    @property
    def ended(self) -> "asyncio.Future[Problem]":
        """Done when the stream must end; the result is its last event's problem."""
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            if self._problem is not None:
                self._ended.set_result(self._problem)
        return self._ended


class StreamSlots:
    """Bounds the streams that are open at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[StreamSlot] = set()

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def take(self) -> StreamSlot:
        """Take a slot, to be released.

        Raises:
            Refused: with 429 if there is none.
        """
        if len(self._open) >= self._limit:
            detail = f"{self._limit} streams are open; close one or try again later"
            more, headers = {"retryable": True}, retry_after(5)
            raise Refused(Problem(429, "too-many-streams", detail, more, headers))
        slot = StreamSlot(self)
        self._open.add(slot)
        return slot

    def drop(self, slot: StreamSlot) -> None:
        """Free a slot; `StreamSlot.release` calls it."""
        self._open.discard(slot)

    def end_all(self, problem: Problem) -> None:
        """End every stream; on the loop that serves them."""
        for slot in list(self._open):
            slot.end(problem)


class EventStream(Response):
    """Sends frames as they come, until they end or the client disconnects.

    Args:
        frames: the events as `frame` makes them; closed when the stream ends.
        slot: released when the stream has ended, in whatever way.
        headers: sent beside those of an event stream.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        slot: StreamSlot,
        headers: Mapping[str, str],
    ) -> None:
        # A proxy must neither keep nor collect the events.
        fixed = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers={**fixed, **headers})
        del self.headers["content-length"]
        self._frames = frames
        self._slot = slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        try:
            await send({"type": "http.response.start", **start})
            if not await self._serve(receive, send):
                await _abort(scope)
        except asyncio.CancelledError:
            # The server stops: the client gets a last event, and may resume elsewhere.
            await _sent(send, _error_frame(stopping()), more=False)
        finally:
            self._slot.release()

    async def _serve(self, receive: Receive, send: Send) -> bool:
        """False if the client reads nothing and must be disconnected."""
        ready = _FrameBuffer()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(ready))
            writing = group.create_task(_write(ready, send))
            leaving = group.create_task(_wait_for_disconnect(receive))
            ended = self._slot.ended
            await asyncio.wait((writing, leaving, ended), return_when="FIRST_COMPLETED")
            for task in (reading, writing, leaving):
                task.cancel()
        if ended.done() and writing.cancelled():
            return await _sent(send, _error_frame(ended.result()), more=False)
        return writing.cancelled() or writing.result()

    async def _read(self, ready: "_FrameBuffer") -> None:
        try:
            async for event in self._frames:
                if ready.add(event):
                    await ready.wait_for_room()
            ready.add(b"")
        finally:
            await self._frames.aclose()


class _FrameBuffer:
    """Frames that are not sent yet; a reader takes all of them at once."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._some = asyncio.Event()
        self._room = asyncio.Event()

    def add(self, frame: bytes) -> bool:
        """Add one; returns whether it is full now."""
        self._frames.append(frame)
        if len(self._frames) == 1:
            self._some.set()
        return len(self._frames) >= _QUEUED

    async def wait_for_room(self) -> None:
        """Wait until everything is taken."""
        self._room.clear()
        await self._room.wait()

    async def wait_for_frames(self) -> None:
        """Wait until there is a frame."""
        await self._some.wait()

    def take(self) -> list[bytes]:
        """Remove and return all frames."""
        frames, self._frames = self._frames, []
        self._some.clear()
        self._room.set()
        return frames


def _error_frame(problem: Problem) -> bytes:
    return frame("error", None, problem.body())


async def _write(ready: _FrameBuffer, send: Send) -> bool:
    events = [b": stream\n\n"]
    while True:
        events += ready.take()
        more = bool(events[-1])
        taken = await _sent(send, b"".join(events), more=more)
        if not taken or not more:
            return taken
        try:
            async with asyncio.timeout(HEARTBEAT):
                await ready.wait_for_frames()
            events = []
        except TimeoutError:
            events = [b": keep-alive\n\n"]


async def _sent(send: Send, body: bytes, *, more: bool) -> bool:
    """Send a chunk; False if the client did not read it in time."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await send({"type": "http.response.body", "body": body, "more_body": more})
    except TimeoutError:
        _log.info("a stream was dropped: nothing was read for %s s", WRITE_TIMEOUT)
        return False
    return True


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _abort(scope: Scope) -> None:
    """Abort the connection, if the server allows it."""
    abort = scope.get("state", {}).get("abort")
    if abort is not None:
        abort()
        await asyncio.sleep(0)  # it is closed in the loop's next iteration
