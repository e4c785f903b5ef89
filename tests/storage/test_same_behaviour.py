"""Random steps have the same outcomes in SQLite, grouped, as one by one in memory."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnEnd,
    TurnRecord,
)
from tests.effort import amount

ACTORS = [ActorId("echo", "one"), ActorId("echo", "two")]
Etags = dict[ActorId, str | None]
"""The versions before a batch; those that storages make differ between them."""


@dataclass(frozen=True)
class Op:
    """A step; `number` is never used twice and gives positions and versions."""

    actor_id: ActorId
    call: Callable[[IActorStateStorage, "Op", Etags], "asyncio.Future[Any]"]
    number: int
    epoch: int
    message: str
    back: int
    fresh: bool

    @property
    def place(self) -> int:
        return max(self.number - self.back, 1)

    def etag(self, etags: Etags) -> str | None:
        return etags[self.actor_id] if self.fresh else "stale"


def claim(storage: IActorStateStorage, op: Op, etags: Etags) -> "asyncio.Future[Any]":
    return storage.claim(op.actor_id, take_over=op.fresh)


def accept(storage: IActorStateStorage, op: Op, etags: Etags) -> "asyncio.Future[Any]":
    turn = TurnRecord(position=op.number, message_id=op.message, body=b"{}")
    change = ActorChange(epoch=op.epoch, accepted=(turn,), started=(op.number,))
    return storage.apply(op.actor_id, change)


def copy(storage: IActorStateStorage, op: Op, etags: Etags) -> "asyncio.Future[Any]":
    turn = TurnRecord(
        position=op.number,
        message_id=op.message,
        status=RequestStatus.FAILED,
        attempts=op.back,
        body=b"{}",
        result=b"2",
        entries=b"[2]",
        ended_at=2.0,
    )
    change = ActorChange(
        epoch=op.epoch, accepted=(turn,), add_marks=frozenset({"dead"})
    )
    return storage.apply(op.actor_id, change)


def commit(storage: IActorStateStorage, op: Op, etags: Etags) -> "asyncio.Future[Any]":
    status = RequestStatus.INTERRUPTED if op.back % 2 else RequestStatus.COMPLETED
    end = TurnEnd(
        position=op.place, status=status, result=b"1", ended_at=1.0, entries=b"[]"
    )
    change = ActorChange(
        epoch=op.epoch,
        etag=op.etag(etags),
        new_etag=f"e{op.number}",
        checkpoint=(op.place, b"%d" % op.number),
        ended=(end,),
        set={op.message: b"%d" % op.number},
        remove=("m1",) if op.back else (),
        add_marks=frozenset(["dead", "outbox"][: op.back])
        if op.back < 3
        else frozenset(),
        remove_marks=frozenset(["dead", "outbox"][op.back :]),
    )
    return storage.apply(op.actor_id, change)


def stage(storage: IActorStateStorage, op: Op, etags: Etags) -> "asyncio.Future[Any]":
    change = ActorChange(
        epoch=op.epoch,
        started=(op.place,),
        checkpoint=(op.place, b"%d" % op.number),
        set={op.message: b"%d" % op.number},
    )
    return storage.apply(op.actor_id, change)


def write(storage: IActorStateStorage, op: Op, etags: Etags) -> "asyncio.Future[Any]":
    return storage.write_state(
        op.actor_id,
        set={op.message: b"%d" % op.number},
        remove=["m2"],
        etag=op.etag(etags),
    )


def delete(storage: IActorStateStorage, op: Op, etags: Etags) -> "asyncio.Future[Any]":
    return storage.delete_state(op.actor_id, epoch=op.epoch if op.back else None)


@st.composite
def batches(draw: st.DrawFn) -> list[list[Op]]:
    call = st.sampled_from([claim, claim, accept, accept, accept, commit, commit])
    rare = st.sampled_from([stage, copy, write, delete])
    number = 0
    drawn: list[list[Op]] = []
    for size in draw(st.lists(st.integers(1, 8), min_size=1, max_size=6)):
        batch: list[Op] = []
        for _ in range(size):
            number += 1
            batch.append(
                Op(
                    draw(st.sampled_from(ACTORS)),
                    draw(st.one_of(call, call, rare)),
                    number,
                    draw(st.sampled_from([1, 1, 1, 2, 3])),
                    draw(st.sampled_from(["m1", "m2", "m3", "m4"])),
                    draw(st.integers(0, 4)),
                    draw(st.booleans()),
                )
            )
        drawn.append(batch)
    return drawn


def plain(outcome: object) -> object:
    """An outcome without what may differ: versions and the words of errors."""
    if isinstance(outcome, BaseException):
        return type(outcome)
    if isinstance(outcome, str):
        return "a new version"
    if isinstance(outcome, Claim):
        return (
            outcome.epoch,
            outcome.values,
            outcome.next_position,
            outcome.open_turns,
            outcome.marks,
        )
    return outcome


async def outcomes_of(
    storage: IActorStateStorage, drawn: list[list[Op]]
) -> list[object]:
    """What the batches come to, each called at once, and what is stored after each."""
    found: list[object] = []
    await storage.open(HostInfo("h", "h"))
    for batch in drawn:
        etags = {one: (await storage.read_state(one)).etag for one in ACTORS}
        outcomes = await asyncio.gather(
            *(op.call(storage, op, etags) for op in batch), return_exceptions=True
        )
        found += map(plain, outcomes)
        for one in ACTORS:
            state = await storage.read_state(one)
            found += [state.values, state.epoch, state.etag is None]
            found += [await storage.read_turns(one)]
        found += [
            await storage.list_actors(),
            await storage.list_actors(open_only=True),
            await storage.list_actors(mark="outbox"),
            await storage.list_actors(mark="dead", open_only=True),
        ]
    await storage.trim(ACTORS[0], 1)
    found += [await storage.read_turns(ACTORS[0])]
    await storage.close()
    return found


@pytest.mark.scales
@pytest.mark.timeout(amount(60, quick=60, long=600))
@settings(max_examples=amount(60, quick=10, long=600), deadline=None)
@given(batches())
def test_sqlite_in_groups_does_what_memory_does_one_by_one(drawn: list[list[Op]]):
    expected = asyncio.run(outcomes_of(InMemoryStateStorage(), drawn))

    with tempfile.TemporaryDirectory() as folder:
        storage = SqliteStateStorage(Path(folder) / "state.db", synchronous="NORMAL")
        found = asyncio.run(outcomes_of(storage, drawn))

    assert found == expected
