"""`JsonFileStorage`: each actor in a JSON file of its own; a worked example.

One lock file makes every step exclusive, between threads and between processes. A step
reads the actor's file, changes what it has read, and puts a new file in its place: so
it happens whole or not at all, even if the process is killed (for the loss of power
the new file would have to be synchronised, too). Everything is done while a verb is
called, so steps keep their order and nothing can be cancelled in the middle; the price
is that the event loop waits for the disk. Needs `flock`, hence no Windows.
"""

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import uuid
from asyncio import Future
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from agent_runtime_nb import exceptions as errors
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
    RequestStatus,
    StoredId,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorList,
    ActorState,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)

T = TypeVar("T")
VERSION = 1


@dataclass
class StoredActor:
    """What is in a file."""

    type_name: str
    instance_id: str
    epoch: int = 0
    owner: str | None = None
    owner_name: str = "nobody"
    etag: str | None = None
    next_position: int = 1
    marks: list[str] = field(default_factory=list[str])
    values: dict[str, bytes] = field(default_factory=dict[str, bytes])
    turns: list[TurnRecord] = field(default_factory=list[TurnRecord])

    def open_turns(self) -> dict[int, TurnRecord]:
        return {one.position: one for one in self.turns if not one.status.is_final}

    def find(self, message_id: str) -> TurnRecord | None:
        return next((one for one in self.turns if one.message_id == message_id), None)


