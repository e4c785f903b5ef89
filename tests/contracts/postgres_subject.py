"""PostgreSQL under the storage contract: a real server behind a wire that can break."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest

from agent_runtime_nb.storage.postgres.driver import Connection, connect
from agent_runtime_nb.storage.postgres.errors import MAX_VALUE
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.storage_kit.subject import (
    FaultKind,
    Recipe,
    Skipped,
    StorageUnderTest,
)
from tests.servers.postgres_server import PostgresServer
from tests.servers.tcp_faults import TcpFaults

_READ_ONLY = "alter database postgres set default_transaction_read_only = "


class PostgresSubject(StorageUnderTest):
    refuses_larger = True
    largest_value = MAX_VALUE
    skips = dict.fromkeys(
        ("a_full_storage_can_be_read_and_goes_on_later",),
        "it takes a disk of its own: see tests/storage/test_postgres_faults.py",
    )

    def __init__(self, server: PostgresServer, wire: TcpFaults) -> None:
        self.schema = f"t_{uuid.uuid4().hex}"
        self.secrets = (server.password,)
        self._server = server
        self._wire = wire

    def make(self) -> IActorStateStorage:
        return self._at(self._wire.port)

    def _at(self, port: int) -> IActorStateStorage:
        return postgres_storage(self._server.url(port=port), self.schema)

    async def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, PostgresStateStorage)
        assert storage._session is not None
        renewer = storage._session.renewer
        renewer.abandon()
        await asyncio.wrap_future(renewer._ended)
        host_id = storage._session.host.host_id
        change = "host set expires_at = '-infinity' where id = $1"
        await self._run(self._update(change), host_id)

    def recipe(self) -> Recipe:
        arguments = (self._server.url(), self.schema)
        return Recipe(f"{__name__}:postgres_storage", arguments)

    def make_with_clock(self, ahead: float) -> IActorStateStorage:
        return self.make()  # the only clock is the server's

    def make_unreachable(self) -> IActorStateStorage:
        return self._at(1)

    @asynccontextmanager
    async def fault(self, kind: FaultKind) -> AsyncGenerator[None]:
        try:
            await self._break(kind)
            yield
        finally:
            await self._mend(kind)

    async def _break(self, kind: FaultKind) -> None:
        match kind:
            case "down":
                self._wire.down()
            case "slow":
                self._wire.slow(1.0)
            case "cut":
                self._wire.cut_after_answer(containing=b"commit")
            case "read-only":
                await self._run(_READ_ONLY + "on")
                self._wire.cut_all()  # it holds for new connections
            case "newer-schema":
                await self._run(self._update("schema_version set version = 1000"))
            case "corrupt":
                await self._run(self._update("schema_version set version = -1"))
            case _:
                raise Skipped(f"{kind!r} is nothing that happens to this server")

    async def _mend(self, kind: FaultKind) -> None:
        self._wire.heal()
        if kind == "read-only":
            await self._run(_READ_ONLY + "off")
            self._wire.cut_all()
        if kind in ("newer-schema", "corrupt"):
            await self._run(self._update("schema_version set version = 1"))

    def _update(self, change: str) -> str:
        return f"update {self.schema}.{change}"

    async def _run(self, statement: str, *arguments: object) -> None:
        connection: Connection = await connect(dsn=self._server.local_url)
        await connection.execute("set default_transaction_read_only = off")
        await connection.execute(statement, *arguments)
        await connection.close()


def postgres_storage(url: str, schema: str) -> IActorStateStorage:
    """The storage of a `PostgresSubject`, made here or by another process."""
    return PostgresStateStorage(url, schema=schema, timeout=6.0, lease=9.0)


@pytest.fixture
def postgres_subject(postgres_server: PostgresServer) -> Iterator[PostgresSubject]:
    """A schema of its own in the server of all tests."""
    with TcpFaults(("127.0.0.1", postgres_server.port)) as wire:
        yield PostgresSubject(postgres_server, wire)
