"""Sweeps for old conversations: bounded, one at a time, reading no more than they need."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from agent_runtime_nb.exceptions import Unavailable
from agent_runtime_nb.runtime.expiry import Expiry
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorState,
    IActorStateStorage,
)
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep, never_answers
from tests.fakes import FaultyStorage, ManualClock, StartRuntime, ask, count, settled

DAY = 86400.0
IDS = [ActorId("worker", f"c{number}") for number in range(5)]


class Aged:
    """Five conversations that nobody has used for two days, and the time of day."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.wall_clock = ManualClock()

    async def start(
        self,
        start: StartRuntime,
        storage: IActorStateStorage | None = None,
        **settings: Any,
    ) -> InProcessActorRuntime:
        runtime = await start(
            count,
            storage,
            environment=Environment(clock=self.clock, wall_clock=self.wall_clock),
            settings=RuntimeSettings(conversation_ttl=DAY, **settings),
        )
        for actor_id in IDS:
            await ask(runtime, None, actor_id)
        await settled()
        self.wall_clock.advance(2 * DAY)
        return runtime


async def left(runtime: InProcessActorRuntime) -> list[ActorId]:
    return list((await runtime.storage.list_actors()).items)


async def test_a_sweep_deletes_so_many_at_most_and_the_next_one_goes_on(
    start: StartRuntime,
) -> None:
    runtime = await Aged().start(start)
    expiry = Expiry(runtime._actors, most=2)

    assert await expiry.expire(DAY) == 2
    assert await left(runtime) == IDS[2:]
    assert await expiry.expire(DAY) == 2
    assert await expiry.expire(DAY) == 1
    assert await left(runtime) == []


async def test_the_sweep_after_one_that_has_left_some_comes_within_a_minute(
    start: StartRuntime,
) -> None:
    aged = Aged()
    runtime = await aged.start(start)
    expiry = Expiry(runtime._actors, most=3)

    for expected in (IDS[3:], IDS[3:], []):
        expiry.sweep()
        await runtime._actors.tasks.wait(5)
        assert await left(runtime) == expected
        aged.clock.advance(30)

    await ask(runtime, None, IDS[0])
    await settled()
    aged.wall_clock.advance(2 * DAY)
    for seconds, expected in ((60, IDS[:1]), (3600, [])):
        aged.clock.advance(seconds)
        expiry.sweep()
        await runtime._actors.tasks.wait(5)
        assert await left(runtime) == expected


async def test_two_sweeps_are_never_under_way_at_once(start: StartRuntime) -> None:
    aged, storage = Aged(), FaultyStorage()
    runtime = await aged.start(start, storage)
    storage.hold()

    runtime._expiry.sweep()
    await storage.held_back.get()  # its first deletion
    for _ in range(3):
        aged.clock.advance(3 * 3600)
        runtime._expiry.sweep()
        await settled()

    assert storage.held_back.qsize() == 0
    storage.let_go()
    await runtime._actors.tasks.wait(5)
    assert await left(runtime) == []


class Recording(InMemoryStateStorage):
    """Notes the keys of all values that it gives to readers."""

    def __init__(self) -> None:
        super().__init__()
        self.given: set[str] = set()

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        states = await super().read_states(actor_ids, keys, prefix=prefix)
        self.given.update(*(state.values for state in states))
        return states


async def test_a_sweep_reads_no_value_of_an_actor_itself(start: StartRuntime) -> None:
    storage = Recording()
    runtime = await Aged().start(start, storage)
    await runtime.rename(IDS[1], "a name")

    assert await runtime._expiry.expire(DAY) == len(IDS)
    assert storage.given == {"$conversation"}


async def test_a_deletion_that_is_never_answered_ends_its_sweep_and_not_the_next(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    aged, storage = Aged(), FaultyStorage()
    runtime = await aged.start(start, storage, storage_timeout=0.05)
    deletions: list[ActorId | None] = []

    def plan(step: FaultStep) -> Fault | None:
        if step.verb != "delete_state":
            return None
        deletions.append(step.actor_id)
        return never_answers(takes_effect=False) if len(deletions) == 2 else None

    storage.plan = plan
    with caplog.at_level(logging.WARNING):
        runtime._expiry.sweep()
        await runtime._actors.tasks.wait(5)

    assert deletions == IDS[:2]
    assert "old conversations are not deleted for now" in caplog.text
    aged.clock.advance(3600)
    runtime._expiry.sweep()
    await runtime._actors.tasks.wait(5)
    assert await left(runtime) == []


async def test_a_storage_that_is_gone_is_said_to_who_asks_for_a_sweep(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await Aged().start(start, storage)

    with storage.down(), pytest.raises(Unavailable):
        await runtime._expiry.expire(DAY)

    assert await runtime._expiry.expire(DAY) == len(IDS)


async def test_a_fork_and_an_import_count_from_when_they_were_made(
    start: StartRuntime,
) -> None:
    aged = Aged()
    runtime = await aged.start(start)
    turns = (await runtime.read_actor(IDS[0])).turns
    fork = await runtime.fork(IDS[0], to=ActorId("worker", "fork"))
    await runtime.import_turns(ActorId("worker", "import"), turns)

    await Expiry(runtime._actors).expire(DAY)
    on_the_first_day = await left(runtime)
    aged.wall_clock.advance(2 * DAY)
    await Expiry(runtime._actors).expire(DAY)

    assert on_the_first_day == [fork, ActorId("worker", "import")]
    assert await left(runtime) == []