class JsonFileStorage(IActorStateStorage):
    """Keeps everything in a folder; listing looks into every file, so not for many."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).absolute()
        self._host: HostInfo | None = None
        self._host_lock: int | None = None

    @property
    def location(self) -> str:
        """The path of the folder."""
        return str(self._folder)

    @property
    def durable(self) -> bool:
        """True."""
        return True

    async def open(self, host: HostInfo) -> None:
        """A host lives as long as it holds its lock."""
        if self._host == host:
            return
        with self._our_errors():
            for name in ("actors", "hosts"):
                (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._exclusive():
                self._check_version()
            lock = os.open(self._host_file(host.host_id), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._host, self._host_lock = host, lock

    async def close(self) -> None:
        self._host = None
        lock, self._host_lock = self._host_lock, None
        if lock is not None:
            os.close(lock)

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        def step(host: HostInfo) -> Claim:
            actor = self._load(actor_id)
            if actor.owner != host.host_id:
                if self._is_alive(actor.owner) and not take_over:
                    raise errors.ActorOwnedElsewhere(actor_id, actor.owner_name)
                actor.owner, actor.owner_name = host.host_id, host.name
                actor.epoch += 1
                self._save(actor_id, actor)
            return Claim(
                epoch=actor.epoch,
                etag=actor.etag,
                values=actor.values,
                next_position=actor.next_position,
                open_turns=list(actor.open_turns().values()),
                marks=frozenset(actor.marks),
            )

        return self._step(step)

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        def step(_host: HostInfo) -> tuple[TurnRecord, ...]:
            actor = self._load(actor_id)
            if not change.epoch or change.epoch != actor.epoch:
                raise errors.StaleEpoch(actor_id, change.epoch, actor.owner_name)
            if change.new_etag is not None and change.etag != actor.etag:
                raise errors.Conflict(actor_id, change.etag, actor.etag)
            known = _accept(actor_id, actor, change)
            _change_turns(actor_id, actor, change)
            _change_values(actor, change.set or {}, change.remove)
            if change.new_etag is not None:
                actor.etag = change.new_etag
            kept = set(actor.marks) - change.remove_marks
            actor.marks = sorted(kept | change.add_marks)
            self._save(actor_id, actor)
            return known

        return self._step(step)

    def write_state(
        self,
        actor_id: ActorId,
        *,
        set: Mapping[str, Encoded],
        remove: Iterable[str] = (),
        etag: str | None = None,
    ) -> "Future[str]":
        def step(_host: HostInfo) -> str:
            actor = self._load(actor_id)
            if etag != actor.etag:
                raise errors.Conflict(actor_id, etag, actor.etag)
            _change_values(actor, set, remove)
            actor.etag = uuid.uuid4().hex
            self._save(actor_id, actor)
            return actor.etag

        return self._step(step)

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        def step(_host: HostInfo) -> bool:
            actor = self._load(actor_id)
            if epoch is not None and (not epoch or epoch != actor.epoch):
                raise errors.StaleEpoch(actor_id, epoch, actor.owner_name)
            if actor == StoredActor(*actor_id):  # nobody has ever heard of it
                return False
            tombstone = StoredActor(
                *actor_id, epoch=actor.epoch + 1, next_position=actor.next_position
            )
            self._save(actor_id, tombstone)
            return bool(actor.turns or actor.values)

        return self._step(step)

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        wanted = None if keys is None else tuple(keys)
        found: list[ActorState] = []
        for actor in [await self._read(one) for one in actor_ids]:
            names = actor.values if wanted is None else actor.values.keys() & wanted
            some = {k: actor.values[k] for k in names if k.startswith(prefix)}
            found.append(ActorState(some, actor.etag, actor.epoch))
        return found

    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        return (await self._read(actor_id)).find(message_id)

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        turns = (await self._read(actor_id)).turns
        found = [one for one in turns if before is None or one.position < before]
        return found[-limit:]

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        values = (await self._read(actor_id)).values
        some = (key for key in values if key.startswith(prefix))
        found = sorted(key for key in some if after is None or key > after)
        return Page(tuple(found[:limit]), found[limit - 1] if found[limit:] else None)

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        open_only: bool = False,
        mark: str | None = None,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorId]:
        start = tuple(after.partition("/")[::2]) if after else ("", "")

        def step(_host: HostInfo) -> list[StoredId]:
            return sorted(
                StoredId(one.type_name, one.instance_id)
                for one in self._every_actor()
                if (one.open_turns() if open_only else one.turns or one.values)
                and type_name in (None, one.type_name)
                and (mark is None or mark in one.marks)
                and (one.type_name, one.instance_id) > start
            )

        listed = ActorList(limit)  # names what is no valid id apart from the page
        for stored in await self._step(step):
            if not listed.is_full:
                listed.add([stored])
        return listed.page()

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        def step(_host: HostInfo) -> None:
            actor = self._load(actor_id)
            ended = [turn for turn in actor.turns if turn.status.is_final]
            for turn in ended[: max(len(ended) - keep, 0)]:
                turn.result = None
                if turn.status is not RequestStatus.INTERRUPTED:
                    turn.body = None
            if ended:
                self._save(actor_id, actor)

        await self._step(step)

    # --- steps: one at a time in this folder, whoever calls

    def _step(self, step: Callable[[HostInfo], T]) -> "Future[T]":
        future: Future[T] = asyncio.get_running_loop().create_future()
        try:
            if self._host is None:
                raise errors.StorageClosed(self.location)
            with self._our_errors(), self._exclusive():
                future.set_result(step(self._host))
        except (errors.StorageError, errors.ActorOwnedElsewhere) as error:
            future.set_exception(error)
        return future

    async def _read(self, actor_id: ActorId) -> StoredActor:
        return await self._step(lambda _host: self._load(actor_id))

    @contextmanager
    def _exclusive(self) -> Generator[None]:
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _our_errors(self) -> Generator[None]:
        try:
            yield
        except ValueError as error:
            raise errors.Corrupt(self.location, str(error)) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise errors.Full(self.location) from error
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise errors.ReadOnly(self.location) from error
            raise errors.Unavailable(self.location, error) from error

    # --- files

    def _check_version(self) -> None:
        file = self._folder / "version"
        if not file.exists():
            self._replace(file, str(VERSION))
        found = int(file.read_text())
        if found > VERSION:
            raise errors.SchemaTooNew(self.location, found, VERSION)

    def _host_file(self, host_id: str) -> Path:
        return self._folder / "hosts" / hashlib.sha256(host_id.encode()).hexdigest()

    def _is_alive(self, host_id: str | None) -> bool:
        if host_id is None or not self._host_file(host_id).exists():
            return False
        lock = os.open(self._host_file(host_id), os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(lock)

    def _actor_file(self, actor_id: ActorId) -> Path:
        # A digest: ids may be longer than a file's name, and differ in case alone.
        name = hashlib.sha256(json.dumps(actor_id).encode()).hexdigest()
        return self._folder / "actors" / f"{name}.json"

    def _load(self, actor_id: ActorId) -> StoredActor:
        file = self._actor_file(actor_id)
        return _decode(file.read_text()) if file.exists() else StoredActor(*actor_id)

    def _every_actor(self) -> Iterator[StoredActor]:
        for file in (self._folder / "actors").glob("*.json"):
            yield _decode(file.read_text())

    def _save(self, actor_id: ActorId, actor: StoredActor) -> None:
        # Bytes as texts of as many characters: JSON keeps them exactly.
        text = json.dumps(asdict(actor), default=lambda value: value.decode("latin-1"))
        self._replace(self._actor_file(actor_id), text)

    def _replace(self, file: Path, text: str) -> None:
        new = file.with_suffix(".new")
        new.write_text(text)
        new.replace(file)


def _decode(text: str) -> StoredActor:
    stored: Any = json.loads(text)
    values = {key: value.encode("latin-1") for key, value in stored["values"].items()}
    turns = [_decode_turn(turn) for turn in stored["turns"]]
    return StoredActor(**stored | {"values": values, "turns": turns})


def _decode_turn(stored: Any) -> TurnRecord:
    for name in ("body", "result", "entries", "checkpoint"):
        if stored[name] is not None:
            stored[name] = stored[name].encode("latin-1")
    return TurnRecord(**stored | {"status": RequestStatus(stored["status"])})


def _accept(
    actor_id: ActorId, actor: StoredActor, change: ActorChange
) -> tuple[TurnRecord, ...]:
    """Append the turns of `accepted` that are new; returns those that are known."""
    known: list[TurnRecord] = []
    for record in change.accepted:
        stored = actor.find(record.message_id)
        if stored is not None:
            known.append(stored)
        elif record.position < actor.next_position:
            raise errors.Conflict(actor_id, actor.next_position, record.position)
        else:
            actor.turns.append(replace(record))
            actor.next_position = record.position + 1
    return tuple(known)


def _change_turns(actor_id: ActorId, actor: StoredActor, change: ActorChange) -> None:
    running = actor.open_turns()
    for position in change.started:
        if position in running:
            running[position].attempts += 1
    if change.checkpoint is not None and change.checkpoint[0] in running:
        running[change.checkpoint[0]].checkpoint = change.checkpoint[1]
    for end in change.ended:
        turn = running.pop(end.position, None)
        if turn is None:
            raise errors.Conflict(actor_id, f"an open turn {end.position}", "none")
        turn.status, turn.result = end.status, end.result
        turn.entries, turn.ended_at = end.entries, end.ended_at


def _change_values(
    actor: StoredActor, values: Mapping[str, Encoded], remove: Iterable[str]
) -> None:
    actor.values |= values
    for key in remove:
        actor.values.pop(key, None)
