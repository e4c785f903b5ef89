"""Faults of the storage: F7 to F10 of the list in docs/faults.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    Conflict,
    MailboxFull,
    OutcomeUnknown,
    StaleEpoch,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.faults.plans import (
    Fault,
    FaultStep,
    Plan,
    fails,
    loses_answer,
    slow,
)
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from agent_runtime_nb.testing.simulated_loop import SimulatedLoop, simulate
from tests.fakes import (
    ONE,
    Gate,
    HandlingActor,
    ask,
    background,
    count,
    echo,
    ends,
    soon,
)
from tests.faults.conftest import Begin
from tests.faults.oracle import World

COMPLETED, FAILED = RequestStatus.COMPLETED, RequestStatus.FAILED


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> FaultyStorage:
    """A storage that has the faults it is told to have."""
    inner: IActorStateStorage = InMemoryStateStorage()
    if request.param == "sqlite":
        inner = SqliteStateStorage(tmp_path / "state.db", synchronous="NORMAL")
    return FaultyStorage(inner)


def in_commits_of_one(fault: Callable[[], Fault | None]) -> Plan:
    """Of the first worker alone."""

    def plan(step: FaultStep) -> Fault | None:
        commits = step.change is not None and ends(step.change)
        return fault() if commits and step.actor_id == ONE else None

    return plan


def steps_of_one(step: FaultStep) -> Fault | None:
    """Each takes 5 s."""
    return slow(5.0) if step.actor_id == ONE else None


def loses_each_first_answer() -> Plan:
    """The answer to each commit is lost, the one to its repetition arrives."""
    sent: set[int] = set()

    def plan(step: FaultStep) -> Fault | None:
        change = step.change
        if change is None or not ends(change) or step.actor_id != ONE:
            return None
        if (position := change.ended[0].position) in sent:
            return None
        sent.add(position)
        return loses_answer(Unavailable("there", "the connection was cut"))

    return plan


# --- F7


async def test_while_the_storage_is_down_senders_are_refused_at_once_and_then_served(
    begin: Begin, storage: FaultyStorage
) -> None:
    """F7: nothing is accepted."""
    world = await begin(echo, storage)
    await world.ask("before")

    with storage.down():
        for actor_id in (ONE, ActorId("worker", "new"), ActorId("bystander", "one")):
            with pytest.raises(Unavailable):
                await world.send("refused", actor_id)

    assert (await world.ask("after", actor_id=ActorId("worker", "new"))).data == "after"
    await world.judge()


async def test_a_commit_waits_until_the_storage_is_back_and_happens_once(
    begin: Begin, storage: FaultyStorage
) -> None:
    """F7: down for a moment."""
    gate = Gate()
    down = [Unavailable("there", "down") for _ in range(2)]
    storage.plan = in_commits_of_one(lambda: fails(down.pop()) if down else None)
    world = await begin(
        gate, storage, settings=RuntimeSettings(commit_retries=(0,) * 3)
    )
    running = await world.send("kept")
    await gate.begun.get()

    gate.passing.set()
    await world.others_answer()
    response = await soon(running.get_response())

    assert (response.status, response.data) == (COMPLETED, "kept")
    assert not down
    await world.judge()


async def test_a_turn_that_cannot_be_stored_is_told_so_and_interrupted_in_the_store(
    begin: Begin, storage: FaultyStorage
) -> None:
    """F7: down for longer than anybody waits."""
    gate = Gate()
    world = await begin(gate, storage)
    running = await world.send("lost", message_id="m-lost")
    await gate.begun.get()

    with storage.down():
        gate.passing.set()
        with pytest.raises(StorageError):
            await soon(running.get_response())

    await world.judge("m-lost")
    stored = await world.client.get_response(ONE, "m-lost")
    assert (await stored.get_response()).status is RequestStatus.INTERRUPTED


# --- F8


def simulated(
    scene: Callable[[World, SimulatedLoop, FaultyStorage], Any],
    caplog: pytest.LogCaptureFixture,
    **settings: Any,
) -> None:
    """Play a scene in virtual time, so that seconds are exact and cost none."""

    async def work(loop: SimulatedLoop) -> None:
        storage = FaultyStorage(InMemoryStateStorage())
        world = World(
            echo,
            caplog.records,
            storage,
            settings=RuntimeSettings(**settings),
            environment=loop.environment(),
            patience=60.0,
        )
        await world.runtime.start()
        await scene(world, loop, storage)
        storage.plan = None
        await world.judge()
        await world.runtime.stop()

    simulate(work)


def test_a_slow_storage_makes_one_actor_slow_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F8: 5 s for each step of one actor; (c) is exact here."""

    async def scene(world: World, loop: SimulatedLoop, storage: FaultyStorage) -> None:
        storage.plan = steps_of_one
        begun = loop.time()
        asking = background(world.ask("patient"))
        for _ in range(50):
            before = loop.time()
            await world.others_answer()
            assert loop.time() - before < 0.1
            await world.runtime.environment.sleep(0.3)
        response = await asking

        assert response.data == "patient"
        assert loop.time() - begun > 14.9  # claimed, accepted, committed

    simulated(scene, caplog, commit_retries=())


