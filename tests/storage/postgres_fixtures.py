"""Where the PostgreSQL storages of these tests are: a schema and the ways to it."""

import itertools
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage.postgres.driver import connect
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
    TurnRecord,
)
from tests.servers.postgres_server import PostgresServer
from tests.servers.tcp_faults import TcpFaults

A = ActorId("echo", "c1")
B = ActorId("echo", "c2")


class PostgresSchema:
    """An empty schema in a server, and a wire to it that can be made bad."""

    def __init__(self, server: PostgresServer, wire: TcpFaults) -> None:
        self.server = server
        self.wire = wire
        self.schema = f"t_{uuid.uuid4().hex}"
        self._ids = itertools.count(1)
        self._made: list[PostgresStateStorage] = []

    def make(self, url: str | None = None, **options: Any) -> PostgresStateStorage:
        """A storage there, not open; closed with the schema."""
        options.setdefault("schema", self.schema)
        storage = PostgresStateStorage(url or self.server.local_url, **options)
        self._made.append(storage)
        return storage

    @property
    def wire_url(self) -> str:
        """The way through the wire."""
        return self.server.url(port=self.wire.port)

    def host(self, name: str = "host") -> HostInfo:
        """A new one."""
        return HostInfo(f"{name}-{next(self._ids)}", name)

    async def open(
        self, url: str | None = None, name: str = "host", **options: Any
    ) -> PostgresStateStorage:
        """A storage, open for a new host."""
        storage = self.make(url, **options)
        await storage.open(self.host(name))
        return storage

    async def sql(self, *statements: str) -> Any:
        """Run statements as an administrator; the first value of the last one.

        `{s}` in them is the schema.
        """
        connection = await connect(dsn=self.server.local_url)
        try:
            await connection.execute("set default_transaction_read_only = off")
            value: Any = None
            for statement in statements:
                value = await connection.fetchval(statement.format(s=self.schema))
            return value
        finally:
            await connection.close()

    async def close(self) -> None:
        """Close all storages."""
        for storage in self._made:
            await storage.close()


@pytest.fixture
async def postgres(postgres_server: PostgresServer) -> AsyncGenerator[PostgresSchema]:
    """A schema of this test alone in the server of all tests."""
    with TcpFaults(("127.0.0.1", postgres_server.port)) as wire:
        schema = PostgresSchema(postgres_server, wire)
        yield schema
        await schema.close()


def accepted(epoch: int, position: int, body: bytes = b"{}") -> ActorChange:
    """A turn `m<position>` that starts at once."""
    turn = TurnRecord(position=position, message_id=f"m{position}", body=body)
    return ActorChange(epoch=epoch, accepted=(turn,), started=(position,))


def ended(epoch: int, position: int) -> ActorChange:
    """Its end, and the state that it leaves."""
    end = TurnEnd(
        position=position,
        status=RequestStatus.COMPLETED,
        result=b"1",
        ended_at=1.0,
        entries=b"[]",
    )
    return ActorChange(epoch=epoch, ended=(end,), set={"k": b"%d" % position})
