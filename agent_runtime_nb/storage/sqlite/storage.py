"""`SqliteStateStorage`; the map of this package is at its root."""

import asyncio
import contextlib
import functools
import logging
import os
import sqlite3
from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from agent_runtime_nb._base.tasks import failed
from agent_runtime_nb.exceptions import StorageClosed, TooLarge, Unavailable
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
)
from agent_runtime_nb.storage.group_commit import GroupWorker
from agent_runtime_nb.storage.sqlite.database import (
    MAX_VALUE,
    OnCorrupt,
    Synchronous,
    has_log,
    is_damage,
    is_network_path,
    make_file,
    open_reader,
    open_writer,
    rename_damaged,
    translate,
)
from agent_runtime_nb.storage.sqlite.files import (
    OpenFiles,
    check_not_inherited,
    check_opened_by_others,
    check_single_name,
)
from agent_runtime_nb.storage.sqlite.group import SqliteGroup, SqliteStep
from agent_runtime_nb.storage.sqlite.host_lock import HostLock
from agent_runtime_nb.storage.sqlite.reads import (
    Read,
    find_turn,
    list_actors,
    list_keys,
    read_states,
    read_turns,
    run_reads,
)
from agent_runtime_nb.storage.sqlite.schema import make_schema
from agent_runtime_nb.storage.sqlite.writer import GroupWriter
from agent_runtime_nb.storage.value_sizes import check_sizes, check_values
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _SqliteSession:
    """What exists while the storage is open."""

    host: HostInfo
    process: int
    lock: HostLock
    writer: GroupWorker[SqliteStep]
    reader: GroupWorker[Read]


