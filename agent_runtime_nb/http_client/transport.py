"""The thread that talks to a server: a loop, and on it the pool of connections."""

import asyncio
import ipaddress
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Mapping
from typing import Any, TypeVar, cast

import httpx2
import orjson

from agent_runtime_nb._base.loop_bridge import LoopBridge
from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.http_client.connection import Broken
from agent_runtime_nb.http_client.protocol import PROBLEM, error_of
from agent_runtime_nb.runtime_abstractions import JsonValue

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 60.0
SILENCE = 45.0
"""Seconds without a byte after which a stream is dead; the server sends comments."""

_STOPPING = PROBLEM + "stopping"
_PASSING = frozenset({_STOPPING, PROBLEM + "too-many-streams"})
"""What a server says that will be there again."""

_NOT_OURS = frozenset({502, 503, 504})
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class HttpTransport:
    """See `Line` for its methods.

    Args:
        base_url: where the API is.
        headers: sent with every request.
        where: the server, as people know it.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str], where: str) -> None:
        url = httpx2.URL(base_url)
        self._where = where
        self.tasks = TaskOwner(f"the connection to {url.host}")
        self._turnstiles: weakref.WeakValueDictionary[Hashable, asyncio.Lock] = (
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
            # Streams and waits hold one each, without a bound. Idle ones are looked at
            # for every request, so few are kept.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16),
            trust_env=not _is_near(url.host),
        ) as self.http:
            self._ready.set()
            await self._over.wait()
            await self.tasks.close()

    def stop(self, *, wait: bool = True) -> None:
        """End the thread; from any thread."""
        self.bridge.post(self._over.set)
        if wait and threading.current_thread() is not self._thread:
            self._thread.join(5.0)

    def turnstile(self, name: Hashable) -> asyncio.Lock:
        """A lock that lives as long as somebody holds it or waits for it."""
        return self._turnstiles.setdefault(name, asyncio.Lock())

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run on the line's loop; ends it if the caller stops waiting."""
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
        """See `Line.exchange`."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = await self.http.request(
                method, path.lstrip("/"), params=query, content=body, headers=headers
            )
        except httpx2.RequestError as error:
            raise _broken(error) from error
        return self._checked(answer)

    async def events(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str, JsonValue], None]:
        """See `Line.events`."""
        # A proxy in front of a notebook server streams for exactly this header only.
        headers = {"Accept": "text/event-stream"}
        timeout = httpx2.Timeout(CONNECT_TIMEOUT, read=SILENCE)
        try:
            async with self.http.stream(
                "GET", path.lstrip("/"), params=query, headers=headers, timeout=timeout
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                    self._checked(answer)
                async for event in httpx2.EventSource(answer):
                    data = orjson.loads(event.data)
                    if event.event == "error":
                        raise self._error(data)
                    yield event.event, data
        except httpx2.RequestError as error:
            raise _broken(error) from error
        raise Broken("it ended early", sent=True)

    def _checked(self, answer: httpx2.Response) -> JsonValue:
        try:
            said = orjson.loads(answer.content)
        except ValueError:
            if answer.status_code in _NOT_OURS:
                # Of a server with too many connections, which has not looked at it, or
                # of a proxy, which may have lost the answer.
                code = answer.status_code
                raise Broken(f"HTTP {code}", sent=code != 503) from None
            raise self._error(None) from None
        if answer.is_success:
            return said
        raise self._error(said)

    def _error(self, problem: JsonValue) -> Exception:
        if isinstance(problem, dict):
            said = cast("dict[str, Any]", problem)
            if said.get("type") in _PASSING:
                # A server that stops may have heard what it no longer answers.
                return Broken(said.get("detail"), sent=said["type"] == _STOPPING)
        return error_of(problem, self._where)  # pyright: ignore[reportUnknownArgumentType] - JSON


def _is_near(host: str) -> bool:
    """Whether it is this machine, which no proxy of the environment is for."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _broken(error: httpx2.RequestError) -> Broken:
    return Broken(error, sent=not isinstance(error, _NOT_SENT))
