"""One connection to a server of the HTTP API, for callers on any thread and any loop.

All network input and output runs on the loop of a daemon thread (`transport`), which
begins with the first use: a pool of connections belongs to one loop, and callers come
from many, some of which end without notice. A failed attempt is made again for
`retry_for` seconds, but only where arriving twice does no harm.
"""

import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from agent_runtime_nb._base.extras import load
from agent_runtime_nb.exceptions import InvalidRequest, NotRunning, RemoteError
from agent_runtime_nb.http_client.retry import Backoff, TransientError
from agent_runtime_nb.http_client.stream import StreamBuffer, StreamIterator
from agent_runtime_nb.runtime_abstractions import JsonValue

if TYPE_CHECKING:  # needs an extra; loaded with the first use
    from agent_runtime_nb.http_client.transport import HttpTransport

T = TypeVar("T")


class HttpConnection:
    """Sends requests and reads streams; see the head of this module.

    Args:
        base_url: where the API is, "http://127.0.0.1:8000".
        token: the server's; in no repr, log or error.
        retry_for: seconds in which a failed attempt is made again.

    Raises:
        InvalidRequest: if `base_url` is no http(s) URL.
    """

    def __init__(self, base_url: str, token: str | None, retry_for: float) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidRequest("base_url", f"must be an http URL, got {base_url!r}")
        # Without user and password, and without a query.
        host = url.netloc.rpartition("@")[2]
        self.server = f"{url.scheme}://{host}{url.path}".rstrip("/")
        self.retry_for = retry_for
        self._make_transport = load(
            "agent_runtime_nb.http_client.transport", "http"
        ).HttpTransport
        self._url = base_url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._lock = threading.Lock()
        self._transport: HttpTransport | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<{'closed ' * self._closed}connection to {self.server}>"

    def close(self) -> None:
        """End it, from any thread; callers that wait get `NotRunning`. Idempotent."""
        with self._lock:
            self._closed = True
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.stop()

    def _open(self) -> "HttpTransport":
        with self._lock:
            if self._closed:
                raise NotRunning("stopped")
            if self._transport is None:
                transport: HttpTransport = self._make_transport(
                    self._url, self._headers, self.server
                )
                weakref.finalize(self, transport.stop, wait=False)
                self._transport = transport
            return self._transport

    # --- for any loop

    async def request(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> JsonValue:
        """Send a request; returns the JSON of its response.

        Args:
            method: of HTTP.
            path: below the base URL.
            repeatable: whether it may be sent again if it may have arrived.
            query: of the URL.
            body: JSON.

        Raises:
            AgentRuntimeError: the error that the server reports, as it was raised there.
            RemoteError: if the server cannot be reached, or the outcome is not known.
        """
        transport = self._open()

        async def attempts() -> JsonValue:
            backoff = Backoff(self.retry_for)
            while True:
                try:
                    return await transport.exchange(method, path, query, body)
                except TransientError as error:
                    if error.sent and not repeatable:
                        raise
                    await backoff.pause(error)

        try:
            return await transport.run(attempts)
        except TransientError as error:
            raise self.remote_error(error) from error

    async def post(
        self, path: str, make_body: Callable[[], bytes], order_key: Hashable
    ) -> JsonValue:
        """As a repeatable `request`; the body is made anew for each attempt.

        Calls with the same `order_key` are sent one after another, in the order of the
        calls.

        Raises:
            TransientError: if no attempt succeeded; `sent` if one may have arrived.
        """
        transport = self._open()

        async def attempts() -> JsonValue:
            backoff, sent = Backoff(self.retry_for), False
            async with transport.lock(order_key):
                while True:
                    try:
                        return await transport.exchange("POST", path, None, make_body())
                    except TransientError as error:
                        error.sent = sent = sent or error.sent
                        await backoff.pause(error)

        return await transport.run(attempts)

    def remote_error(self, error: TransientError) -> RemoteError:
        """The error of a request that is not tried again."""
        if not error.sent:
            return RemoteError(self.server, f"not reached: {error}", retryable=True)
        problem = f"the connection broke: {error}; it may or may not have happened"
        return RemoteError(self.server, problem)

    def stream(
        self, producer: Callable[["StreamBuffer[T]"], Coroutine[Any, Any, None]]
    ) -> "StreamIterator[T]":
        """The items of a producer, which runs on the transport's loop, for the caller's."""
        return StreamIterator(self._open, producer)

    async def events(
        self, path: str, query: Callable[[], Mapping[str, str]], *, resumes: bool
    ) -> AsyncGenerator[tuple[str, JsonValue], None]:
        """The events of a stream as (kind, data); on the transport's loop.

        Never ends without an error. If it breaks and `resumes` is set, it is requested
        again, with the query that `query` returns then.

        Raises:
            AgentRuntimeError: the error that the server ended it with.
            RemoteError: if it broke and was not resumed within `retry_for`.
        """
        transport = self._open()
        backoff = Backoff(self.retry_for)
        while True:
            try:
                async with aclosing(transport.events(path, query())) as events:
                    async for event in events:
                        backoff.reset()
                        yield event
            except TransientError as error:
                try:
                    if not resumes:
                        raise
                    await backoff.pause(error)
                except TransientError:
                    problem = f"the stream broke: {error}"
                    raise RemoteError(self.server, problem, retryable=True) from error
