"""What the steps of a group come to, decided in Python over rows that were read.

Nothing here talks to the server. Each verb checks everything before it changes
anything, so a refused step leaves no trace.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Conflict,
    StaleEpoch,
)
from agent_runtime_nb.runtime_abstractions import ActorId, Encoded, RequestStatus
from agent_runtime_nb.storage.postgres.statements import encode_text
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    TurnEnd,
    TurnRecord,
)

TurnKey = tuple[int, int]
"""A turn: its actor's n, its position."""


@dataclass(slots=True)
class Actor:
    """A row of `actor`, as the steps so far have left it; n is 0 if there is none."""

    n: int = 0
    epoch: int = 0
    owner: str | None = None
    etag: str | None = None
    marks: frozenset[str] = frozenset()
    next_position: int = 1
    owner_name: str | None = None
    owner_alive: bool = False


class Deferred(NamedTuple):
    """A step that was decided and needs the server once more, after what it changed."""

    what: Literal["claim", "delete", "trim", "known"]
    actor: Actor
    argument: Any = None


@dataclass(slots=True)
class _Change:
    """What happens to a turn that is stored already."""

    started: int = 0
    checkpoint: Encoded | None = None
    end: TurnEnd | None = None


@dataclass(slots=True)
class _NewTurn:
    """A turn that is not stored yet."""

    record: TurnRecord
    change: _Change = field(default_factory=_Change)


