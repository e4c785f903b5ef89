"""A small transaction pooler: as PgBouncer's transaction mode, but mercilessly so.

Every transaction of a client goes to another server connection than the one before,
so whatever a client leaves in a session is not there any more when it looks for it.
"""

import asyncio
import struct
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

_STARTUP, _SSL = 196608, 80877103
_IDLE = b"I"


class _Connection(NamedTuple):
    reader: StreamReader
    writer: StreamWriter


class TransactionPooler:
    """Listens on a loopback port; an async context manager.

    Attributes:
        port: where it listens.
        transactions: how many it has passed on.

    Args:
        server: the socket of a server that asks `postgres` for no password.
        connections: how many server connections there are.
    """

    def __init__(self, server: Path, connections: int = 6) -> None:
        self.port = 0
        self.transactions = 0
        self._server = server
        self._count = connections
        self._pool: asyncio.Queue[_Connection] = asyncio.Queue()
        self._greeting = b""
        self._listener: asyncio.Server | None = None
        self._all: list[StreamWriter] = []

    async def __aenter__(self) -> Self:
        for _ in range(self._count):
            self._pool.put_nowait(await self._connect())
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._listener is not None
        self._listener.close()
        for writer in self._all:
            writer.transport.abort()

    async def _connect(self) -> _Connection:
        """A server connection that is ready; keeps what the server told about itself."""
        reader, writer = await asyncio.open_unix_connection(str(self._server))
        self._all.append(writer)
        options = b"user\0postgres\0database\0postgres\0\0"
        writer.write(struct.pack("!ii", len(options) + 8, _STARTUP) + options)
        told = b""
        while not (message := await _message(reader)).startswith(b"Z"):
            if message.startswith(b"E"):
                raise ConnectionError(message.decode(errors="replace"))
            if message.startswith((b"S", b"K")):
                told += message
        self._greeting = b"R" + struct.pack("!ii", 8, 0) + told + message
        return _Connection(reader, writer)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._all.append(writer)
        try:
            if await _greeted(reader, writer):
                writer.write(self._greeting)
                await _Client(self, _Connection(reader, writer)).run()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def take(self) -> _Connection:
        """The server connection that was not used for the longest time."""
        self.transactions += 1
        return await self._pool.get()

    def give(self, server: _Connection) -> None:
        """Its transaction has ended."""
        self._pool.put_nowait(server)

    async def replace(self, server: _Connection) -> None:
        """A client left in the middle of a transaction."""
        server.writer.close()
        self._pool.put_nowait(await self._connect())


class _Client:
    """One client; `server` is there while it is in a transaction."""

    def __init__(self, pooler: TransactionPooler, client: _Connection) -> None:
        self._pooler = pooler
        self._client = client
        self._server: _Connection | None = None

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                while not (message := await self._next()).startswith((b"X", b"\0")):
                    if self._server is None:
                        self._server = await self._pooler.take()
                        tasks.create_task(self._answer(self._server))
                    self._server.writer.write(message)
                if self._server is not None:
                    await self._leave()
        finally:
            self._client.writer.close()

    async def _next(self) -> bytes:
        try:
            return await _message(self._client.reader)
        except (OSError, asyncio.IncompleteReadError):
            return b"\0"  # it is gone

    async def _leave(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await self._pooler.replace(server)

    async def _answer(self, server: _Connection) -> None:
        while True:
            try:
                message = await _message(server.reader)
            except (OSError, asyncio.IncompleteReadError):
                return
            if message[:1] == b"Z" and message[5:6] == _IDLE:
                self._server = None
                self._pooler.give(server)
                self._client.writer.write(message)
                return
            self._client.writer.write(message)


async def _greeted(reader: StreamReader, writer: StreamWriter) -> bool:
    """Read what a client begins with; whether it wants to talk."""
    while True:
        (size,) = struct.unpack("!i", await reader.readexactly(4))
        rest = await reader.readexactly(size - 4)
        (code,) = struct.unpack("!i", rest[:4])
        if code != _SSL:
            return code == _STARTUP
        writer.write(b"N")


async def _message(reader: StreamReader) -> bytes:
    head = await reader.readexactly(5)
    (size,) = struct.unpack("!i", head[1:])
    return head + await reader.readexactly(size - 4)
