"""The faulty storage: each fault does what it says, in call order."""

import asyncio

import pytest

from agent_runtime_nb.exceptions import Conflict, Unavailable
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange, HostInfo, TurnRecord
from agent_runtime_nb.testing.faults.plans import (
    Fault,
    FaultStep,
    RandomFaults,
    fails,
    loses_answer,
    never_answers,
    slow,
)
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from agent_runtime_nb.testing.simulated_loop import (
    SimulatedLoop,
    simulate,
)
from agent_runtime_nb.testing.storage_kit.check import check_storage
from tests.simulation.chance import seeded

ONE = ActorId("worker", "one")
DOWN = Unavailable("there", "down")


def accept(position: int) -> ActorChange:
    record = TurnRecord(position=position, message_id=f"m{position}", body=b"[]")
    return ActorChange(epoch=1, accepted=(record,))


async def opened(*faults: Fault | None) -> FaultyStorage:
    storage = FaultyStorage(InMemoryStateStorage())
    await storage.open(HostInfo("me", "me"))
    await storage.claim(ONE)
    storage.script(faults)
    return storage


async def stored(storage: FaultyStorage) -> list[str]:
    return [turn.message_id for turn in await storage.inner.read_turns(ONE)]


@pytest.mark.parametrize("raised", [False, True])
async def test_a_step_that_fails_before_has_changed_nothing(raised: bool) -> None:  # noqa: FBT001
    storage = await opened(fails(DOWN, raised=raised))

    with pytest.raises(Unavailable):
        await storage.apply(ONE, accept(1))

    assert await stored(storage) == []


async def test_a_step_whose_answer_is_lost_has_taken_effect() -> None:
    storage = await opened(loses_answer(DOWN))

    with pytest.raises(Unavailable):
        await storage.apply(ONE, accept(1))

    assert await stored(storage) == ["m1"]


@pytest.mark.parametrize("takes_effect", [False, True])
async def test_a_silent_step_is_never_answered(takes_effect: bool) -> None:  # noqa: FBT001
    storage = await opened(never_answers(takes_effect=takes_effect))

    silent_step = storage.apply(ONE, accept(1))
    await storage.apply(ONE, accept(2))

    assert not silent_step.done()
    assert await stored(storage) == (["m1", "m2"] if takes_effect else ["m2"])


def test_slow_steps_of_one_actor_take_effect_and_are_answered_in_call_order() -> None:
    async def work(loop: SimulatedLoop) -> tuple[list[tuple[int, float]], list[str]]:
        storage = await opened(slow(2.0, 3.0), None, slow(1.0))
        answers: list[tuple[int, float]] = []
        for number in (1, 2, 3):
            step = storage.apply(ONE, accept(number))
            step.add_done_callback(
                lambda _, number=number: answers.append((number, loop.time()))
            )
        await asyncio.sleep(10)
        return answers, await stored(storage)

    answers, turns = simulate(work)

    assert answers == [(1, 5.0), (2, 5.0), (3, 6.0)]
    assert turns == ["m1", "m2", "m3"]


async def test_a_cancelled_step_still_takes_effect() -> None:
    storage = await opened(slow(0.01))

    storage.apply(ONE, accept(1)).cancel()
    await storage.apply(ONE, accept(2))

    assert await stored(storage) == ["m1", "m2"]


async def test_closing_lets_what_is_late_take_effect() -> None:
    other = InMemoryStateStorage()
    storage = FaultyStorage(InMemoryStateStorage(other), lambda _: slow(0.01))
    await storage.open(HostInfo("me", "me"))
    await storage.claim(ONE)

    late = storage.apply(ONE, accept(1))
    await storage.close()

    await other.open(HostInfo("other", "other"))
    assert late.done()
    assert [turn.message_id for turn in await other.read_turns(ONE)] == ["m1"]


async def test_nothing_works_while_it_is_down() -> None:
    storage = await opened()

    with storage.down(), pytest.raises(Unavailable):
        await storage.read_state(ONE)
    with storage.down(DOWN), pytest.raises(Unavailable):
        await storage.apply(ONE, accept(1))

    assert await stored(storage) == []


async def test_answers_are_held_until_they_are_let_go() -> None:
    storage = await opened()
    storage.hold(lambda change: bool(change.accepted))

    step = storage.apply(ONE, accept(1))
    held = await storage.held_back.get()
    assert not step.done()
    storage.let_go()

    assert await step == ()
    assert held is not None
    assert await stored(storage) == ["m1"]


def test_random_faults_are_those_of_their_seed_and_as_many_as_asked_for() -> None:
    step = FaultStep("apply", ONE, ActorChange(epoch=1, etag="a", new_etag="b"))

    def draw(seed: int) -> list[Fault | None]:
        plan = RandomFaults(seeded(seed), rate=0.3, silence=0.1)
        return [plan(step) for _ in range(1000)]

    drawn = draw(3)

    faults = [fault for fault in drawn if fault is not None]
    assert list(map(str, drawn)) == list(map(str, draw(3)))
    assert 230 < len(faults) < 370
    assert {fault.silent for fault in faults} == {True, False}
    assert Conflict in {type(fault.error) for fault in faults}
    assert any(fault.delay or fault.answer_delay for fault in faults)


async def test_without_faults_it_keeps_the_contract_of_storages() -> None:
    data = InMemoryStateStorage()

    report = await check_storage(lambda: FaultyStorage(InMemoryStateStorage(data)))

    assert report.ok, str(report)
