"""One group of steps in one transaction, with few statements whatever its size.

The transaction takes the write lock first, so what it reads cannot change. It reads
what all steps of the group need at once, decides each step in Python, in order, and
writes the net effect of all that were not refused: a refused step leaves no trace.
"""

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
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite.changes import PendingChanges, TurnKey
from agent_runtime_nb.storage.sqlite.schema import roll_back
from agent_runtime_nb.storage.sqlite.statements import (
    FIND_TURN,
    OPEN_TURNS,
    READ_ACTORS,
    READ_KNOWN,
    READ_OPEN,
    Pack,
    join_marks,
    record_of,
    split_marks,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
    TurnRecord,
)

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
        self._open: set[TurnKey] = set()
        self._changes = PendingChanges(connection)

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
            self._changes.write()
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
        self._changes.set_values(n, change.set or {}, change.remove)
        if change.new_etag is not None:
            actor.etag = change.new_etag
            self._changes.set_etag(n, actor.etag)
        if change.add_marks or change.remove_marks:
            kept = split_marks(actor.marks) - change.remove_marks
            actor.marks = join_marks(kept | change.add_marks)
            self._changes.set_marks(n, actor.marks)
        if self._changes.bytes > _FLUSH_BYTES:
            self._changes.write()
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
        self._changes.write()
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
        self._changes.set_values(actor.n, values, remove)
        actor.etag = uuid.uuid4().hex
        self._changes.set_etag(actor.n, actor.etag)
        return actor.etag

    def delete_state(self, actor_id: ActorId, epoch: int | None) -> bool:
        """See `IActorStateStorage.delete_state`."""
        actor = self._actors[actor_id]
        if epoch is not None and (not epoch or epoch != actor.epoch):
            raise StaleEpoch(actor_id, epoch, self._owner_name(actor))
        if not actor.n:
            return False
        n = actor.n
        self._changes.write()
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
        self._open = {turn for turn in self._open if turn[0] != n}
        return turns + values > 0

    def trim(self, actor_id: ActorId, keep: int) -> None:
        """See `IActorStateStorage.trim`."""
        self._changes.write()
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
        keys: list[TurnKey] = []
        for step in steps:
            n = self._actors[step.actor_id].n
            change = step.argument
            if n and isinstance(change, ActorChange):
                messages += [(n, turn.message_id) for turn in change.accepted]
                keys += [(n, end.position) for end in change.ended]
                keys += [(n, position) for position in change.started]
                if change.checkpoint is not None:
                    keys.append((n, change.checkpoint[0]))
        self._prepare_turns(messages, keys)

    def _prepare_turns(
        self, messages: list[tuple[int, str]], keys: list[TurnKey]
    ) -> None:
        if messages:
            pack = Pack()
            for n, message_id in messages:
                pack.add((n,), message_id.encode())
            for i, position in self._read(READ_KNOWN, pack):
                self._known[messages[i]] = position
        if keys:
            pack = Pack()
            for key in keys:
                pack.add(key)
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
        self._changes.write()  # one of them may have been accepted by this very group
        keys = [(n, self._known[n, turn.message_id]) for turn in known]
        find = self._connection.execute
        return tuple(record_of(find(FIND_TURN, at).fetchone()) for at in keys)

    def _accept(self, n: int, turn: TurnRecord) -> None:
        self._changes.accept(n, turn)
        self._known[n, turn.message_id] = turn.position
        if turn.status is RequestStatus.PENDING:
            self._open.add((n, turn.position))

    def _change_turns(self, n: int, change: ActorChange) -> None:
        for position in change.started:
            if (n, position) in self._open:
                self._changes.start((n, position))
        if change.checkpoint is not None:
            position, checkpoint = change.checkpoint
            if (n, position) in self._open:
                self._changes.set_checkpoint((n, position), checkpoint)
        for end in change.ended:
            self._open.discard((n, end.position))
            self._changes.end(n, end)

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
