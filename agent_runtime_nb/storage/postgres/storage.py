"""`PostgresStateStorage`; the map of this package is at its root."""

import os
from asyncio import Future
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from agent_runtime_nb._base.tasks import failed
from agent_runtime_nb.exceptions import StorageClosed, TooLarge, Unavailable
from agent_runtime_nb.runtime_abstractions import ActorId, Encoded, Page
from agent_runtime_nb.storage.postgres.errors import MAX_VALUE
from agent_runtime_nb.storage.postgres.group import PostgresStep, size_of
from agent_runtime_nb.storage.postgres.plan import Plan
from agent_runtime_nb.storage.postgres.reads import Reads
from agent_runtime_nb.storage.postgres.server import Server
from agent_runtime_nb.storage.postgres.session import Session
from agent_runtime_nb.storage.postgres.statements import Statements
from agent_runtime_nb.storage.postgres.target import parse_target
from agent_runtime_nb.storage.value_sizes import check_sizes, check_values
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)


class PostgresStateStorage(IActorStateStorage):
    """Keeps everything in one schema of a PostgreSQL database (14 or newer).

    A value may have 8 MB (TooLarge). What is acknowledged is as durable as the server's
    `synchronous_commit` makes a commit. Works behind a pooler in transaction mode. A
    forked child is refused (StorageClosed); it opens a storage of its own.

    Args:
        url: `postgresql://user:password@host:port/database`, with libpq's options
            (`?sslmode=verify-full`); `?schema=name` is the schema, too.
        schema: the PostgreSQL schema, made if missing; `agent_runtime_nb` if neither
            this nor the URL names one.
        readers: how many connections read, at most; one more writes, one more renews
            the host's lease.
        connect_timeout: seconds until a server that does not answer is Unavailable.
        timeout: seconds that a group of steps, or a read, may take.
        lease: seconds after the death of a host until others may have its actors.

    Raises:
        InvalidRequest: if it is no such URL.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str | None = None,
        readers: int = 4,
        connect_timeout: float = 5.0,
        timeout: float = 15.0,
        lease: float = 30.0,
    ) -> None:
        self._target = parse_target(url, schema)
        self._statements = Statements(self._target.schema, timeout)
        self._reads = Reads(self._statements)
        self._readers = readers
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._lease = lease
        self._session: Session | None = None
        # A forked child must not let go of its parent's connections: closing them
        # would take them out of the parent's event loop, which both share.
        self._inherited: list[Session] = []

    @property
    def location(self) -> str:
        """Server, database and, unless it is the usual one, schema."""
        return self._target.location

    @property
    def durable(self) -> bool:
        """True."""
        return True

    def __repr__(self) -> str:
        return f"PostgresStateStorage({self.location!r})"

    async def open(self, host: HostInfo) -> None:
        """See `IActorStateStorage.open`.

        Raises:
            Unavailable: the server cannot be reached, or refuses user or database.
            ReadOnly: it is a standby, or read-only.
            Corrupt: the schema is another program's.
        """
        session = self._session
        if session is not None and session.process == os.getpid():
            if session.host == host:
                return
            raise Unavailable(self.location, f"it is open for {session.host}")
        self._set_aside()
        server = Server(
            self._target,
            self._statements,
            readers=self._readers,
            connect_timeout=self._connect_timeout,
            timeout=self._timeout,
        )
        session = Session(self._target, self._statements, server, host, self._lease)
        await session.open()
        self._session = session

    async def close(self) -> None:
        """See `IActorStateStorage.close`."""
        self._set_aside()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _set_aside(self) -> None:
        """Drop a session that was opened before a fork, but keep it alive."""
        session = self._session
        if session is not None and session.process != os.getpid():
            self._inherited.append(session)
            self._session = None

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        """See `IActorStateStorage.claim`."""
        return self._submit(PostgresStep(Plan.claim, actor_id, take_over))

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        """See `IActorStateStorage.apply`; a value may have 8 MB."""
        try:
            check_sizes(change, MAX_VALUE)
        except TooLarge as error:
            return failed(error)
        change.remove = tuple(change.remove)  # it may be read twice
        return self._submit(PostgresStep(Plan.apply, actor_id, change, size_of(change)))

    def write_state(
        self,
        actor_id: ActorId,
        *,
        set: Mapping[str, Encoded],
        remove: Iterable[str] = (),
        etag: str | None = None,
    ) -> "Future[str]":
        """See `IActorStateStorage.write_state`; a value may have 8 MB."""
        try:
            check_values(set, MAX_VALUE)
        except TooLarge as error:
            return failed(error)
        argument = (dict(set), tuple(remove), etag)
        size = sum(map(len, set.values()))
        return self._submit(PostgresStep(Plan.write_state, actor_id, argument, size))

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        """See `IActorStateStorage.delete_state`."""
        return self._submit(PostgresStep(Plan.delete_state, actor_id, epoch))

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        """See `IActorStateStorage.trim`."""
        await self._submit(PostgresStep(Plan.trim, actor_id, keep))

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        """See `IActorStateStorage.read_states`."""
        return await self._require_open().read(
            partial(
                self._reads.read_states,
                actor_ids=tuple(actor_ids),
                keys=None if keys is None else tuple(keys),
                prefix=prefix,
            )
        )

    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        """See `IActorStateStorage.find_turn`."""
        return await self._require_open().read(
            partial(self._reads.find_turn, actor_id=actor_id, message_id=message_id)
        )

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        """See `IActorStateStorage.read_turns`."""
        return await self._require_open().read(
            partial(
                self._reads.read_turns, actor_id=actor_id, before=before, limit=limit
            )
        )

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        """See `IActorStateStorage.list_keys`."""
        return await self._require_open().read(
            partial(
                self._reads.list_keys,
                actor_id=actor_id,
                prefix=prefix,
                after=after,
                limit=limit,
            )
        )

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        open_only: bool = False,
        mark: str | None = None,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorId]:
        """See `IActorStateStorage.list_actors`."""
        return await self._require_open().read(
            partial(
                self._reads.list_actors,
                type_name=type_name,
                open_only=open_only,
                mark=mark,
                after=after,
                limit=limit,
            )
        )

    def _require_open(self) -> Session:
        session = self._session
        if session is None:
            raise StorageClosed(self.location)
        if session.process != os.getpid():
            raise StorageClosed(f"{self.location} (opened before a fork)")
        return session

    def _submit(self, step: PostgresStep) -> "Future[Any]":
        try:
            return self._require_open().submit(step)
        except StorageClosed as error:
            return failed(error)
