"""Copies of the runtime and of storages that break a promise: each must be found."""

import asyncio
from asyncio import Future
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent_runtime_nb.runtime import catalog
from agent_runtime_nb.runtime.cell import ActorCell
from agent_runtime_nb.runtime.commit import CellServices
from agent_runtime_nb.runtime.ownership import DEAD
from agent_runtime_nb.runtime.turn import CancelReason, Turn
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    IActorStateStorage,
    TurnRecord,
)
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from tests.simulation.world import Parts, at_once

_LATE = 0.3


def plant(monkeypatch: pytest.MonkeyPatch, broken: "type[ActorCell]") -> None:
    """Let runtimes make their actors of that class from now on.

    Raises:
        LookupError: if it would change nothing: the runtime makes them of another
            class, or what the broken one overrides is not there.
    """
    overridden = {name for name in vars(broken) if not name.startswith("__")}
    missing = sorted(name for name in overridden if not hasattr(ActorCell, name))
    if missing:
        raise LookupError(f"{broken.__name__} overrides what is not there: {missing}")
    if vars(catalog).get("ActorCell") is not ActorCell:
        raise LookupError("the catalog does not make its actors of ActorCell")
    monkeypatch.setattr(catalog, "ActorCell", broken)


class AcknowledgesFirst(FaultyStorage):
    """Says at once that a request is stored, and stores it a moment later."""

    def __init__(self, inner: IActorStateStorage) -> None:
        super().__init__(inner)
        self._late: defaultdict[ActorId, list[ActorChange]] = defaultdict(list)

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        loop = asyncio.get_running_loop()
        if not change.accepted:
            self._write(actor_id)
            return super().apply(actor_id, change)
        self._late[actor_id].append(change)
        loop.call_later(_LATE, self._write, actor_id)
        done: Future[tuple[TurnRecord, ...]] = loop.create_future()
        done.set_result(())
        return done

    def _write(self, actor_id: ActorId) -> None:
        for change in self._late.pop(actor_id, []):
            super().apply(actor_id, change).exception()


class ChecksNoEpoch(FaultyStorage):
    """Takes the writes of an owner that lost the actor as if they were of the present one."""

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        state = at_once(self.inner.read_state(actor_id, ()))
        return super().apply(actor_id, replace(change, epoch=state.epoch))


class ChecksNothing(ChecksNoEpoch):
    """As that one, and without a look at the etag or at turns that have ended."""

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        state = at_once(self.inner.read_state(actor_id, ()))
        turns = at_once(self.inner.read_turns(actor_id, limit=1_000))
        open_ones = {turn.position for turn in turns if not turn.status.is_final}
        ended = tuple(end for end in change.ended if end.position in open_ones)
        return super().apply(actor_id, replace(change, etag=state.etag, ended=ended))


class CountsNoAttempt(FaultyStorage):
    """Does not store that a turn is about to run."""

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        accepted = tuple(replace(turn, attempts=0) for turn in change.accepted)
        return super().apply(actor_id, replace(change, started=(), accepted=accepted))


class ForgetsIds(FaultyStorage):
    """Takes a request that it knows for a new one."""

    def __init__(self, inner: IActorStateStorage) -> None:
        super().__init__(inner)
        self._times: defaultdict[tuple[ActorId, str], int] = defaultdict(int)

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        accepted = tuple(self._renamed(actor_id, turn) for turn in change.accepted)
        return super().apply(actor_id, replace(change, accepted=accepted))

    def _renamed(self, actor_id: ActorId, turn: TurnRecord) -> TurnRecord:
        find = self.inner.find_turn(actor_id, turn.message_id)
        if at_once(find) is None:
            return turn
        self._times[actor_id, turn.message_id] += 1
        number = self._times[actor_id, turn.message_id]
        return replace(turn, message_id=f"{turn.message_id} again {number}")


BROKEN_STORAGES: dict[str, Callable[[IActorStateStorage], IActorStateStorage]] = {
    "acknowledges before it inserts": AcknowledgesFirst,
    "has no fence": ChecksNothing,
    "counts no attempt": CountsNoAttempt,
    "gives a known id a second answer": ForgetsIds,
}


class LosesWakeUps(ActorCell):
    """Looks at the mailbox for the last time, and says a moment later that it rests."""

    def _rest(self, task: Any) -> None:
        asyncio.get_running_loop().call_soon(super()._rest, task)


class CancelsCommits(ActorCell):
    """Does not shield a commit: a cancellation ends the wait, but not the write."""

    def cancel(self, turn: Turn, reason: CancelReason) -> bool:
        if turn.committing and not turn.ended:
            self.forget(turn)
            turn.end(RequestStatus.CANCELLED, b"null", self._wall_clock())
            return True
        return super().cancel(turn, reason)


class _MarksAsKnown(FaultyStorage):
    """Writes all marks as its actor knows them; after a requeue as it knew them before."""

    def __init__(self, inner: IActorStateStorage) -> None:
        super().__init__(inner)
        self._known: frozenset[str] = frozenset()

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        claimed = super().claim(actor_id, take_over=take_over)
        claimed.add_done_callback(self._claimed)
        return claimed

    def _claimed(self, claimed: "Future[Claim]") -> None:
        if not claimed.cancelled() and claimed.exception() is None:
            self._known = claimed.result().marks

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        is_requeue = any(key.startswith(DEAD) for key in change.remove)
        if not (change.add_marks or change.remove_marks or is_requeue):
            return super().apply(actor_id, change)
        marks = (self._known | change.add_marks) - change.remove_marks
        gone = frozenset({"dead", "outbox"}) - marks
        written = super().apply(
            actor_id, replace(change, add_marks=marks, remove_marks=gone)
        )
        if is_requeue:
            written.add_done_callback(lambda _: self._knows(marks))
        else:
            self._knows(marks)
        return written

    def _knows(self, marks: frozenset[str]) -> None:
        self._known = marks


class OverwritesMarks(ActorCell):
    """Keeps the marks in memory, and changes them there only when a write has ended."""

    def __init__(self, actor_id: ActorId, around: CellServices) -> None:
        super().__init__(actor_id, around)
        if self._storage is not around.storage:
            raise LookupError("an actor does not keep its storage there")
        self._storage = _MarksAsKnown(around.storage)


BROKEN_ACTORS: dict[str, type[ActorCell]] = {
    "loses a wake-up": LosesWakeUps,
    "does not shield the commit": CancelsCommits,
    "overwrites marks": OverwritesMarks,
}


RUNS_BY_ITSELF = Parts(on_interrupted="rerun")
"""Runs again what a dead host left, although something else was asked for."""
