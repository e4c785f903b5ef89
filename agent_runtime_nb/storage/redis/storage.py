"""`RedisStateStorage`; the map of this package is at its root."""

import asyncio
import os
import uuid
from asyncio import Future
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime_nb._base.tasks import failed
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    StorageClosed,
    TooLarge,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
)
from agent_runtime_nb.storage.group_commit import GroupWorker
from agent_runtime_nb.storage.lease import LeaseRenewer
from agent_runtime_nb.storage.redis.cluster import connect
from agent_runtime_nb.storage.redis.group import RedisWriter
from agent_runtime_nb.storage.redis.keys import Keys
from agent_runtime_nb.storage.redis.link import Endpoint
from agent_runtime_nb.storage.redis.reads import (
    ListActors,
    Procedure,
    Query,
    find_turn,
    list_keys,
    read_state,
    read_turns,
    run_reads,
)
from agent_runtime_nb.storage.redis.server import (
    RedisHostLease,
    check_persistence,
    check_schema,
)
from agent_runtime_nb.storage.redis.steps import (
    ApplyStep,
    ClaimStep,
    DeleteStep,
    RedisStep,
    TrimStep,
    WriteStep,
)
from agent_runtime_nb.storage.value_sizes import check_sizes, check_values
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)

MAX_VALUE = 8 * 1024 * 1024
"""The most bytes that a value may have."""


@dataclass(frozen=True, slots=True)
class _RedisSession:
    """What exists while the storage is open."""

    host: HostInfo
    process: int
    durable: bool
    writer: GroupWorker[RedisStep]
    reader: GroupWorker[Query | Procedure]
    renewer: LeaseRenewer


