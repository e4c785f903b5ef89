"""The connections of one host to one server, on one event loop.

One connection writes, a few read. No state of a session is used: no named statements,
no settings beyond a transaction, so a pooler may give every transaction another server
connection. A connection about which there is any doubt is thrown away.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from agent_runtime_nb.exceptions import AgentRuntimeError, StorageClosed
from agent_runtime_nb.storage.postgres.driver import (
    Connection,
    DataError,
    InterfaceError,
    Pool,
    PostgresError,
    connect,
    make_pool,
)
from agent_runtime_nb.storage.postgres.errors import (
    CommitUnknown,
    is_lost,
    may_pass_at_once,
)
from agent_runtime_nb.storage.postgres.statements import Statements
from agent_runtime_nb.storage.postgres.target import Target

T = TypeVar("T")

Work = Callable[[Connection], Awaitable[T]]

_ATTEMPTS = 6  # of a transaction that others keep in the way of


class _Dead(Exception):
    """A connection that had been made had ended."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Server:
    """Made anywhere, used on one loop only.

    Args:
        target: where.
        statements: for the tables there.
        readers: how many connections read, at most.
        connect_timeout: seconds until a connection that cannot be made is given up.
        timeout: seconds that a transaction or a read may take.
    """

    def __init__(
        self,
        target: Target,
        statements: Statements,
        *,
        readers: int,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        self._target = target
        self._statements = statements
        self._readers = readers
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._writer: Connection | None = None
        self._pool: Pool | None = None

    async def open(self) -> None:
        """Make everything ready; nothing is connected yet."""
        self._pool = await make_pool(size=self._readers, **self._options())

    async def connect(self) -> Connection:
        """A new connection; the caller's."""
        return await connect(**self._options())

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction and commit it.

        It is run again if the connection turned out to be dead, or if others were in
        its way, so it must begin from nothing each time.

        Raises:
            CommitUnknown: if the commit was sent and not answered.
            Exception: any other; nothing has happened then.
        """
        for _ in range(_ATTEMPTS - 1):
            fresh = self._writer is None or self._writer.is_closed()
            try:
                return await self._transaction(work)
            except Exception as error:
                stale = not fresh and is_lost(error)
                if not stale and not may_pass_at_once(error):
                    raise
        return await self._transaction(work)

    async def _transaction(self, work: Work[T]) -> T:
        connection = self._writer
        if connection is None or connection.is_closed():
            connection = self._writer = await self.connect()
        committing = False
        try:
            async with asyncio.timeout(self._timeout):
                await connection.execute(self._statements.begin)
                found = await work(connection)
                committing = True
                await connection.execute("commit")
        except BaseException as error:
            lost = not _is_answer(error)
            if lost:
                connection.terminate()
            elif not committing:
                await self._roll_back(connection)
            if committing and lost:
                raise CommitUnknown from error
            raise
        return found

    async def _roll_back(self, connection: Connection) -> None:
        try:
            await connection.execute("rollback", timeout=self._connect_timeout)
        except Exception:  # what is raised is why it is rolled back
            connection.terminate()

    async def read(self, statement: str, *arguments: object) -> Sequence[Any]:
        """The rows of one statement, which sees one moment."""
        for _ in range(self._readers):  # each connection may turn out to be dead
            try:
                return await self._read(statement, arguments)
            except _Dead:
                continue
        try:
            return await self._read(statement, arguments)
        except _Dead as dead:
            raise dead.error from None

    async def _read(
        self, statement: str, arguments: tuple[object, ...]
    ) -> Sequence[Any]:
        if self._pool is None:
            raise StorageClosed(self._target.location)
        async with asyncio.timeout(self._timeout), self._pool.acquire() as connection:
            try:
                return await connection.fetch(statement, *arguments)
            except BaseException as error:
                if not _is_answer(error):
                    with contextlib.suppress(InterfaceError):  # the pool was faster
                        connection.terminate()
                if isinstance(error, Exception) and is_lost(error):
                    raise _Dead(error) from error
                raise

    async def close(self) -> None:
        """Disconnect; what is under way fails."""
        writer, pool = self._writer, self._pool
        self._writer = self._pool = None
        if writer is not None and not writer.is_closed():
            try:
                await writer.close(timeout=1.0)
            except Exception:
                writer.terminate()
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), 1.0)
            except Exception:
                pool.terminate()

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "dsn": self._target.url,
            "timeout": self._connect_timeout,
            "statement_cache_size": 0,
        }
        if "application_name=" not in self._target.url:
            options["server_settings"] = {"application_name": "agent_runtime_nb"}
        return options


def _is_answer(error: BaseException) -> bool:
    """Whether the server said so, or we did, on a connection that is fine."""
    if isinstance(error, PostgresError | DataError):
        return not is_lost(error)
    return isinstance(error, AgentRuntimeError)
