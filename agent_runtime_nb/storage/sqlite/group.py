"""One group of steps in one transaction, with few statements whatever its size.

The transaction takes the write lock first, so what it reads cannot change. It reads
what all steps of the group need at once, decides each step in Python, in order, and
writes the net effect of all that were not refused: a refused step leaves no trace.
"""

import contextlib
import logging
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    AgentRuntimeError,
    Conflict,
    StaleEpoch,
    StorageLost,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite.database import empty_log, translate
from agent_runtime_nb.storage.sqlite.files import LATELY, OpenFiles
from agent_runtime_nb.storage.sqlite.host_lock import HostLock
from agent_runtime_nb.storage.sqlite.schema import roll_back
from agent_runtime_nb.storage.sqlite.statements import (
    CHECKPOINT_TURNS,
    END_TURNS,
    FIND_TURN,
    INSERT_TURNS,
    OPEN_TURNS,
    READ_ACTORS,
    READ_KNOWN,
    READ_OPEN,
    REMOVE_VALUES,
    SET_ETAGS,
    SET_MARKS,
    SET_VALUES,
    START_TURNS,
    Pack,
    join_marks,
    record_of,
    split_marks,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
    TurnEnd,
    TurnRecord,
)

_log = logging.getLogger(__name__)

_FLUSH_BYTES = 16 * 1024 * 1024  # of values waiting to be written


class SqliteStep(NamedTuple):
    """A call that waits for its group: a method of `SqliteGroup` and its arguments."""

    verb: "Callable[[SqliteGroup, ActorId, Any], object]"
    actor_id: ActorId
    argument: Any = None


class _ActorRow:
    """A row of `actor`, as the steps so far have left it; n is 0 if there is none."""

    __slots__ = ("epoch", "etag", "marks", "n", "owner")

    def __init__(
        self,
        n: int = 0,
        epoch: int = 0,
        owner: str | None = None,
        etag: str | None = None,
        marks: str | None = None,
    ) -> None:
        self.n = n
        self.epoch = epoch
        self.owner = owner
        self.etag = etag
        self.marks = marks


_Place = tuple[int, int]  # a turn: its actor's n, its position


