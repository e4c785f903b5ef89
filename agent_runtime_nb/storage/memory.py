"""`InMemoryStateStorage`: state in a dict, gone with the process.

Every verb does its work while it is called, under one lock, and returns a future that
is done already: awaiting it does not even give the loop a turn.
"""

import itertools
import threading
import uuid
from asyncio import AbstractEventLoop, Future, get_running_loop
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    AgentRuntimeError,
    Conflict,
    StaleEpoch,
    StorageClosed,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
    RequestStatus,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorList,
    ActorState,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnEnd,
    TurnRecord,
)

T = TypeVar("T")
P = ParamSpec("P")

_Key = tuple[str, str]  # what an ActorId is


_Turns = tuple[TurnRecord, ...]
_NOTHING: _Turns = ()
_NO_MARKS: frozenset[str] = frozenset()
_PENDING = RequestStatus.PENDING
_WORDS = {status: status.value for status in RequestStatus}

# A turn that has ended: the values of its record, the status as its word. Nothing in it
# can be part of a cycle, so the garbage collector forgets it; thousands of records it
# would visit again and again.
_Ended = tuple[Any, ...]


class _StoredActor:
    __slots__ = (
        "epoch",
        "etag",
        "marks",
        "next_position",
        "open",
        "owner",
        "trimmed",
        "turns",
        "values",
    )

    def __init__(self) -> None:
        self.epoch = 0
        self.owner: str | None = None
        self.etag: str | None = None
        self.marks = _NO_MARKS
        self.next_position = 1
        self.values: dict[str, Encoded] = {}
        # By message id, in the order of their positions.
        self.turns: dict[str, TurnRecord | _Ended] = {}
        self.open: dict[int, TurnRecord] = {}  # by position
        self.trimmed = 0  # so many of the oldest turns have ended and are trimmed

    def has_data(self) -> bool:
        """Whether there is anything to list or delete."""
        return bool(self.turns or self.values)


