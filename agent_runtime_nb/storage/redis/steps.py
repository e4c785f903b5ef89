"""The steps that wait for the writer: what each sends, and what its answer means."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from agent_runtime_nb.exceptions import (
    Conflict,
    OutcomeUnknown,
    StaleEpoch,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage.redis.keys import ALL, OPEN, ActorKeys, mark_index
from agent_runtime_nb.storage.redis.scripts import (
    APPLY,
    CLAIM,
    DELETE,
    TRIM,
    WRITE,
    Command,
    record_of,
    values_of,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
    TurnEnd,
    TurnRecord,
)


class RedisStep(ABC):
    """A call that waits for its group.

    Attributes:
        actor_id: whose.
        indexes: those that the actor must be entered in before.
        joins: whether it may be sent together with earlier such steps of its actor.
    """

    indexes: Iterable[str] = ()
    joins = False

    def __init__(self, actor_id: ActorId) -> None:
        self.actor_id = actor_id

    @abstractmethod
    def command(self, keys: ActorKeys, generation: str) -> Command:
        """What is sent."""

    @abstractmethod
    def result(self, word: bytes, facts: list[Any]) -> object:
        """What an answer means: the result, or an error (not raised)."""

    @abstractmethod
    def unknown(self, where: str, reason: object) -> StorageError:
        """The error of a step whose answer was lost."""


class ClaimStep(RedisStep):
    """See `IActorStateStorage.claim`.

    Attributes:
        dead: the id of a host that is dead.
        generation: of the actor, known with the answer.
    """

    def __init__(self, actor_id: ActorId, host: HostInfo, *, take_over: bool) -> None:
        super().__init__(actor_id)
        self.dead = ""
        self.generation = ""
        self._host = host
        self._take_over = take_over

    def command(self, keys: ActorKeys, generation: str) -> Command:
        host = self._host
        return CLAIM.call(
            keys, host.host_id, host.name, int(self._take_over), self.dead
        )

    def result(self, word: bytes, facts: list[Any]) -> object:
        epoch, etag, following, generation, marks, values, turns = facts
        self.generation = generation.decode()
        return Claim(
            epoch=int(epoch),
            etag=_text(etag),
            values=values_of(values),
            next_position=int(following),
            open_turns=[record_of(turn) for turn in turns],
            marks=frozenset((marks or b"=")[1:].decode().split()),
        )

    def unknown(self, where: str, reason: object) -> StorageError:
        # Claiming again gives the same, so nothing needs to be found out.
        return Unavailable(where, reason)


class ApplyStep(RedisStep):
    """See `IActorStateStorage.apply`; made when it is called, read once."""

    joins = True

    def __init__(self, actor_id: ActorId, change: ActorChange) -> None:
        super().__init__(actor_id)
        self._epoch = change.epoch
        self._etag = change.etag
        self._commit = change.new_etag or (
            f"of request {change.accepted[0].message_id}" if change.accepted else "?"
        )
        self._words = _words_of(change)
        self.indexes = _indexes_of(change)

    def command(self, keys: ActorKeys, generation: str) -> Command:
        return APPLY.call(keys, self._epoch, generation, *self._words)

    def result(self, word: bytes, facts: list[Any]) -> object:
        match word:
            case b"ok":
                return tuple(record_of(turn) for turn in facts[0])
            case b"epoch":
                owner = _text(facts[0]) if facts else None
                return StaleEpoch(self.actor_id, self._epoch, owner or "nobody")
            case b"position":
                following, given = map(int, facts)
                return Conflict(self.actor_id, following, given)
            case b"open":
                status = _text(facts[1]) if len(facts) > 1 else None
                wanted = f"an open turn {int(facts[0])}"
                return Conflict(self.actor_id, wanted, status or "nothing")
            case _:
                found = _text(facts[0]) if facts else None
                return Conflict(self.actor_id, self._etag, found)

    def unknown(self, where: str, reason: object) -> StorageError:
        return OutcomeUnknown(self.actor_id, self._commit)


class WriteStep(RedisStep):
    """See `IActorStateStorage.write_state`."""

    indexes = (ALL,)

    def __init__(
        self,
        actor_id: ActorId,
        values: Mapping[str, Encoded],
        remove: Iterable[str],
        *,
        etag: str | None,
        new_etag: str,
    ) -> None:
        super().__init__(actor_id)
        self._etag = etag
        self._new_etag = new_etag
        removed = tuple(remove)
        counts = len(values), len(removed)
        pairs = [word for pair in values.items() for word in pair]
        self._words = (_given(etag), new_etag, *counts, *pairs, *removed)

    def command(self, keys: ActorKeys, generation: str) -> Command:
        return WRITE.call(keys, generation, *self._words)

    def result(self, word: bytes, facts: list[Any]) -> object:
        if word == b"ok":
            return self._new_etag
        found = _text(facts[0]) if facts else None
        return Conflict(self.actor_id, self._etag, found)

    def unknown(self, where: str, reason: object) -> StorageError:
        return OutcomeUnknown(self.actor_id, self._new_etag)


class DeleteStep(RedisStep):
    """See `IActorStateStorage.delete_state`."""

    def __init__(self, actor_id: ActorId, epoch: int | None) -> None:
        super().__init__(actor_id)
        self._epoch = epoch

    def command(self, keys: ActorKeys, generation: str) -> Command:
        return DELETE.call(keys, "" if self._epoch is None else self._epoch)

    def result(self, word: bytes, facts: list[Any]) -> object:
        if word == b"ok":
            return facts[0] > 0
        owner = _text(facts[0]) if facts else None
        return StaleEpoch(self.actor_id, self._epoch, owner or "nobody")

    def unknown(self, where: str, reason: object) -> StorageError:
        return OutcomeUnknown(self.actor_id, "(a deletion)")


class TrimStep(RedisStep):
    """See `IActorStateStorage.trim`."""

    def __init__(self, actor_id: ActorId, keep: int) -> None:
        super().__init__(actor_id)
        self._keep = keep

    def command(self, keys: ActorKeys, generation: str) -> Command:
        return TRIM.call(keys, max(self._keep, 0))

    def result(self, word: bytes, facts: list[Any]) -> object:
        return None

    def unknown(self, where: str, reason: object) -> StorageError:
        return Unavailable(where, reason)  # trimming again does no harm


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _given(etag: str | None) -> str:
    return "-" if etag is None else f"={etag}"


def _indexes_of(change: ActorChange) -> set[str]:
    indexes = {mark_index(mark) for mark in change.add_marks}
    if change.accepted or change.set:
        indexes.add(ALL)
    if any(turn.status is RequestStatus.PENDING for turn in change.accepted):
        indexes.add(OPEN)
    return indexes


def _words_of(change: ActorChange) -> list[Any]:
    """The arguments of APPLY, from the etag on."""
    words: list[Any] = [_given(change.etag) if change.new_etag is not None else ""]
    words += (change.new_etag or "", _marks(change))
    values, removed = change.set or {}, tuple(change.remove)
    words += (len(change.accepted), len(change.started), len(change.ended))
    words += (len(values), len(removed))
    words += change.checkpoint or ("", b"")
    words += [f":{turn.message_id}" for turn in change.accepted]
    for turn in change.accepted:
        parts = _parts_of_turn(turn)
        pending = int(turn.status is RequestStatus.PENDING)
        words += (turn.position, pending, len(parts) // 2, *parts)
    words += change.started
    for end in change.ended:
        parts = _parts_of_end(end)
        gone = ("r" if end.result is None else "") + (
            "e" if end.entries is None else ""
        )
        words += (end.position, len(parts) // 2, gone, *parts)
    for pair in values.items():
        words += pair
    words += removed
    return words


def _marks(change: ActorChange) -> str:
    added = (f" +{mark}" for mark in sorted(change.add_marks))
    removed = (f" -{mark}" for mark in sorted(change.remove_marks))
    return "".join((*added, *removed))


def _parts_of_turn(turn: TurnRecord) -> list[Any]:
    at = turn.position
    parts: list[Any] = [f"{at}n", turn.attempts, f"{at}i", turn.message_id]
    parts += (f":{turn.message_id}", at)
    parts += (f"{at}s", turn.status.value, f"{at}a", repr(turn.accepted_at))
    if turn.ended_at is not None:
        parts += (f"{at}z", repr(turn.ended_at))
    given = (("b", turn.body), ("r", turn.result), ("e", turn.entries))
    for letter, part in (*given, ("c", turn.checkpoint)):
        if part is not None:
            parts += (f"{at}{letter}", part)
    return parts


def _parts_of_end(end: TurnEnd) -> list[Any]:
    at = end.position
    parts: list[Any] = [f"{at}s", end.status.value, f"{at}z", repr(end.ended_at)]
    if end.result is not None:
        parts += (f"{at}r", end.result)
    if end.entries is not None:
        parts += (f"{at}e", end.entries)
    return parts
