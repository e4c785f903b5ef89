"""A storage as one would explain it: a dict of actors, one step after the other."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Conflict,
    StaleEpoch,
    StorageError,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    Claim,
    TurnRecord,
)

Refused = type[StorageError] | type[ActorOwnedElsewhere]


class Learned(str):
    """A version that a storage makes; what it is, is known once it has answered."""

    __slots__ = ()


@dataclass
class ModelActor:
    epoch: int = 0
    owner: str | None = None
    etag: str | None = None
    values: dict[str, Encoded] = field(default_factory=dict[str, Encoded])
    marks: frozenset[str] = frozenset()
    next_position: int = 1
    turns: dict[int, TurnRecord] = field(default_factory=dict[int, TurnRecord])

    def find(self, message_id: str) -> TurnRecord | None:
        found = (one for one in self.turns.values() if one.message_id == message_id)
        return next(found, None)

    def open_turns(self) -> list[TurnRecord]:
        return [one for one in self.turns.values() if not one.status.is_final]

    def has_data(self) -> bool:
        return bool(self.turns or self.values)


class StorageModel:
    """What every storage does; `alive` are the ids of the hosts that live."""

    def __init__(self) -> None:
        self.actors: dict[ActorId, ModelActor] = {}
        self.alive: set[str] = set()

    def actor(self, actor_id: ActorId) -> ModelActor:
        return self.actors.setdefault(actor_id, ModelActor())

    def state(self, actor_id: ActorId) -> ActorState:
        actor = self.actor(actor_id)
        return ActorState(dict(actor.values), actor.etag, actor.epoch)

    def turns(self, actor_id: ActorId) -> list[TurnRecord]:
        return [replace(turn) for turn in self.actor(actor_id).turns.values()]

    def listed(self, *, open_only: bool, mark: str | None) -> list[ActorId]:
        return sorted(
            actor_id
            for actor_id, actor in self.actors.items()
            if (actor.open_turns() if open_only else actor.has_data())
            and (mark is None or mark in actor.marks)
        )

    # --- steps: what they return, or the error that refuses them

    def claim(
        self, actor_id: ActorId, host_id: str, *, take_over: bool
    ) -> Claim | Refused:
        actor = self.actor(actor_id)
        if actor.owner != host_id:
            if actor.owner in self.alive and not take_over:
                return ActorOwnedElsewhere
            actor.owner = host_id
            actor.epoch += 1
        return Claim(
            epoch=actor.epoch,
            etag=actor.etag,
            values=dict(actor.values),
            next_position=actor.next_position,
            open_turns=[replace(turn) for turn in actor.open_turns()],
            marks=actor.marks,
        )

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> tuple[TurnRecord, ...] | Refused:
        actor = self.actor(actor_id)
        if not change.epoch or change.epoch != actor.epoch:
            return StaleEpoch
        if change.new_etag is not None and change.etag != actor.etag:
            return Conflict
        new: dict[str, TurnRecord] = {}
        known: list[TurnRecord] = []
        for record in change.accepted:
            stored = actor.find(record.message_id) or new.get(record.message_id)
            if stored is not None:
                known.append(stored)
            else:
                new[record.message_id] = record
        may_end = {turn.position for turn in (*actor.open_turns(), *new.values())}
        if any(end.position not in may_end for end in change.ended):
            return Conflict

        self._change_turns(actor, change, new.values())
        actor.values |= change.set or {}
        for key in change.remove:
            actor.values.pop(key, None)
        if change.new_etag is not None:
            actor.etag = change.new_etag
        actor.marks = (actor.marks | change.add_marks) - change.remove_marks
        return tuple(map(replace, known))

    def _change_turns(
        self, actor: ModelActor, change: ActorChange, new: Collection[TurnRecord]
    ) -> None:
        for record in new:
            actor.turns[record.position] = replace(record)
            actor.next_position = record.position + 1
        running = {turn.position: turn for turn in actor.open_turns()}
        for position in change.started:
            if position in running:
                running[position].attempts += 1
        if change.checkpoint is not None and change.checkpoint[0] in running:
            running[change.checkpoint[0]].checkpoint = change.checkpoint[1]
        for end in change.ended:
            turn = running[end.position]
            turn.status, turn.result = end.status, end.result
            turn.entries, turn.ended_at = end.entries, end.ended_at

    def write_state(
        self,
        actor_id: ActorId,
        values: dict[str, Encoded],
        remove: Collection[str],
        etag: str | None,
    ) -> str | Refused:
        actor = self.actor(actor_id)
        if etag != actor.etag:
            return Conflict
        actor.values |= values
        for key in remove:
            actor.values.pop(key, None)
        actor.etag = Learned()
        return actor.etag

    def delete(self, actor_id: ActorId, epoch: int | None) -> bool | Refused:
        actor = self.actor(actor_id)
        if epoch is not None and epoch != actor.epoch:
            return StaleEpoch
        if actor == ModelActor():  # nobody has ever heard of it
            return False
        self.actors[actor_id] = ModelActor(
            epoch=actor.epoch + 1, next_position=actor.next_position
        )
        return actor.has_data()

    def trim(self, actor_id: ActorId, keep: int) -> None:
        turns = self.actor(actor_id).turns.values()
        ended = [turn for turn in turns if turn.status.is_final]
        for turn in ended[: max(len(ended) - keep, 0)]:
            turn.result = None
            if turn.status is not RequestStatus.INTERRUPTED:
                turn.body = None
