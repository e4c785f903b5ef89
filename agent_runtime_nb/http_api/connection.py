"""A connection to the server: uvicorn's, with a deadline and fewer, larger writes.

uvicorn writes the head of an answer and its body apart. Each write is a system call, at
which another thread of the process takes the interpreter over, and a packet of its own;
so what is written within one turn of the loop goes out in pairs.
"""

import asyncio
from asyncio import Handle, TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent_runtime_nb.http_api.guard import BODY_IS_HERE

HEAD_TIMEOUT = 10.0
"""Seconds in which the head of a request must have arrived (slow loris)."""


class ServerConnection(HttpToolsProtocol):
    """Closes a connection whose next request does not get its head through in time.

    Gives the app `abort` in the request's state: closing a connection in order would
    wait for a reader that does not read.
    """

    _deadline: TimerHandle | None = None
    _in_head = False

    def connection_made(self, transport: Transport) -> None:
        """Begin; the first head has a deadline."""
        super().connection_made(transport)
        self.transport = PairedWrites(transport, self.loop)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is left of a head has a deadline."""
        super().data_received(data)
        if self._in_head:  # one that came as a whole needs no timer
            self._arm()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope.setdefault("state", {})["abort"] = self.transport.abort
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is here."""
        super().on_message_complete()
        self.scope.setdefault("state", {})[BODY_IS_HERE] = True

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class PairedWrites(Transport):
    """A transport that keeps a write for the next one, until the loop's next turn.

    Never more than one: whoever writes on and on must come to feel the flow control.
    """

    def __init__(self, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._kept = b""
        self._sending: Handle | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it, together with what was kept, or keep it."""
        if self._sending is not None:
            self._send(data)
        elif data:
            self._kept = bytes(data)
            self._sending = self._loop.call_soon(self._send)

    def _send(self, data: bytes | bytearray | memoryview = b"") -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
            kept, self._kept = self._kept, b""
            self._transport.write(kept + data)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close it when everything was sent."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close it now; what was kept is lost, too."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        self._transport.abort()
