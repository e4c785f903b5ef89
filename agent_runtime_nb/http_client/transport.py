"""The thread that talks to a server: a loop, and on it the pool of connections."""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Mapping
from typing import Any, TypeVar, cast

import httpx2
import orjson

from agent_runtime_nb._base.loop_bridge import LoopBridge
from agent_runtime_nb._base.loopback import is_loopback
from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.http_client.protocol import PROBLEM, error_of
from agent_runtime_nb.http_client.retry import TransientError
from agent_runtime_nb.runtime_abstractions import JsonValue

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 60.0
SILENCE = 45.0
"""Seconds without a byte after which a stream is dead; the server sends comments."""

_STOPPING = PROBLEM + "stopping"
_TRANSIENT = frozenset({_STOPPING, PROBLEM + "too-many-streams"})
"""Problems of a server that accepts requests again later."""

_PROXY_STATUSES = frozenset({502, 503, 504})
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class HttpTransport:
    """A daemon thread with a loop and, on that loop, a pool of connections.

    `run`, `stop` and `bridge` are for any thread; `lock`, `exchange`, `events` and `tasks`
    for its loop.

    Args:
        base_url: where the API is.
        headers: sent with every request.
        server: its URL without secrets, for error messages.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str], server: str) -> None:
        url = httpx2.URL(base_url)
        self._server = server
        self.tasks = TaskOwner(f"the connection to {url.host}")
        self._locks: weakref.WeakValueDictionary[Hashable, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(url, headers), name="http-client", daemon=True
        )
        self._thread.start()
        self._ready.wait()

    def _serve(self, url: httpx2.URL, headers: Mapping[str, str]) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._main(url, headers))

    async def _main(self, url: httpx2.URL, headers: Mapping[str, str]) -> None:
        self._over = asyncio.Event()
        self.bridge = LoopBridge(asyncio.get_running_loop())
        async with httpx2.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=httpx2.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
            # Each stream and each wait holds one, so there is no bound. Every request
            # checks the idle ones, so few are kept.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16),
            trust_env=not is_loopback(url.host),  # no proxy is for this machine
        ) as self.http:
            self._ready.set()
            await self._over.wait()
            await self.tasks.close()

    def stop(self, *, wait: bool = True) -> None:
        """End the thread; from any thread."""
        self.bridge.post(self._over.set)
        if wait and threading.current_thread() is not self._thread:
            self._thread.join(5.0)

    def lock(self, key: Hashable) -> asyncio.Lock:
        """A lock that lives as long as somebody holds it or waits for it."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run on the transport's loop, from any loop; cancelled together with the caller."""
        begun: list[asyncio.Task[T]] = []

        def begin() -> asyncio.Task[T]:
            begun.append(self.tasks.spawn(work(), name="exchange", awaited=True))
            return begun[0]

        try:
            return await self.bridge.call(begin)
        except asyncio.CancelledError:
            self.bridge.post(lambda: [task.cancel() for task in begun])
            raise

    # --- on the loop

    async def exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
    ) -> JsonValue:
        """One attempt of a request; returns the JSON of the response.

        Raises:
            TransientError: if the attempt may be made again.
            AgentRuntimeError: the error that the server reports.
        """
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            response = await self.http.request(
                method, path.lstrip("/"), params=query, content=body, headers=headers
            )
        except httpx2.RequestError as error:
            raise _transient(error) from error
        return self._checked(response)

    async def events(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str, JsonValue], None]:
        """The events of one connection as (kind, data); never ends without an error.

        Raises:
            TransientError: if the connection broke.
            AgentRuntimeError: the error that the server reports.
        """
        # A proxy in front of a notebook server streams for exactly this header only.
        headers = {"Accept": "text/event-stream"}
        timeout = httpx2.Timeout(CONNECT_TIMEOUT, read=SILENCE)
        try:
            async with self.http.stream(
                "GET", path.lstrip("/"), params=query, headers=headers, timeout=timeout
            ) as response:
                if not response.is_success:
                    await response.aread()
                    self._checked(response)
                async for event in httpx2.EventSource(response):
                    data = orjson.loads(event.data)
                    if event.event == "error":
                        raise self._error(data)
                    yield event.event, data
        except httpx2.RequestError as error:
            raise _transient(error) from error
        raise TransientError("it ended early", sent=True)

    def _checked(self, response: httpx2.Response) -> JsonValue:
        try:
            body = orjson.loads(response.content)
        except ValueError:
            if response.status_code in _PROXY_STATUSES:
                # 503: a server with too many connections has not read it. The others: a
                # proxy may have lost the response.
                code = response.status_code
                raise TransientError(f"HTTP {code}", sent=code != 503) from None
            raise self._error(None) from None
        if response.is_success:
            return body
        raise self._error(body)

    def _error(self, problem: JsonValue) -> Exception:
        if isinstance(problem, dict):
            members = cast("dict[str, Any]", problem)
            if members.get("type") in _TRANSIENT:
                # A server that stops may have read a request that it no longer answers.
                return TransientError(
                    members.get("detail"), sent=members["type"] == _STOPPING
                )
        return error_of(problem, self._server)  # pyright: ignore[reportUnknownArgumentType] - JSON


def _transient(error: httpx2.RequestError) -> TransientError:
    return TransientError(error, sent=not isinstance(error, _NOT_SENT))
