"""One connection to a server of the HTTP API, for callers on any thread and any loop.

Everything that touches the network runs on a loop of its own in a daemon thread, which
begins with the first use: a pool of connections belongs to one loop, and callers come
from many, some of which end without a word. What breaks is tried again for `retry_for`
seconds, but only what does no harm when it arrives twice.
"""

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Hashable,
    Mapping,
)
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from agent_runtime_nb._base.extras import load
from agent_runtime_nb._base.loop_bridge import LoopBridge
from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    InvalidRequest,
    NotRunning,
    RemoteError,
)
from agent_runtime_nb.runtime_abstractions import JsonValue

T = TypeVar("T")

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_BUFFERED = 256


class Broken(Exception):
    """An attempt that may be made again; `sent`: the server may have heard it."""

    def __init__(self, reason: object, *, sent: bool) -> None:
        super().__init__(str(reason) or type(reason).__name__)
        self.sent = sent


class Transport(Protocol):
    """The thread with the loop and the pool of connections; see `transport`."""

    @property
    def bridge(self) -> LoopBridge:
        """The way to its loop."""
        ...

    @property
    def tasks(self) -> TaskOwner:
        """What runs on its loop."""
        ...

    def turnstile(self, name: Hashable) -> asyncio.Lock:
        """A lock that lives as long as somebody holds it or waits for it."""
        ...

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run on the line's loop, from any; ends it if the caller stops waiting."""
        ...

    async def exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
    ) -> JsonValue:
        """One attempt, on the line's loop; raises `Broken`, or what the server says."""
        ...

    def events(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str, JsonValue], None]:
        """The events of one connection, on the line's loop; ends with `Broken`."""
        ...

    def stop(self, *, wait: bool = True) -> None:
        """End the thread; from any thread."""
        ...


