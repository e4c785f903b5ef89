"""A proxy between a client and a real server, whose wire can be made bad.

It listens on a free loopback port, on a thread with a loop of its own, and passes bytes
to a host and port or to a unix socket. Every fault is one of the wire, not of a fake.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future as ThreadFuture
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_CHUNK = 65536


class TcpFaults:
    """Forwards connections; a context manager that is listening from `with` on.

    Attributes:
        port: where it listens, on 127.0.0.1; the same as long as it lives.
        connections: how many connections were made through it, refused ones included.

    Args:
        target: (host, port), or the path of a unix socket.
    """

    def __init__(self, target: tuple[str, int] | Path) -> None:
        self.port = 0
        self.connections = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._wires: set[_Wire] = set()
        self._silent = False
        self._delay = 0.0
        self._cut: _Cut | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._shut())
        self._do(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # --- the faults; each holds for open connections too, until `heal`

    def heal(self) -> None:
        """Pass everything on; what a silent wire has swallowed stays lost."""
        self._do(self._heal())

    def down(self) -> None:
        """Cut every connection and refuse new ones."""
        self._do(self._shut())

    def black_hole(self) -> None:
        """Accept connections and swallow what is sent in both directions."""
        self._do(self._change(silent=True))

    def slow(self, seconds: float) -> None:
        """Hold every answer of the server back for so long."""
        self._do(self._change(delay=seconds))

    def hold(self) -> None:
        """Hold back what the connections of now send, until `heal`; new ones pass.

        It is passed on then even if its sender has hung up, as a slow network does.
        """
        self._do(self._hold())

    def cut_after_answer(self, containing: bytes = b"") -> threading.Event:
        """Cut once, after the server has answered and before the client sees it.

        Args:
            containing: only after a request that has these bytes in one chunk.

        Returns:
            Set when it has happened.
        """
        cut = _Cut(containing)
        self._do(self._change(cut=cut))
        return cut.done

    def cut_all(self) -> None:
        """Cut every connection now; new ones are welcome."""
        self._do(self._cut_all())

    # --- on the loop of the thread

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        done: ThreadFuture[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        done.result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut_all()

    async def _cut_all(self) -> None:
        wires = list(self._wires)
        for wire in wires:
            wire.cut()
        for wire in wires:
            await wire.ended.wait()

    async def _hold(self) -> None:
        for wire in self._wires:
            wire.passing.clear()

    async def _heal(self) -> None:
        for wire in self._wires:
            wire.passing.set()
        await self._change()
        await self._listen()

    async def _change(
        self, *, silent: bool = False, delay: float = 0.0, cut: "_Cut | None" = None
    ) -> None:
        self._silent, self._delay, self._cut = silent, delay, cut

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        try:
            if isinstance(self._target, Path):
                server = await asyncio.open_unix_connection(str(self._target))
            else:
                server = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        wire = _Wire(writer, server[1])
        self._wires.add(wire)
        try:
            await asyncio.gather(
                self._requests(wire, reader), self._answers(wire, server[0])
            )
        finally:
            wire.cut()
            self._wires.discard(wire)
            wire.ended.set()

    async def _requests(self, wire: "_Wire", client: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await client.read(_CHUNK):
                if self._silent:
                    continue
                await wire.passing.wait()
                cut = self._cut
                if cut is not None and cut.containing in data:
                    wire.doomed = cut
                wire.server.write(data)
                await wire.server.drain()
        wire.cut()

    async def _answers(self, wire: "_Wire", server: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await server.read(_CHUNK):
                if wire.doomed is not None and not wire.doomed.done.is_set():
                    self._cut = None
                    wire.cut()
                    wire.doomed.done.set()
                    return
                if self._delay:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(wire.ended.wait(), self._delay)
                if not self._silent:
                    wire.client.write(data)
                    await wire.client.drain()
        wire.cut()


class _Cut:
    def __init__(self, containing: bytes) -> None:
        self.containing = containing
        self.done = threading.Event()


class _Wire:
    """One connection: the writers to both ends."""

    def __init__(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self.client = client
        self.server = server
        self.doomed: _Cut | None = None
        self.passing = asyncio.Event()
        self.passing.set()
        self.ended = asyncio.Event()

    def cut(self) -> None:
        self.passing.set()
        self.client.transport.abort()
        self.server.transport.abort()
