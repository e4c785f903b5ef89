"""A host's life: a row whose time, by the server's clock, is renewed while it lives."""

from collections.abc import AsyncGenerator

from agent_runtime_nb.exceptions import Unavailable
from agent_runtime_nb.storage.postgres.driver import Connection
from agent_runtime_nb.storage.postgres.server import Server
from agent_runtime_nb.storage.postgres.statements import Statements
from agent_runtime_nb.storage.postgres.target import Target
from agent_runtime_nb.storage_abstractions import HostInfo


async def add_host(
    connection: Connection,
    statements: Statements,
    target: Target,
    host: HostInfo,
    ttl: float,
) -> None:
    """Make a host alive for `ttl` seconds that is not alive yet.

    Raises:
        Unavailable: if a living host has this id.
    """
    await connection.execute(statements.forget_hosts)
    added = await connection.fetchval(
        statements.add_host, host.host_id, host.name, float(ttl)
    )
    if added is None:
        raise Unavailable(target.location, f"it is open for {host} already")


class PostgresHostLease:
    """Renews the row of a host, on a connection of its own.

    All of it runs on the loop of a `LeaseRenewer`.
    """

    def __init__(
        self, server: Server, statements: Statements, host: HostInfo, ttl: float
    ) -> None:
        self._server = server
        self._statements = statements
        self._host = host
        self._ttl = float(ttl)
        self._connections: AsyncGenerator[Connection] | None = None

    async def renew(self) -> None:
        """The host is alive for another `ttl` seconds."""
        await self._run(
            self._statements.renew_host, self._host.host_id, self._host.name, self._ttl
        )

    async def release(self) -> None:
        """The host is dead; disconnect."""
        await self._run(self._statements.end_host, self._host.host_id)
        await (await self._connection()).close(timeout=1.0)

    async def _run(self, statement: str, *arguments: object) -> None:
        connection = await self._connection()
        try:
            await connection.execute(statement, *arguments)
        except BaseException:
            connection.terminate()
            raise

    async def _connection(self) -> Connection:
        if self._connections is None:
            self._connections = self._connect()
        try:
            return await anext(self._connections)
        except BaseException:  # an exception ends a generator
            self._connections = None
            raise

    async def _connect(self) -> AsyncGenerator[Connection]:
        """The connection, each time it is asked for; another one if it was closed.

        A generator, because the loop ends it when it ends itself, also where nobody
        calls `release`.
        """
        connection: Connection | None = None
        try:
            while True:
                if connection is None or connection.is_closed():
                    connection = await self._server.connect()
                yield connection
        finally:
            if connection is not None:
                connection.terminate()