class HttpConnection:
    """Sends requests and follows streams; see the head of this module.

    Args:
        base_url: where the API is, "http://127.0.0.1:8000".
        token: the server's; in no repr, log or error.
        retry_for: seconds in which what broke is tried again.

    Raises:
        InvalidRequest: if `base_url` is no http(s) URL.
    """

    def __init__(self, base_url: str, token: str | None, retry_for: float) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidRequest("base_url", f"must be an http URL, got {base_url!r}")
        # Without what may be secret in it.
        place = url.netloc.rpartition("@")[2]
        self.where = f"{url.scheme}://{place}{url.path}".rstrip("/")
        self.retry_for = retry_for
        self._make_line = load(
            "agent_runtime_nb.http_client.transport", "http"
        ).HttpTransport
        self._url = base_url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._lock = threading.Lock()
        self._line: Transport | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<{'closed ' * self._closed}connection to {self.where}>"

    def close(self) -> None:
        """End it, from any thread; who waits gets `NotRunning`. Twice is once."""
        with self._lock:
            self._closed = True
            line, self._line = self._line, None
        if line is not None:
            line.stop()

    def _open(self) -> "Transport":
        with self._lock:
            if self._closed:
                raise NotRunning("stopped")
            if self._line is None:
                line: Transport = self._make_line(self._url, self._headers, self.where)
                weakref.finalize(self, line.stop, wait=False)
                self._line = line
            return self._line

    # --- any loop

    async def ask(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> JsonValue:
        """One exchange; the answer's JSON.

        Raises:
            AgentRuntimeError: what the server says went wrong, as it was raised there.
            RemoteError: if it cannot be reached, or what it did cannot be known.
        """
        line = self._open()

        async def attempts() -> JsonValue:
            retrying = Retrying(self.retry_for)
            while True:
                try:
                    return await line.exchange(method, path, query, body)
                except Broken as broken:
                    if broken.sent and not repeatable:
                        raise
                    await retrying.pause(broken)

        try:
            return await line.run(attempts)
        except Broken as broken:
            raise self.given_up(broken) from broken

    async def post(
        self, path: str, make_body: Callable[[], bytes], turnstile: Hashable
    ) -> JsonValue:
        """As `ask`, repeatable; the body is made anew for each attempt.

        Those with the same turnstile pass one after another, in the order of the calls.

        Raises:
            Broken: if no attempt went through; `sent` if one may have arrived.
        """
        line = self._open()

        async def attempts() -> JsonValue:
            retrying, sent = Retrying(self.retry_for), False
            async with line.turnstile(turnstile):
                while True:
                    try:
                        return await line.exchange("POST", path, None, make_body())
                    except Broken as broken:
                        broken.sent = sent = sent or broken.sent
                        await retrying.pause(broken)

        return await line.run(attempts)

    def given_up(self, broken: Broken) -> RemoteError:
        """The error of an exchange that is not tried again."""
        if not broken.sent:
            return RemoteError(self.where, f"not reached: {broken}", retryable=True)
        problem = f"the connection broke: {broken}; it may or may not have happened"
        return RemoteError(self.where, problem)

    def follow(
        self, pump: Callable[["Pipe[T]"], Coroutine[Any, Any, None]]
    ) -> "Following[T]":
        """What `pump` puts into its pipe on the connection's loop, read from here."""
        return Following(self._open, pump)

    async def events(
        self, path: str, query: Callable[[], Mapping[str, str]], *, resumes: bool
    ) -> AsyncGenerator[tuple[str, JsonValue], None]:
        """The events of a stream, by kind; where it breaks it goes on, if it `resumes`.

        `query` is asked again for each attempt. Ends never by itself.

        Raises:
            AgentRuntimeError: what the server says ended it.
            RemoteError: if the stream broke for too long.
        """
        line = self._open()
        retrying = Retrying(self.retry_for)
        while True:
            try:
                async with aclosing(line.events(path, query())) as events:
                    async for event in events:
                        retrying.begin_anew()
                        yield event
            except Broken as broken:
                try:
                    if not resumes:
                        raise
                    await retrying.pause(broken)
                except Broken:
                    problem = f"the stream broke: {broken}"
                    raise RemoteError(self.where, problem, retryable=True) from broken


class Retrying:
    """Pauses between attempts, longer each time, until the time is over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.begin_anew()

    def begin_anew(self) -> None:
        """Something went through."""
        self._until: float | None = None
        self._pause = _FIRST_PAUSE

    async def pause(self, broken: Broken) -> None:
        """Wait before the next attempt.

        Raises:
            Broken: the given one, if there is no time for one.
        """
        now = asyncio.get_running_loop().time()
        self._until = now + self._seconds if self._until is None else self._until
        if now + self._pause > self._until:
            raise broken
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class Pipe(Generic[T]):
    """Numbered items from a pump to one reader, on the line's loop, bounded.

    Items stay until the reader asks for what comes after them, so a reader whose wait
    was cancelled loses nothing.
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
        """There will be no more; the reader gets the error after the last item."""
        self._end = error or _Ended()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def take(self, seen: int) -> list[T]:
        """What comes after the first `seen` items, waiting until there is something."""
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
    """The pump has come to its end."""


class Following(AsyncIterator[T]):
    """The reader's end of a pipe, on any loop; the pump ends when this object goes."""

    def __init__(
        self,
        open_line: Callable[[], Transport],
        pump: Callable[[Pipe[T]], Coroutine[Any, Any, None]],
    ) -> None:
        self._open = open_line
        self._pump = pump
        self._line: Transport | None = None
        self._pipe: Pipe[T] | None = None
        self._stop: Callable[[], object] = lambda: None
        self._items: deque[T] = deque()
        self._seen = 0

    def __aiter__(self) -> "Following[T]":
        return self

    async def __anext__(self) -> T:
        if not self._items:
            if self._line is None or self._pipe is None:
                self._line = self._open()
                self._pipe = await self._line.bridge.call(
                    partial(self._begin, self._line)
                )
            try:
                items = await self._line.run(partial(self._pipe.take, self._seen))
            except _Ended:
                raise StopAsyncIteration from None
            # Nothing is awaited from here on.
            self._seen += len(items)
            self._items.extend(items)
        return self._items.popleft()

    def _begin(self, line: Transport) -> Pipe[T]:
        pipe: Pipe[T] = Pipe()
        task = line.tasks.spawn(_pumped(self._pump, pipe), name="stream", awaited=True)
        self._stop = weakref.finalize(self, line.bridge.post, task.cancel)
        return pipe

    async def aclose(self) -> None:
        """End it now."""
        self._stop()


async def _pumped(
    pump: Callable[[Pipe[T]], Coroutine[Any, Any, None]], pipe: Pipe[T]
) -> None:
    error: BaseException | None = None
    try:
        await pump(pipe)
    except AgentRuntimeError as failure:
        error = failure
    except asyncio.CancelledError:
        error = NotRunning("stopped")
    except Exception as failure:
        error = failure
    pipe.end(error)