class SqliteGroup:
    """The steps' transaction; made for one group, used on the writer's thread.

    Args:
        connection: the only one of this host that writes.
        host: who writes.
        is_alive: whether the host with an id is alive.
        where: names the storage in errors.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        host: HostInfo,
        is_alive: Callable[[str], bool],
        where: str,
    ) -> None:
        self._connection = connection
        self._host = host
        self._is_alive = is_alive
        self._where = where
        self._actors: dict[ActorId, _ActorRow] = {}
        self._known: dict[tuple[int, str], int] = {}  # positions by message id
        self._open: set[_Place] = set()
        self._clear()

    def _clear(self) -> None:
        """What is to be written, the last word on each row."""
        self._accepted: list[tuple[int, TurnRecord]] = []
        self._started: dict[_Place, int] = {}
        self._checkpoints: dict[_Place, Encoded] = {}
        self._ended: list[tuple[int, TurnEnd]] = []
        self._values: dict[tuple[int, str], Encoded | None] = {}
        self._etags: dict[int, str] = {}
        self._marks: dict[int, str] = {}
        self._bytes = 0

    def run(self, steps: list[SqliteStep]) -> list[object]:
        """Run the steps and commit; an outcome each, exceptions for the refused ones.

        Raises:
            Exception: any; nothing of any step has happened then.
        """
        outcomes: list[object] = []
        try:
            self._prepare(steps)
            for step in steps:
                try:
                    outcomes.append(step.verb(self, step.actor_id, step.argument))
                except AgentRuntimeError as refusal:
                    outcomes.append(refusal)
            self._flush()
            self._connection.execute("commit")
        except BaseException:
            roll_back(self._connection)
            raise
        return outcomes

    # --- the verbs: each checks everything before it changes anything

    def apply(self, actor_id: ActorId, change: ActorChange) -> tuple[TurnRecord, ...]:
        """See `IActorStateStorage.apply`."""
        actor = self._actors[actor_id]
        if not change.epoch or change.epoch != actor.epoch:
            raise StaleEpoch(actor_id, change.epoch, self._owner_name(actor))
        if change.new_etag is not None and change.etag != actor.etag:
            raise Conflict(actor_id, change.etag, actor.etag)
        n = actor.n
        new: dict[str, TurnRecord] = {}
        for turn in change.accepted:
            if (n, turn.message_id) not in self._known:
                new.setdefault(turn.message_id, turn)
        self._check_ended(actor_id, n, change, new.values())

        for turn in new.values():
            self._accept(n, turn)
        self._change_turns(n, change)
        self._change_values(n, change.set or {}, change.remove)
        if change.new_etag is not None:
            actor.etag = self._etags[n] = change.new_etag
        if change.add_marks or change.remove_marks:
            kept = split_marks(actor.marks) - change.remove_marks
            actor.marks = self._marks[n] = join_marks(kept | change.add_marks)
        if self._bytes > _FLUSH_BYTES:
            self._flush()
        known = [
            turn for turn in change.accepted if new.get(turn.message_id) is not turn
        ]
        return self._known_turns(n, known) if known else ()

    def claim(self, actor_id: ActorId, take_over: bool) -> Claim:  # noqa: FBT001
        """See `IActorStateStorage.claim`."""
        actor = self._actors[actor_id]
        owner = actor.owner
        if owner != self._host.host_id:
            if owner is not None and not take_over and self._is_alive(owner):
                raise ActorOwnedElsewhere(actor_id, self._owner_name(actor))
            self._make(actor_id, actor)
            actor.epoch += 1
            actor.owner = self._host.host_id
            self._connection.execute(
                "update actor set epoch = ?, owner = ? where n = ?",
                (actor.epoch, actor.owner, actor.n),
            )
        self._flush()
        ask = self._connection.execute
        (next_position,) = ask(
            "select max(first_position, coalesce((select max(position) from turn "
            "where actor = n), 0) + 1) from actor where n = ?",
            (actor.n,),
        ).fetchone()
        values = ask("select key, value from value where actor = ?", (actor.n,))
        return Claim(
            epoch=actor.epoch,
            etag=actor.etag,
            values=dict(values.fetchall()),
            next_position=next_position,
            open_turns=[record_of(row) for row in ask(OPEN_TURNS, (actor.n,))],
            marks=split_marks(actor.marks),
        )

    def write_state(
        self,
        actor_id: ActorId,
        argument: tuple[Mapping[str, Encoded], Iterable[str], str | None],
    ) -> str:
        """See `IActorStateStorage.write_state`."""
        values, remove, etag = argument
        actor = self._actors[actor_id]
        if etag != actor.etag:
            raise Conflict(actor_id, etag, actor.etag)
        self._make(actor_id, actor)
        self._change_values(actor.n, values, remove)
        actor.etag = self._etags[actor.n] = uuid.uuid4().hex
        return actor.etag

    def delete_state(self, actor_id: ActorId, epoch: int | None) -> bool:
        """See `IActorStateStorage.delete_state`."""
        actor = self._actors[actor_id]
        if epoch is not None and (not epoch or epoch != actor.epoch):
            raise StaleEpoch(actor_id, epoch, self._owner_name(actor))
        if not actor.n:
            return False
        n = actor.n
        self._flush()
        run = self._connection.execute
        run(
            "update actor set epoch = epoch + 1, owner = null, etag = null, "
            "marks = null, first_position = max(first_position, coalesce("
            "(select max(position) from turn where actor = n), 0) + 1) where n = ?",
            (n,),
        )
        turns = run("delete from turn where actor = ?", (n,)).rowcount
        values = run("delete from value where actor = ?", (n,)).rowcount
        self._actors[actor_id] = _ActorRow(n, actor.epoch + 1)
        self._known = {known: at for known, at in self._known.items() if known[0] != n}
        self._open = {place for place in self._open if place[0] != n}
        return turns + values > 0

    def trim(self, actor_id: ActorId, keep: int) -> None:
        """See `IActorStateStorage.trim`."""
        self._flush()
        self._connection.execute(
            "update turn set result = null, "
            "body = case status when 'interrupted' then body end "
            "where actor = ?1 and status <> 'pending' "
            "and (result is not null or body is not null and status <> 'interrupted') "
            "and position <= ("
            "select position from turn where actor = ?1 and status <> 'pending' "
            "order by position desc limit 1 offset ?2)",
            (self._actors[actor_id].n, max(keep, 0)),
        )

    # --- what they are made of

    def _prepare(self, steps: list[SqliteStep]) -> None:
        """Read what the steps need: actors, known message ids, turns to be changed."""
        ids = list({step.actor_id: None for step in steps})
        pack = Pack()
        for actor_id in ids:
            # Of a `StoredId` it may be no UTF-8.
            pack.add(
                (), *(part.encode("utf-8", "surrogateescape") for part in actor_id)
            )
        self._actors = {actor_id: _ActorRow() for actor_id in ids}
        for i, *row in self._read(READ_ACTORS, pack):
            self._actors[ids[i]] = _ActorRow(*row)

        messages: list[tuple[int, str]] = []
        places: list[_Place] = []
        for step in steps:
            n = self._actors[step.actor_id].n
            change = step.argument
            if n and isinstance(change, ActorChange):
                messages += [(n, turn.message_id) for turn in change.accepted]
                places += [(n, end.position) for end in change.ended]
                places += [(n, position) for position in change.started]
                if change.checkpoint is not None:
                    places.append((n, change.checkpoint[0]))
        self._prepare_turns(messages, places)

    def _prepare_turns(
        self, messages: list[tuple[int, str]], places: list[_Place]
    ) -> None:
        if messages:
            pack = Pack()
            for n, message_id in messages:
                pack.add((n,), message_id.encode())
            for i, position in self._read(READ_KNOWN, pack):
                self._known[messages[i]] = position
        if places:
            pack = Pack()
            for place in places:
                pack.add(place)
            self._open.update((n, at) for n, at in self._read(READ_OPEN, pack))

    def _read(self, statement: str, pack: Pack) -> list[list[Any]]:
        return orjson.loads(pack.run(self._connection, statement).fetchone()[0])

    def _check_ended(
        self, actor_id: ActorId, n: int, change: ActorChange, new: Iterable[TurnRecord]
    ) -> None:
        for end in change.ended:
            if (n, end.position) not in self._open and all(
                turn.position != end.position for turn in new
            ):
                raise Conflict(actor_id, f"an open turn {end.position}", "none")

    def _known_turns(
        self, n: int, known: Iterable[TurnRecord]
    ) -> tuple[TurnRecord, ...]:
        self._flush()  # one of them may have been accepted by this very group
        places = [(n, self._known[n, turn.message_id]) for turn in known]
        find = self._connection.execute
        return tuple(record_of(find(FIND_TURN, at).fetchone()) for at in places)

    def _accept(self, n: int, turn: TurnRecord) -> None:
        self._accepted.append((n, turn))
        self._known[n, turn.message_id] = turn.position
        if turn.status is RequestStatus.PENDING:
            self._open.add((n, turn.position))
        for value in (turn.body, turn.result, turn.entries, turn.checkpoint):
            self._bytes += len(value or b"")

    def _change_turns(self, n: int, change: ActorChange) -> None:
        for position in change.started:
            if (place := (n, position)) in self._open:
                self._started[place] = self._started.get(place, 0) + 1
        if change.checkpoint is not None and (n, change.checkpoint[0]) in self._open:
            self._checkpoints[n, change.checkpoint[0]] = change.checkpoint[1]
            self._bytes += len(change.checkpoint[1])
        for end in change.ended:
            self._open.discard((n, end.position))
            self._ended.append((n, end))
            self._bytes += len(end.result or b"") + len(end.entries or b"")

    def _change_values(
        self, n: int, values: Mapping[str, Encoded], remove: Iterable[str]
    ) -> None:
        for key, value in values.items():
            self._values[n, key] = value
            self._bytes += len(value)
        for key in remove:
            self._values[n, key] = None

    def _make(self, actor_id: ActorId, actor: _ActorRow) -> None:
        if not actor.n:
            made = self._connection.execute(
                "insert into actor(type, instance) values (?, ?)",
                (actor_id.type_name, actor_id.instance_id),
            )
            actor.n = made.lastrowid or 0

    def _owner_name(self, actor: _ActorRow) -> str:
        if actor.owner is None:
            return "nobody"
        name = self._connection.execute(
            "select name from host where id = ?", (actor.owner,)
        ).fetchone()
        return name[0] if name else actor.owner

    def _flush(self) -> None:
        """Write what the steps so far have come to, one statement for each kind."""
        self._write(INSERT_TURNS, self._pack_accepted())
        pack = Pack()
        for place, times in self._started.items():
            pack.add((*place, times))
        self._write(START_TURNS, pack)
        pack = Pack()
        for place, progress in self._checkpoints.items():
            pack.add(place, progress)
        self._write(CHECKPOINT_TURNS, pack)
        pack = Pack()
        for n, end in self._ended:
            status = end.status.value.encode()
            pack.add((n, end.position, end.ended_at), status, end.result, end.entries)
        self._write(END_TURNS, pack)
        self._write_values()
        pack = Pack()
        for n, etag in self._etags.items():
            pack.add((n,), etag.encode())
        self._write(SET_ETAGS, pack)
        pack = Pack()
        for n, marks in self._marks.items():
            pack.add((n,), marks.encode())
        self._write(SET_MARKS, pack)
        self._clear()

    def _pack_accepted(self) -> Pack:
        pack = Pack()
        for n, turn in self._accepted:
            pack.add(
                (n, turn.position, turn.attempts, turn.accepted_at, turn.ended_at),
                turn.message_id.encode(),
                turn.status.value.encode(),
                turn.body,
                turn.result,
                turn.entries,
                turn.checkpoint,
            )
        return pack

    def _write_values(self) -> None:
        set_, removed = Pack(), Pack()
        for (n, key), value in self._values.items():
            if value is None:
                removed.add((n,), key.encode())
            else:
                set_.add((n,), key.encode(), value)
        self._write(SET_VALUES, set_)
        self._write(REMOVE_VALUES, removed)

    def _write(self, statement: str, pack: Pack) -> None:
        if pack:
            pack.run(self._connection, statement)


class GroupWriter:
    """The writer of one host: runs groups, on its thread, into files that are its own.

    Args:
        connection: the only one of this host that writes; closed by `close`.
        host: who writes.
        lock: this host's, and by it the others are known.
        files: what the connection has open.
        where: names the storage in errors.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        host: HostInfo,
        lock: HostLock,
        files: OpenFiles,
        where: str,
    ) -> None:
        self._connection = connection
        self._host = host
        self._lock = lock
        self._files = files
        self._where = where
        self._saved = False

    def run(self, steps: list[SqliteStep]) -> list[object]:
        """Run steps as one transaction; an outcome each, exceptions for those that failed.

        If the group as a whole fails (no space for one large value, ...), each step is
        run alone, so that only those fail that cannot be done.
        """
        try:
            self._files.check(lately=LATELY)
            with self._lock.writing():
                self._connection.execute("begin immediate")
                outcomes = self._commit(steps)
            # It was committed, but perhaps into what nobody will ever open again.
            self._files.check()
        except (sqlite3.Error, OSError, StorageLost) as error:
            if isinstance(error, StorageLost):
                self._save()
            return [translate(error, self._where) for _ in steps]
        if outcomes is None:
            return [self.run([step])[0] for step in steps]
        return outcomes

    def close(self) -> None:
        """Leave one whole file, as far as others allow."""
        self._save()
        self._files.release()
        self._connection.close()

    def _commit(self, steps: list[SqliteStep]) -> list[object] | None:
        """The outcomes; None if each step has to be run alone."""
        group = SqliteGroup(
            self._connection, self._host, self._lock.is_alive, self._where
        )
        try:
            return group.run(steps)
        except Exception as error:
            if len(steps) == 1:
                return [translate(error, self._where)]
            _log.warning("a group of %d steps is run one by one: %s", len(steps), error)
            return None

    def _save(self) -> None:
        """Move what is in the log into the database, if both are still this host's.

        Where they were taken away, it is the last that can be done for what was
        acknowledged before: the database, wherever it is now, has it then, and no log
        is left that would be taken for that of the next database of this name.
        """
        if self._saved or not self._files.may_be_written:
            return
        self._saved = self._files.is_lost
        with contextlib.suppress(TimeoutError), self._lock.writing():
            empty_log(self._connection)