def test_the_mailbox_and_the_deadlines_of_a_slow_actor_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F8: what waits behind a slow commit is bounded, and ends in time."""

    async def scene(world: World, loop: SimulatedLoop, storage: FaultyStorage) -> None:
        world.handle = gate = Gate()
        storage.plan = in_commits_of_one(lambda: slow(5.0))
        handles = [await world.send(n, timeout=3.0) for n in range(4)]
        with pytest.raises(MailboxFull):
            await world.send("too many")
        begun = loop.time()
        gate.passing.set()
        responses = [await handle.get_response() for handle in handles]

        assert responses[0].status is COMPLETED  # its commit was on its way
        assert {one.data["error"]["type"] for one in responses[1:]} == {
            "DeadlineExceeded"
        }
        assert loop.time() - begun < 25

    simulated(scene, caplog, mailbox_limit=3)


# --- F9


async def test_a_conflict_fails_its_turn_and_the_next_one_sees_the_foreign_write(
    begin: Begin, storage: FaultyStorage
) -> None:
    """F9: somebody wrote the state of the actor beside its owner."""
    gate = Gate()
    world = await begin(gate, storage)
    running = await world.send("mine", message_id="m-conflict")
    await gate.begun.get()
    found = await storage.read_state(ONE)
    await storage.write_state(ONE, set={"note": b'"theirs"'}, etag=found.etag)
    await world.others_answer()

    gate.passing.set()
    response = await soon(running.get_response())

    assert response.status is FAILED
    assert response.data["error"]["type"] == Conflict.__name__
    await world.judge()
    assert (await storage.read_state(ONE)).values == {"note": b'"theirs"', "n": b"1"}


async def test_a_turn_whose_actor_was_taken_over_is_refused_and_its_new_owner_goes_on(
    begin: Begin,
) -> None:
    """F9: a stale epoch."""
    data, gate = InMemoryStateStorage(), Gate()
    world = await begin(gate, data)
    running = await world.send("stale", message_id="m-stale")
    await gate.begun.get()
    second = InProcessActorRuntime(InMemoryStateStorage(data))
    second.register_actor_type("worker", lambda _: HandlingActor(count))
    await second.start()
    second.take_over = True

    newer = await ask(second, "newer")
    await world.others_answer()
    gate.passing.set()
    with pytest.raises(StaleEpoch, match="process"):
        await soon(running.get_response())
    await second.stop(drain=0)

    assert newer.data == 1
    await world.judge("m-stale")


# --- F10


async def test_100_commits_whose_answers_are_lost_happen_once_each(
    begin: Begin, storage: FaultyStorage
) -> None:
    """F10."""
    storage.plan = loses_each_first_answer()
    world = await begin(echo, storage)

    for n in range(100):
        assert (await world.ask(n)).data == n
    await world.others_answer()
    again = [await world.ask(n, message_id="the same") for n in (1, 1)]
    storage.plan = None

    assert [one.data for one in again] == [1, 1]
    await world.judge()
    assert (await storage.read_state(ONE)).values == {"n": b"102"}


async def test_100_accepts_whose_answers_are_lost_run_once_when_they_are_sent_again(
    begin: Begin, storage: FaultyStorage
) -> None:
    """F10: the request is stored, and its sender does not know."""
    lose = True

    def plan(step: FaultStep) -> Fault | None:
        accepted = () if step.change is None else step.change.accepted
        if not accepted or step.actor_id != ONE or not lose:
            return None
        return loses_answer(OutcomeUnknown(ONE, accepted[0].message_id))

    storage.plan = plan
    world = await begin(echo, storage)
    for n in range(100):
        lose = True
        with pytest.raises(OutcomeUnknown):
            await world.send(n, message_id=f"m-{n}")
        lose = False
        assert (await world.ask(n, message_id=f"m-{n}")).data == n
    await world.others_answer()

    await world.judge()
    assert (await storage.read_state(ONE)).values == {"n": b"101"}
