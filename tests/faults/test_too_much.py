"""Too much at once, and time that jumps: F19, F20, F21 and F28 of docs/faults.md."""

import asyncio
import time

import pytest

from agent_runtime_nb.exceptions import MailboxFull, NotRunning
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from tests.fakes import ONE, Gate, ManualClock, ends, settled, soon
from tests.faults.conftest import Begin
from tests.faults.oracle import World

COMPLETED, CANCELLED = RequestStatus.COMPLETED, RequestStatus.CANCELLED
INTERRUPTED = RequestStatus.INTERRUPTED
HUNDRED = [ActorId("worker", f"w{n}") for n in range(100)]


async def flood(world: World, actors: list[ActorId]) -> list[MailboxFull]:
    """Send one request to each of these; who was refused."""
    sending = (world.send(n, actor_id) for n, actor_id in enumerate(actors))
    results = await asyncio.gather(*sending, return_exceptions=True)
    return [one for one in results if isinstance(one, MailboxFull)]


async def statuses(handles: list[ActorResponseHandle]) -> list[RequestStatus]:
    return [(await soon(handle.get_response())).status for handle in handles]


# --- F19


async def test_a_flood_is_refused_at_its_senders_and_loses_nothing_that_was_accepted(
    begin: Begin,
) -> None:
    """F19: one actor."""
    gate = Gate()
    world = await begin(gate)
    await world.send("running")
    await gate.begun.get()

    refused = await flood(world, [ONE] * 1000)
    await world.others_answer()
    gate.passing.set()

    assert len(refused) == 900
    assert min(one.retry_after for one in refused) > 0
    assert len(world.accepted) == 102  # with the other actor's
    await statuses(list(world.accepted.values()))  # then there is room again
    await world.judge()
    assert len(world.ran[ONE]) == 101 + 1


async def test_a_flood_over_many_actors_is_refused_and_who_does_not_wait_is_served(
    begin: Begin,
) -> None:
    """F19: the whole runtime."""
    gate = Gate()
    world = await begin(gate, settings=RuntimeSettings(waiting_limit=150))
    await flood(world, HUNDRED)
    for _ in HUNDRED:
        await gate.begun.get()

    refused = await flood(world, HUNDRED * 3)
    await world.others_answer()
    gate.passing.set()

    assert len(refused) == 150
    await statuses(list(world.accepted.values()))
    await world.judge(same_actor=HUNDRED[0])


# --- F20


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 8 * 3600.0])
async def test_a_wall_clock_that_jumps_ends_no_turn_and_keeps_the_order(
    begin: Begin, jump: float
) -> None:
    """F20: a clock that was set, summer time."""
    wall = ManualClock()
    wall.now = time.time()
    gate = Gate()
    world = await begin(gate, environment=Environment(wall_clock=wall))
    handles = [await world.send(n) for n in range(3)]
    await gate.begun.get()

    wall.advance(jump)
    world.runtime._actors.sweep()
    handles.append(await world.send(3))
    await world.others_answer()
    gate.passing.set()

    assert await statuses(handles) == [COMPLETED] * 4
    await world.judge()


async def test_a_machine_that_slept_ends_what_is_overdue_and_goes_on(
    begin: Begin,
) -> None:
    """F20: eight hours pass at once on the monotonic clock."""
    clock, gate = ManualClock(), Gate()
    world = await begin(gate, environment=Environment(clock=clock))
    handles = [await world.send(n) for n in range(3)]
    await gate.begun.get()

    clock.advance(8 * 3600.0)
    world.runtime._actors.sweep()
    await world.others_answer()
    responses = [await soon(handle.get_response()) for handle in handles]

    assert {one.data["error"]["type"] for one in responses} == {"DeadlineExceeded"}
    await world.judge()


# --- F21


async def test_1000_cancels_during_a_commit_cancel_nothing(begin: Begin) -> None:
    """F21: of a turn that is being stored."""
    storage = FaultyStorage(InMemoryStateStorage())
    world = await begin(storage=storage)
    storage.hold(ends)
    handle = await world.send("kept")
    await storage.held_back.get()

    cancelled = await asyncio.gather(*(handle.cancel() for _ in range(1000)))
    storage.let_go()
    response = await soon(handle.get_response())
    await world.others_answer()

    assert not any(cancelled)
    assert (response.status, response.data) == (COMPLETED, "kept")
    await world.judge()


async def test_a_storm_of_cancels_cancels_exactly_what_was_not_being_stored(
    begin: Begin,
) -> None:
    """F21: a hundred actors, each with a turn in its commit, one running, one waiting."""
    storage, gate = FaultyStorage(InMemoryStateStorage()), Gate()
    gate.passing.set()
    world = await begin(gate, storage)
    storage.hold(lambda change: ends(change) and bool(change.set))
    storing = [await world.send("stored", actor_id) for actor_id in HUNDRED[:50]]
    for _ in storing:
        await storage.held_back.get()
    gate.passing.clear()
    running = [await world.send("running", actor_id) for actor_id in HUNDRED[50:]]
    waiting = [await world.send("waiting", actor_id) for actor_id in HUNDRED]
    await settled()

    everybody = [*storing, *running, *waiting]
    storm = asyncio.gather(*(handle.cancel() for handle in everybody * 5))
    said = (await storm)[: len(everybody)]
    storage.let_go()
    await world.others_answer()

    assert said == [handle not in storing for handle in everybody]
    assert await statuses(storing) == [COMPLETED] * 50
    assert await statuses([*running, *waiting]) == [CANCELLED] * 150
    await world.judge(same_actor=HUNDRED[0])


# --- F28


async def test_a_stop_during_100_turns_interrupts_them_all_and_a_second_one_is_the_same(
    begin: Begin,
) -> None:
    """F28."""
    data, gate = InMemoryStateStorage(), Gate()
    world = await begin(gate, data)
    running = [await world.send(n, actor_id) for n, actor_id in enumerate(HUNDRED)]
    waiting = [await world.send(n, actor_id) for n, actor_id in enumerate(HUNDRED)]
    for _ in running:
        await gate.begun.get()

    runtime = world.runtime
    await soon(asyncio.gather(runtime.stop(drain=0), runtime.stop(drain=60)))
    await runtime.stop()
    with pytest.raises(NotRunning):
        await world.send()

    assert await statuses([*running, *waiting]) == [INTERRUPTED] * 200
    assert gate.cancelled == ["stopped"] * 100
    after = await begin(storage=InMemoryStateStorage(data))
    after.accepted, after.ran = dict(world.accepted), world.ran
    await after.others_answer()
    await after.judge(same_actor=HUNDRED[0])