class SqliteStateStorage(IActorStateStorage):
    """Keeps everything in one SQLite file; safe for several processes of a machine.

    A value may have 8 MB (TooLarge). On a network file system, which is no place for
    it, the file is kept without write-ahead log, slower, and a warning is logged.

    Args:
        path: the file; it and its folder are made when needed, for the user alone.
        synchronous: "FULL": an acknowledged write survives the loss of power;
            "NORMAL": the death of the process, but not always the loss of power.
        on_corrupt: what open() does with a damaged file that no other host uses.
            "refuse": raise Corrupt and leave it; "fresh": rename it to
            `<name>.corrupt-<time>`, log a warning, and begin a new one.
        mount_table: where the system lists its file systems.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "FULL",
        on_corrupt: OnCorrupt = "refuse",
        mount_table: Path = Path("/proc/mounts"),
    ) -> None:
        self._path = Path(path).expanduser().absolute()
        self._synchronous: Synchronous = synchronous
        self._on_corrupt: OnCorrupt = on_corrupt
        self._mount_table = mount_table
        self._session: _SqliteSession | None = None

    @property
    def location(self) -> str:
        """The path of the file."""
        return str(self._path)

    @property
    def durable(self) -> bool:
        """True."""
        return True

    async def open(self, host: HostInfo) -> None:
        """See `IActorStateStorage.open`.

        Raises:
            ReadOnly, Full, Corrupt, Unavailable: the file cannot be used; it was left
                as it is.
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
            await session.reader.close()
            await session.writer.close()

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        """See `IActorStateStorage.claim`."""
        return self._submit(SqliteStep(SqliteGroup.claim, actor_id, take_over))

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        """See `IActorStateStorage.apply`; a value may have 8 MB."""
        try:
            check_sizes(change, MAX_VALUE)
        except TooLarge as error:
            return failed(error)
        change.remove = tuple(change.remove)  # it may be read twice
        return self._submit(SqliteStep(SqliteGroup.apply, actor_id, change))

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
        return self._submit(SqliteStep(SqliteGroup.write_state, actor_id, argument))

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        """See `IActorStateStorage.delete_state`."""
        return self._submit(SqliteStep(SqliteGroup.delete_state, actor_id, epoch))

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        """See `IActorStateStorage.trim`."""
        await self._submit(SqliteStep(SqliteGroup.trim, actor_id, keep))

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        """See `IActorStateStorage.read_states`."""
        wanted = None if keys is None else tuple(keys)
        return await self._read(read_states, tuple(actor_ids), wanted, prefix)

    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        """See `IActorStateStorage.find_turn`."""
        return await self._read(find_turn, actor_id, message_id)

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        """See `IActorStateStorage.read_turns`."""
        return await self._read(read_turns, actor_id, before, limit)

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        """See `IActorStateStorage.list_keys`."""
        return await self._read(list_keys, actor_id, prefix, after, limit)

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
            list_actors,
            type_name,
            open_only=open_only,
            mark=mark,
            after=after,
            limit=limit,
        )

    # --- opening, on a thread of the loop's executor

    def _open(self, host: HostInfo) -> _SqliteSession:
        # SQLite names what is beside the file after the file itself, not after a link.
        path = Path(os.path.realpath(self._path))
        try:
            make_file(path)
            check_single_name(path)
            check_not_inherited(path)
            lock = HostLock(path.with_name(f"{path.name}.hosts"), host.host_id)
        except OSError as error:
            raise translate(error, self.location) from error
        try:
            return self._connect_or_begin_anew(path, host, lock)
        except (OSError, sqlite3.Error) as error:
            lock.release()
            raise translate(error, self.location) from error
        except BaseException:
            lock.release()
            raise

    def _connect_or_begin_anew(
        self, path: Path, host: HostInfo, lock: HostLock
    ) -> _SqliteSession:
        try:
            return self._connect(path, host, lock)
        except sqlite3.DatabaseError as error:
            begin_anew = self._on_corrupt == "fresh" and is_damage(error)
            if not begin_anew or not lock.is_alone():
                raise
            backup = rename_damaged(path)
            _log.warning("%s is damaged (%s): it is %s now", path, error, backup)
        make_file(path)
        return self._connect(path, host, lock)

    def _connect(self, path: Path, host: HostInfo, lock: HostLock) -> _SqliteSession:
        mounts = self._mount_table
        table = mounts.read_text(errors="replace") if mounts.exists() else ""
        network = is_network_path(path, table)
        if network:
            _warn_of_network(self.location)
        check_opened_by_others(path, lock.published_by_others)
        with ExitStack() as undo:
            writing = open_writer(path, synchronous=self._synchronous, network=network)
            undo.callback(writing.close)
            with lock.writing():
                make_schema(writing)
                writing.execute(
                    "insert or replace into host(id, name) values (?, ?)",
                    (host.host_id, host.name),
                )
            reading = open_reader(path)
            undo.callback(reading.close)
            files = OpenFiles(path, wal=has_log(writing))
            undo.callback(files.release)
            lock.publish(files.published)
            lock.remove_dead()
            undo.pop_all()

        writer = GroupWriter(writing, host, lock, files, self.location)

        def end() -> None:
            with contextlib.suppress(OSError):
                lock.publish(b"")
            writer.close()
            lock.release()

        def read(jobs: list[Read]) -> list[object]:
            return run_reads(jobs, reading, files, self.location)

        return _SqliteSession(
            host=host,
            process=os.getpid(),
            lock=lock,
            writer=GroupWorker(writer.run, where=self.location, at_end=end),
            reader=GroupWorker(read, where=self.location, at_end=reading.close),
        )

    def _require_open(self) -> _SqliteSession:
        session = self._session
        if session is None:
            raise StorageClosed(self.location)
        if session.process != os.getpid():
            # A forked child has neither the threads nor the right to the connection.
            raise StorageClosed(f"{self.location} (opened before a fork)")
        return session

    def _submit(self, step: SqliteStep) -> "Future[Any]":
        try:
            return self._require_open().writer.submit(step)
        except StorageClosed as error:
            return failed(error)

    async def _read(
        self,
        read: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        session = self._require_open()
        return await session.reader.submit(
            lambda connection: read(connection, *args, **kwargs)
        )


@functools.cache  # once per file
def _warn_of_network(location: str) -> None:
    _log.warning(
        "%s is on a network file system: it is slower there, and only hosts of one "
        "machine may use it; choose a local place with start(storage=...)",
        location,
    )


def _close_unwanted(opening: "Future[_SqliteSession]") -> None:
    """Undo an opening that nobody waits for any more; the threads end by themselves."""
    if not opening.cancelled() and opening.exception() is None:
        session = opening.result()
        session.reader.end()
        session.writer.end()