class RedisStateStorage(IActorStateStorage):
    """Keeps everything in a Redis server or cluster, 6.2 or newer.

    A value may have 8 MB. What an acknowledged write survives is the server's setting: with `appendfsync
    always` everything, with `everysec` all but the last second before a loss of power.

    Args:
        url: redis://[user:password@]host[:port][/database], rediss:// (TLS) or
            unix:///path, with redis-py's options as a query.
        prefix: of all keys; several prefixes are several storages in one server.
        timeout: how long the server may be silent before a write's outcome is
            unknown and a read fails, in seconds.
        connect_timeout: how long connecting may take, in seconds.
        lease: how long a host that died without closing is held for alive.

    Raises:
        InvalidRequest: if the URL or the prefix cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "agent-runtime",
        timeout: float = 10.0,
        connect_timeout: float = 5.0,
        lease: float = 15.0,
    ) -> None:
        if not prefix or set(prefix) & set("{}"):
            raise InvalidRequest("prefix", "some text without { and }")
        self._endpoint = Endpoint(url, timeout=timeout, connect_timeout=connect_timeout)
        quick = min(timeout, lease / 3)
        self._lease_endpoint = Endpoint(
            url, timeout=quick, connect_timeout=min(connect_timeout, quick)
        )
        self._keys = Keys(prefix)
        self._lease = lease
        self._token = uuid.uuid4().hex
        self._session: _RedisSession | None = None

    @property
    def location(self) -> str:
        """The URL without user, password and options."""
        return self._endpoint.location

    @property
    def durable(self) -> bool:
        """Whether the server keeps a log; while closed: True."""
        return self._session is None or self._session.durable

    async def open(self, host: HostInfo) -> None:
        """See `IActorStateStorage.open`.

        Raises:
            Unavailable: it cannot be reached, or refuses the user or the password.
            ReadOnly, Full, Corrupt: it cannot be used.
        """
        if self._session is not None and self._session.process == os.getpid():
            if self._session.host == host:
                return
            raise Unavailable(self.location, f"it is open for {self._session.host}")
        opening = asyncio.get_running_loop().run_in_executor(None, self._open, host)
        try:
            self._session = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise

    async def close(self) -> None:
        """See `IActorStateStorage.close`."""
        session, self._session = self._session, None
        if session is not None and session.process == os.getpid():
            # Both end even if this is cancelled. What was called is still done.
            session.reader.end()
            session.writer.end()
            try:
                await session.reader.close()
                await session.writer.close()
            finally:
                await session.renewer.close()

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        """See `IActorStateStorage.claim`."""
        try:
            host = self._require_open().host
        except StorageClosed as error:
            return failed(error)
        return self._submit(ClaimStep(actor_id, host, take_over=take_over))

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        """See `IActorStateStorage.apply`; a value may have 8 MB."""
        try:
            check_sizes(change, MAX_VALUE)
        except TooLarge as error:
            return failed(error)
        return self._submit(ApplyStep(actor_id, change))

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
        new_etag = uuid.uuid4().hex
        return self._submit(
            WriteStep(actor_id, set, remove, etag=etag, new_etag=new_etag)
        )

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        """See `IActorStateStorage.delete_state`."""
        return self._submit(DeleteStep(actor_id, epoch))

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        """See `IActorStateStorage.trim`."""
        await self._submit(TrimStep(actor_id, keep))

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        """See `IActorStateStorage.read_states`; hundreds go in one round trip."""
        wanted = None if keys is None else tuple(keys)
        reader = self._require_open().reader
        actors = map(self._keys.actor, actor_ids)
        reads = [reader.submit(read_state(one, wanted, prefix)) for one in actors]
        return await asyncio.gather(*reads)

    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        """See `IActorStateStorage.find_turn`."""
        return await self._read(find_turn(self._keys.actor(actor_id), message_id))

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        """See `IActorStateStorage.read_turns`."""
        self._require_open()
        if limit < 1:
            return []
        return await self._read(read_turns(self._keys.actor(actor_id), before, limit))

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        """See `IActorStateStorage.list_keys`."""
        keys = self._keys.actor(actor_id)
        return await self._read(list_keys(keys, prefix, after, max(limit, 1)))

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
        return await self._read(
            ListActors(
                self._keys,
                self.location,
                type_name=type_name,
                open_only=open_only,
                mark=mark,
                after=after,
                limit=max(limit, 1),
            )
        )

    # --- opening, on a thread of the loop's executor

    def _open(self, host: HostInfo) -> _RedisSession:
        writing = connect(self._endpoint, together=True)
        try:
            check_schema(writing, self._keys, self.location)
            durable = check_persistence(writing, self.location)
            reading = connect(self._endpoint)
            renewer = self._start_lease(host)
        except BaseException:
            writing.close()
            raise

        def read(jobs: list[Query | Procedure]) -> list[object]:
            return run_reads(jobs, reading, self.location)

        writer = RedisWriter(writing, self._keys, self.location)
        return _RedisSession(
            host=host,
            process=os.getpid(),
            durable=durable,
            writer=GroupWorker(writer.run, where=self.location, at_end=writing.close),
            reader=GroupWorker(read, where=self.location, at_end=reading.close),
            renewer=renewer,
        )

    def _start_lease(self, host: HostInfo) -> LeaseRenewer:
        lease = RedisHostLease(
            self._lease_endpoint,
            self._keys.host(host.host_id),
            host,
            self._token,
            self._lease,
        )
        renewer = LeaseRenewer(
            lease.renew, ttl=self._lease, where=self.location, release=lease.release
        )
        asyncio.run(renewer.start())
        return renewer

    def _require_open(self) -> _RedisSession:
        session = self._session
        if session is None:
            raise StorageClosed(self.location)
        if session.process != os.getpid():
            # A forked child has neither the threads nor the right to the connections.
            raise StorageClosed(f"{self.location} (opened before a fork)")
        return session

    def _submit(self, step: RedisStep) -> "Future[Any]":
        try:
            return self._require_open().writer.submit(step)
        except StorageClosed as error:
            return failed(error)

    async def _read(self, job: Query | Procedure) -> Any:
        return await self._require_open().reader.submit(job)


def _close_unwanted(opening: "Future[_RedisSession]") -> None:
    """Undo an opening that nobody waits for any more; the threads end by themselves."""
    if not opening.cancelled() and opening.exception() is None:
        session = opening.result()
        session.reader.end()
        session.writer.end()
        session.renewer.stop()
