"""Bounds of conversations: their turns, their age, what waits for all of them."""

import pytest

from agent_runtime_nb._client import InProcessActorClient
from agent_runtime_nb._expiry import expire
from agent_runtime_nb._settings import Environment, RuntimeSettings
from agent_runtime_nb.exceptions import (
    ConversationFull,
    MailboxFull,
    MessageIdReused,
)
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from tests.fakes import ONE, Gate, ManualClock, StartRuntime, ask, echo, soon

TWO = ActorId("worker", "two")
DAY = 86400.0


async def test_a_conversation_takes_as_many_turns_as_it_may_have(
    start: StartRuntime,
) -> None:
    runtime = await start(echo, settings=RuntimeSettings(turn_limit=2))
    for number in range(2):
        await ask(runtime, number, message_id=f"m{number}")

    with pytest.raises(ConversationFull) as refused:
        await ask(runtime, 2)

    assert refused.value.limit == 2
    assert (await ask(runtime, 0, TWO)).data == 0


async def test_a_known_request_of_a_full_conversation_still_has_its_answer(
    start: StartRuntime,
) -> None:
    runtime = await start(echo, settings=RuntimeSettings(turn_limit=1))
    await ask(runtime, "x", message_id="m")

    again = await ask(runtime, "x", message_id="m")

    assert again.data == "x"
    with pytest.raises(MessageIdReused):
        await ask(runtime, "y", message_id="m")


async def test_old_conversations_are_deleted_and_young_ones_stay(
    start: StartRuntime,
) -> None:
    clock = ManualClock()
    runtime = await start(echo, environment=Environment(wall_clock=clock))
    await ask(runtime, "old", ONE)
    clock.advance(2 * DAY)
    await ask(runtime, "young", TWO)

    deleted = await expire(runtime._actors, DAY)

    left = (await runtime.list_actors()).items
    assert (deleted, [one.actor_id for one in left]) == (1, [TWO])


async def test_an_old_conversation_with_an_open_turn_stays(start: StartRuntime) -> None:
    clock, gate = ManualClock(), Gate()
    runtime = await start(gate, environment=Environment(wall_clock=clock))
    handle = await InProcessActorClient(runtime).send_request(ONE, "run", "x")
    await gate.begun.get()
    clock.advance(2 * DAY)

    assert await expire(runtime._actors, DAY) == 0

    gate.passing.set()
    assert (await soon(handle.get_response())).status is RequestStatus.COMPLETED


async def test_an_old_conversation_of_a_living_neighbour_stays(
    start: StartRuntime,
) -> None:
    clock, data = ManualClock(), InMemoryStateStorage()
    environment = Environment(wall_clock=clock)
    first = await start(echo, data, environment=environment)
    await ask(first, "mine")
    second = await start(echo, InMemoryStateStorage(data), environment=environment)
    clock.advance(2 * DAY)

    assert await expire(second._actors, DAY) == 0


async def test_what_undelivered_tells_say_is_not_deleted_with_old_age(
    start: StartRuntime,
) -> None:
    async def tells(context: object, message: object) -> None:
        context.tell(ActorId("nobody", "x"), "run")  # pyright: ignore[reportAttributeAccessIssue]

    clock = ManualClock()
    runtime = await start(tells, environment=Environment(wall_clock=clock))
    await ask(runtime)
    clock.advance(2 * DAY)

    assert await expire(runtime._actors, DAY) == 0


async def test_the_sweep_looks_for_old_conversations_if_that_is_wanted(
    start: StartRuntime,
) -> None:
    clock = ManualClock()
    runtime = await start(
        echo,
        environment=Environment(wall_clock=clock),
        settings=RuntimeSettings(conversation_ttl=DAY),
    )
    await ask(runtime)
    clock.advance(2 * DAY)

    runtime._expire()
    await runtime._actors.tasks.wait(5)

    assert (await runtime.list_actors()).items == ()


@pytest.mark.parametrize(
    "settings",
    [RuntimeSettings(waiting_limit=3), RuntimeSettings(waiting_bytes=40)],
    ids=["requests", "bytes"],
)
async def test_what_waits_for_all_actors_together_is_bounded_at_the_sender(
    start: StartRuntime, settings: RuntimeSettings
) -> None:
    gate = Gate()
    runtime = await start(gate, settings=settings)
    client = InProcessActorClient(runtime)
    handles = [await client.send_request(one, "run", "x") for one in (ONE, TWO)]
    handles += [await client.send_request(ONE, "run", "x") for _ in range(3)]

    with pytest.raises(MailboxFull, match="the runtime has 3 requests waiting"):
        await client.send_request(TWO, "run", "x")

    gate.passing.set()
    for handle in handles:
        await soon(handle.get_response())
    assert (await ask(runtime, "again", TWO)).data == "again"
    assert (runtime._actors.waiting, runtime._actors.waiting_bytes) == (0, 0)