class Plan:
    """The actors of a group and what is to be written for them.

    Args:
        host_id: who writes.
        host_name: its name.
    """

    def __init__(self, host_id: str, host_name: str) -> None:
        self._host_id = host_id
        self._host_name = host_name
        self.actors: dict[ActorId, Actor] = {}
        self.known: dict[tuple[int, str], int] = {}  # positions by message id
        self.open: set[TurnKey] = set()
        self._clear()

    def _clear(self) -> None:
        self._new: dict[TurnKey, _NewTurn] = {}
        self._changes: dict[TurnKey, _Change] = {}
        self._values: dict[tuple[int, str], Encoded | None] = {}
        self._dirty: dict[int, Actor] = {}

    # --- the verbs

    def apply(self, actor_id: ActorId, change: ActorChange) -> "tuple[()] | Deferred":
        """See `IActorStateStorage.apply`."""
        actor = self.actors[actor_id]
        if not change.epoch or change.epoch != actor.epoch:
            raise StaleEpoch(actor_id, change.epoch, actor.owner_name or "nobody")
        if change.new_etag is not None and change.etag != actor.etag:
            raise Conflict(actor_id, change.etag, actor.etag)
        new, known = self._sort_accepted(actor_id, actor, change.accepted)
        self._check_ended(actor_id, actor.n, change.ended, new)

        for turn in new:
            self._accept(actor, turn)
        self._change_turns(actor.n, change)
        self._change_values(actor.n, change.set or {}, change.remove)
        if change.new_etag is not None:
            actor.etag = change.new_etag
            self._dirty[actor.n] = actor
        if change.add_marks or change.remove_marks:
            actor.marks = (actor.marks - change.remove_marks) | change.add_marks
            self._dirty[actor.n] = actor
        return Deferred("known", actor, known) if known else ()

    def claim(self, actor_id: ActorId, take_over: bool) -> Deferred:  # noqa: FBT001 - called as a step
        """See `IActorStateStorage.claim`."""
        actor = self.actors[actor_id]
        if actor.owner != self._host_id:
            if actor.owner is not None and actor.owner_alive and not take_over:
                owner = actor.owner_name or actor.owner
                raise ActorOwnedElsewhere(actor_id, owner)
            actor.epoch += 1
            actor.owner, actor.owner_name = self._host_id, self._host_name
            self._dirty[actor.n] = actor
        return Deferred("claim", actor)

    def write_state(
        self,
        actor_id: ActorId,
        argument: tuple[Mapping[str, Encoded], Iterable[str], str | None],
    ) -> str:
        """See `IActorStateStorage.write_state`."""
        values, remove, etag = argument
        actor = self.actors[actor_id]
        if etag != actor.etag:
            raise Conflict(actor_id, etag, actor.etag)
        self._change_values(actor.n, values, remove)
        actor.etag = uuid.uuid4().hex
        self._dirty[actor.n] = actor
        return actor.etag

    def delete_state(self, actor_id: ActorId, epoch: int | None) -> "Deferred | bool":
        """See `IActorStateStorage.delete_state`."""
        actor = self.actors[actor_id]
        if epoch is not None and (not epoch or epoch != actor.epoch):
            raise StaleEpoch(actor_id, epoch, actor.owner_name or "nobody")
        if not actor.epoch and actor.etag is None:
            # Its row may be there, for a later step of this group or written by hand.
            return Deferred("delete", actor) if actor.n else False
        actor.epoch += 1
        actor.owner = actor.owner_name = actor.etag = None
        actor.marks = frozenset()
        self._dirty[actor.n] = actor
        n = actor.n
        self.known = {known: at for known, at in self.known.items() if known[0] != n}
        self.open = {key for key in self.open if key[0] != n}
        return Deferred("delete", actor)

    def trim(self, actor_id: ActorId, keep: int) -> "Deferred | None":
        """See `IActorStateStorage.trim`."""
        actor = self.actors[actor_id]
        return Deferred("trim", actor, max(keep, 0)) if actor.n else None

    # --- what they are made of

    def _sort_accepted(
        self, actor_id: ActorId, actor: Actor, accepted: Iterable[TurnRecord]
    ) -> tuple[list[TurnRecord], list[int]]:
        """The turns that are new, and the positions of those that are known."""
        new: dict[str, TurnRecord] = {}
        known: list[int] = []
        next_position = actor.next_position
        for turn in accepted:
            twin = new.get(turn.message_id)
            at = twin.position if twin else self.known.get((actor.n, turn.message_id))
            if at is not None:
                known.append(at)
            elif turn.position < next_position:
                raise Conflict(actor_id, next_position, turn.position)
            else:
                new[turn.message_id] = turn
                next_position = turn.position + 1
        return list(new.values()), known

    def _check_ended(
        self,
        actor_id: ActorId,
        n: int,
        ended: Iterable[TurnEnd],
        new: Iterable[TurnRecord],
    ) -> None:
        for end in ended:
            if (n, end.position) not in self.open and all(
                turn.position != end.position for turn in new
            ):
                raise Conflict(actor_id, f"an open turn {end.position}", "none")

    def _accept(self, actor: Actor, turn: TurnRecord) -> None:
        key = actor.n, turn.position
        self._new[key] = _NewTurn(turn)
        self.known[actor.n, turn.message_id] = turn.position
        actor.next_position = turn.position + 1
        if turn.status is RequestStatus.PENDING:
            self.open.add(key)

    def _change(self, key: TurnKey) -> _Change:
        new = self._new.get(key)
        return new.change if new else self._changes.setdefault(key, _Change())

    def _change_turns(self, n: int, change: ActorChange) -> None:
        for position in change.started:
            if (n, position) in self.open:
                self._change((n, position)).started += 1
        if change.checkpoint is not None and (n, change.checkpoint[0]) in self.open:
            self._change((n, change.checkpoint[0])).checkpoint = change.checkpoint[1]
        for end in change.ended:
            self._change((n, end.position)).end = end
            self.open.discard((n, end.position))

    def _change_values(
        self, n: int, values: Mapping[str, Encoded], remove: Iterable[str]
    ) -> None:
        for key, value in values.items():
            self._values[n, key] = value
        for key in remove:
            self._values[n, key] = None

    # --- what is to be written

    def take_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of each part of `Statements.write`; nothing is left to be written."""
        rows = {
            "insert_turns": [_new_row(at, new) for at, new in self._new.items()],
            "change_turns": [_changed_row(at, to) for at, to in self._changes.items()],
            "set_values": [
                (n, encode_text(key), value)
                for (n, key), value in self._values.items()
                if value is not None
            ],
            "remove_values": [
                (n, encode_text(key))
                for (n, key), value in self._values.items()
                if value is None
            ],
            "change_actors": [_actor_row(actor) for actor in self._dirty.values()],
        }
        self._clear()
        return rows


def _new_row(key: TurnKey, new: _NewTurn) -> tuple[Any, ...]:
    turn, change = new.record, new.change
    end = change.end or turn
    checkpoint = change.checkpoint
    return (
        *key,
        encode_text(turn.message_id),
        end.status.value,
        turn.attempts + change.started,
        turn.accepted_at,
        end.ended_at,
        turn.body,
        end.result,
        end.entries,
        turn.checkpoint if checkpoint is None else checkpoint,
    )


def _changed_row(key: TurnKey, change: _Change) -> tuple[Any, ...]:
    end = change.end
    if end is None:
        return (*key, change.started, change.checkpoint, None, None, None, None)
    ended = (end.status.value, end.ended_at, end.result, end.entries)
    return (*key, change.started, change.checkpoint, *ended)


def _actor_row(actor: Actor) -> tuple[Any, ...]:
    marks = " ".join(sorted(actor.marks))
    return (actor.n, actor.epoch, actor.owner, actor.etag, marks)
