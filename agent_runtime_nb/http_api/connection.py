"""uvicorn's HTTP protocol with a deadline for request heads and fewer, larger writes.

uvicorn writes the head and the body of a response separately. Each write is a system
call, which hands the interpreter to another thread of the process, and a packet of its
own; so two writes within one iteration of the loop go out together.
"""

import asyncio
from asyncio import Handle, TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent_runtime_nb.http_api.guard import BODY_IS_HERE

HEAD_TIMEOUT = 10.0
"""Seconds in which the head of a request must have arrived (slow loris)."""


class ServerConnection(HttpToolsProtocol):
    """Closes a connection whose next request does not get its head through in time.

    Gives the app `abort` in the request's state: an orderly close would wait for a client
    that reads nothing.
    """

    _deadline: TimerHandle | None = None
    _in_head = False

    def connection_made(self, transport: Transport) -> None:
        """Start the deadline of the first head."""
        super().connection_made(transport)
        self.transport = PairedWrites(transport, self.loop)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; an incomplete head has a deadline."""
        super().data_received(data)
        if self._in_head:  # one that came as a whole needs no timer
            self._arm()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope.setdefault("state", {})["abort"] = self.transport.abort
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head of the request is complete."""
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete."""
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
    """A transport that holds one write back until the next one or the loop's next iteration.

    Never more than one: otherwise a writer would not notice the flow control.
    """

    def __init__(self, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held = b""
        self._sending: Handle | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it, together with what was held, or keep it."""
        if self._sending is not None:
            self._send(data)
        elif data:
            self._held = bytes(data)
            self._sending = self._loop.call_soon(self._send)

    def _send(self, data: bytes | bytearray | memoryview = b"") -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
            held, self._held = self._held, b""
            self._transport.write(held + data)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close it when everything was sent."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close it now; what was held is lost, too."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        self._transport.abort()