class _Data:
    """What the hosts of one process share; guarded by `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.actors: dict[_Key, _StoredActor] = {}
        self.alive: dict[str, str] = {}  # names of the open hosts by their ids
        self.host_names: dict[str, str] = {}
        self._sorted: list[_Key] = []

    def actor(self, actor_id: ActorId) -> _StoredActor:
        """The actor, made if it is new."""
        actor = self.actors.get(actor_id)
        if actor is None:
            key = (actor_id.type_name, actor_id.instance_id)
            actor = self.actors[key] = _StoredActor()
        return actor

    def sorted_keys(self) -> list[_Key]:
        # Actors are only ever added (deleted ones keep their epoch), so the length
        # says whether the order of the last time still holds.
        if len(self._sorted) != len(self.actors):
            self._sorted = sorted(self.actors)
        return self._sorted

    def owner_name(self, actor: _StoredActor | None) -> str:
        if actor is None or actor.owner is None:
            return "nobody"
        return self.host_names.get(actor.owner, actor.owner)


class InMemoryStateStorage(IActorStateStorage):
    """Keeps everything in this process; for trying things out and for tests.

    Args:
        like: another storage of this process whose data this one shares, as a second
            host would.
    """

    def __init__(self, like: "InMemoryStateStorage | None" = None) -> None:
        self._data = _Data() if like is None else like._data  # noqa: SLF001 - its own
        self._host: HostInfo | None = None
        # apply() nearly always returns (): one future serves all, of whatever loop.
        # It is done, so nobody's task is ever woken by it.
        self._nothing: Future[tuple[TurnRecord, ...]] | None = None

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return "memory"

    @property
    def durable(self) -> bool:
        """False: nothing survives the process."""
        return False

    async def open(self, host: HostInfo) -> None:
        """See `IActorStateStorage.open`; a host id can be open only once."""
        if self._host == host:
            return
        with self._data.lock:
            if self._host is not None or host.host_id in self._data.alive:
                raise Unavailable(self.location, "this host is already open")
            self._data.alive[host.host_id] = host.name
            self._data.host_names[host.host_id] = host.name
        self._host = host
        self._nothing = _done(get_running_loop(), ())

    async def close(self) -> None:
        """See `IActorStateStorage.close`; the data stays as long as this object."""
        host, self._host, self._nothing = self._host, None, None
        if host is not None:
            with self._data.lock:
                self._data.alive.pop(host.host_id, None)

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        """See `IActorStateStorage.claim`."""
        return self._step(self._claim, actor_id, take_over)

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        """See `IActorStateStorage.apply`; there is no limit of size."""
        data, nothing = self._data, self._nothing
        data.lock.acquire()  # by hand: `with` costs four times as much
        try:
            if nothing is None:
                raise StorageClosed(self.location)
            known = _apply(data, actor_id, change)
        except AgentRuntimeError as error:
            return _failed(get_running_loop(), error)
        finally:
            data.lock.release()
        return _done(get_running_loop(), known) if known else nothing

    def write_state(
        self,
        actor_id: ActorId,
        *,
        set: Mapping[str, Encoded],
        remove: Iterable[str] = (),
        etag: str | None = None,
    ) -> "Future[str]":
        """See `IActorStateStorage.write_state`."""
        return self._step(self._write_state, actor_id, set, remove, etag)

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        """See `IActorStateStorage.delete_state`."""
        return self._step(self._delete_state, actor_id, epoch)

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        """See `IActorStateStorage.read_states`."""
        wanted = None if keys is None else tuple(keys)
        with self._data.lock:
            self._require_open()
            return [
                _state(self._data.actors.get(one), wanted, prefix) for one in actor_ids
            ]

    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        """See `IActorStateStorage.find_turn`."""
        with self._data.lock:
            actor = self._find(actor_id)
            turn = actor.turns.get(message_id) if actor else None
            return _record(turn) if turn else None

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        """See `IActorStateStorage.read_turns`."""
        with self._data.lock:
            actor = self._find(actor_id)
            if actor is None:
                return []
            newest_first = (
                turn
                for turn in map(_record, reversed(actor.turns.values()))
                if before is None or turn.position < before
            )
            page = list(itertools.islice(newest_first, limit))
        page.reverse()
        return page

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        """See `IActorStateStorage.list_keys`."""
        with self._data.lock:
            actor = self._find(actor_id)
            found = sorted(
                key
                for key in (actor.values if actor else ())
                if key.startswith(prefix) and (after is None or key > after)
            )
        items = tuple(found[:limit])
        return Page(items, items[-1] if len(found) > limit else None)

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
        with self._data.lock:
            self._require_open()
            keys = self._data.sorted_keys()
            start = max((type_name or "", ""), _key_of(after) if after else ("", ""))
            listed = ActorList(limit)
            for key in itertools.islice(keys, bisect_right(keys, start), None):
                if type_name is not None and key[0] != type_name:
                    break
                actor = self._data.actors[key]
                wanted = actor.open if open_only else actor.has_data()
                if wanted and (mark is None or mark in actor.marks):
                    listed.add((key,))
                    if listed.is_full:
                        break
        return listed.page()

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        """See `IActorStateStorage.trim`."""
        with self._data.lock:
            actor = self._find(actor_id)
            if actor is not None:
                _trim(actor, keep)

    # --- the steps, under the lock; each checks everything before it changes anything

    def _step(
        self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "Future[T]":
        loop = get_running_loop()
        try:
            with self._data.lock:
                return _done(loop, step(*args, **kwargs))
        except AgentRuntimeError as error:
            return _failed(loop, error)

    def _require_open(self) -> HostInfo:
        if self._host is None:
            raise StorageClosed(self.location)
        return self._host

    def _find(self, actor_id: ActorId) -> _StoredActor | None:
        self._require_open()
        return self._data.actors.get(actor_id)

    def _claim(self, actor_id: ActorId, take_over: bool) -> Claim:  # noqa: FBT001
        host = self._require_open()
        actor = self._data.actor(actor_id)
        if actor.owner != host.host_id:
            if actor.owner in self._data.alive and not take_over:
                raise ActorOwnedElsewhere(actor_id, self._data.owner_name(actor))
            actor.owner = host.host_id
            actor.epoch += 1
        return Claim(
            epoch=actor.epoch,
            etag=actor.etag,
            values=dict(actor.values),
            next_position=actor.next_position,
            open_turns=[_record(turn) for turn in actor.open.values()],
            marks=actor.marks,
        )

    def _write_state(
        self,
        actor_id: ActorId,
        values: Mapping[str, Encoded],
        remove: Iterable[str],
        etag: str | None,
    ) -> str:
        actor = self._find(actor_id)
        stored = actor.etag if actor else None
        if etag != stored:
            raise Conflict(actor_id, etag, stored)
        actor = self._data.actor(actor_id)
        actor.values.update(values)
        for key in remove:
            actor.values.pop(key, None)
        actor.etag = uuid.uuid4().hex
        return actor.etag

    def _delete_state(self, actor_id: ActorId, epoch: int | None) -> bool:
        actor = self._find(actor_id)
        if epoch is not None and (not epoch or actor is None or epoch != actor.epoch):
            raise StaleEpoch(actor_id, epoch, self._data.owner_name(actor))
        if actor is None:
            return False
        existed = actor.has_data()
        actor.values.clear()
        actor.turns.clear()
        actor.open.clear()
        actor.trimmed = 0
        actor.etag = actor.owner = None
        actor.marks = _NO_MARKS
        actor.epoch += 1
        return existed


def _done(loop: AbstractEventLoop, result: T) -> "Future[T]":
    future: Future[T] = loop.create_future()
    future.set_result(result)
    return future


def _failed(loop: AbstractEventLoop, error: Exception) -> "Future[T]":  # pyright: ignore[reportInvalidTypeVarUse] - a future that never has a value fits all
    future: Future[T] = loop.create_future()
    future.set_exception(error)
    return future


def _key_of(after: str) -> _Key:
    type_name, _, instance_id = after.partition("/")
    return type_name, instance_id


def _ended(turn: TurnRecord) -> _Ended:
    return (
        turn.position,
        turn.message_id,
        _WORDS[turn.status],
        turn.attempts,
        turn.body,
        turn.result,
        turn.entries,
        turn.checkpoint,
        turn.accepted_at,
        turn.ended_at,
    )


def _record(turn: TurnRecord | _Ended) -> TurnRecord:
    """A turn as it is given away: nobody else holds it."""
    values = _ended(turn) if isinstance(turn, TurnRecord) else turn
    record = TurnRecord(*values)
    record.status = RequestStatus(record.status)
    return record


def _state(
    actor: _StoredActor | None, wanted: tuple[str, ...] | None, prefix: str
) -> ActorState:
    if actor is None:
        return ActorState({}, None, 0)
    values = actor.values
    found = {
        key: values[key]
        for key in (values if wanted is None else wanted)
        if key in values and key.startswith(prefix)
    }
    return ActorState(found, actor.etag, actor.epoch)


def _apply(data: _Data, actor_id: ActorId, change: ActorChange) -> _Turns:
    actor = data.actors.get(actor_id)
    if actor is None or change.epoch != actor.epoch or not change.epoch:
        raise StaleEpoch(actor_id, change.epoch, data.owner_name(actor))
    etag, new, ended, known = change.new_etag, change.accepted, change.ended, _NOTHING
    if etag is not None and change.etag != actor.etag:
        raise Conflict(actor_id, change.etag, actor.etag)
    if new:
        new, known = _sort_accepted(actor_id, actor, new)
    if ended:
        _check_ended(actor_id, actor, ended, new)

    if new:
        _accept(actor, new)
    if change.started or change.checkpoint is not None:
        _change_open_turns(actor, change)
    for end in ended:
        _end(actor, end)
    if etag is not None:
        actor.etag = etag
    if change.set or change.remove or change.add_marks or change.remove_marks:
        _set_values(actor, change)
    return known


def _sort_accepted(
    actor_id: ActorId, actor: _StoredActor, accepted: _Turns
) -> tuple[_Turns, _Turns]:
    """The turns that are new, and copies of the stored ones that were known."""
    if len(accepted) == 1:  # nearly always
        record = accepted[0]
        stored = actor.turns.get(record.message_id)
        if stored is not None:
            return _NOTHING, (_record(stored),)
        if record.position < actor.next_position:
            raise Conflict(actor_id, actor.next_position, record.position)
        return accepted, _NOTHING
    new: dict[str, TurnRecord] = {}
    known: list[TurnRecord] = []
    for record in accepted:
        message_id = record.message_id
        stored = actor.turns.get(message_id) or new.get(message_id)
        if stored is not None:
            known.append(_record(stored))
        elif record.position < actor.next_position + len(new):
            raise Conflict(actor_id, actor.next_position, record.position)
        else:
            new[message_id] = record
    return tuple(new.values()), tuple(known)


def _check_ended(
    actor_id: ActorId, actor: _StoredActor, ended: tuple[TurnEnd, ...], new: _Turns
) -> None:
    for end in ended:
        position = end.position
        if position in actor.open or any(turn.position == position for turn in new):
            continue
        turns = map(_record, actor.turns.values())
        found = [turn.status.value for turn in turns if turn.position == position]
        raise Conflict(actor_id, f"an open turn {position}", *found or ["nothing"])


def _accept(actor: _StoredActor, new: _Turns) -> None:
    for turn in new:
        actor.next_position = turn.position + 1
        if turn.status is _PENDING:
            actor.turns[turn.message_id] = actor.open[turn.position] = turn
        else:
            actor.turns[turn.message_id] = _ended(turn)


def _end(actor: _StoredActor, end: TurnEnd) -> None:
    turn = actor.open.pop(end.position)
    actor.turns[turn.message_id] = (  # as _ended() says it, in one step
        turn.position,
        turn.message_id,
        _WORDS[end.status],
        turn.attempts,
        turn.body,
        end.result,
        end.entries,
        turn.checkpoint,
        turn.accepted_at,
        end.ended_at,
    )


def _change_open_turns(actor: _StoredActor, change: ActorChange) -> None:
    for position in change.started:
        if position in actor.open:
            actor.open[position].attempts += 1
    if change.checkpoint is not None and change.checkpoint[0] in actor.open:
        actor.open[change.checkpoint[0]].checkpoint = change.checkpoint[1]


def _trim(actor: _StoredActor, keep: int) -> None:
    """Newest first, down to those that are trimmed already."""
    first_left = index = len(actor.turns)
    newest_first = reversed(actor.turns.values())
    for turn in itertools.islice(newest_first, index - actor.trimmed):
        index -= 1
        if isinstance(turn, TurnRecord):
            first_left = index
        elif keep > 0:
            keep -= 1
            first_left = index
        else:
            record = _record(turn)
            record.result = None
            if record.status is not RequestStatus.INTERRUPTED:
                record.body = None
            actor.turns[record.message_id] = _ended(record)
    actor.trimmed = first_left


def _set_values(actor: _StoredActor, change: ActorChange) -> None:
    if change.set:
        actor.values.update(change.set)
    for key in change.remove:
        actor.values.pop(key, None)
    if change.add_marks or change.remove_marks:
        actor.marks = (actor.marks - change.remove_marks) | change.add_marks
