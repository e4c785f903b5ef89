"""The one module that imports asyncpg, which is an extra and says little about its types."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from agent_runtime_nb._base.extras import load

_asyncpg: Any = load("asyncpg", "postgres")

PostgresError: type[Exception] = _asyncpg.PostgresError
"""What the server says."""
InterfaceError: type[Exception] = _asyncpg.InterfaceError
"""What asyncpg itself says: mostly that the connection is gone."""
DataError: type[Exception] = _asyncpg.DataError
"""An argument that does not fit its parameter; an `InterfaceError`."""


class Connection(Protocol):
    """A connection to a server, of one loop."""

    async def execute(
        self, query: str, *args: object, timeout: float | None = None
    ) -> str:
        """Run a statement; without arguments also several."""
        ...

    async def fetch(self, query: str, *args: object) -> Sequence[Any]:
        """The rows of a statement."""
        ...

    async def fetchval(self, query: str, *args: object) -> Any:
        """The first column of the first row; None if there is no row."""
        ...

    async def close(self, *, timeout: float | None = None) -> None:
        """Say goodbye to the server."""
        ...

    def terminate(self) -> None:
        """Close at once."""
        ...

    def is_closed(self) -> bool:
        """Whether nothing can be asked any more."""
        ...


class Pool(Protocol):
    """Connections that are made when they are needed, and again when they died."""

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """One of them, for a while."""
        ...

    async def close(self) -> None:
        """Close all, when nobody uses them any more."""
        ...

    def terminate(self) -> None:
        """Close all at once."""
        ...


async def connect(**options: Any) -> Connection:
    """A new connection."""
    return await _asyncpg.connect(**options)


async def make_pool(*, size: int, **options: Any) -> Pool:
    """A pool without any connection yet; nothing of one user is left to the next."""
    return await _asyncpg.create_pool(
        min_size=0, max_size=size, reset=_leave, **options
    )


async def _leave(_: object) -> None:
    """No state of a session is used, so there is none to be reset."""
