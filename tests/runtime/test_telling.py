"""Actors that tell each other."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    InvalidActorId,
    NotJson,
    OutcomeUnknown,
    Unavailable,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep, fails, loses_answer
from tests.fakes import (
    FaultyStorage,
    HandlingActor,
    background,
    echo,
    settled,
    soon,
)
from tests.runtime.scripted_actors import A, B, C, Heard, Stage, ask, error_type, tells


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """See `Stage`; everything stops in the end."""
    stage = Stage()
    yield stage
    for runtime in stage.runtimes:
        await runtime.stop(drain=0)


async def test_a_tell_arrives_after_the_commit_and_in_order(stage: Stage) -> None:
    heard = Heard()
    client = await stage.play(a=tells(B), b=heard)

    for number in range(5):
        await ask(client, A, number)
    while len(heard.messages) < 5:
        await soon(heard.arrived.wait())
        heard.arrived.clear()

    assert heard.params == [0, 1, 2, 3, 4]


async def test_the_tells_of_a_turn_that_failed_are_never_sent(stage: Stage) -> None:
    heard = Heard()
    client = await stage.play(a=tells(B, fails=True), b=heard)

    assert (await ask(client, A)).status is RequestStatus.FAILED
    await settled()

    assert heard.messages == []


async def test_actors_may_tell_each_other_in_a_circle(stage: Stage) -> None:
    heard = Heard()

    async def counts_down(context: Any, message: Any) -> Any:
        target = B if context.actor_id == A else A
        if message.params:
            context.tell(target, "run", message.params - 1)
        else:
            context.tell(C, "run", "done")

    client = await stage.play(a=counts_down, b=counts_down, c=heard)

    await ask(client, A, 6)
    await soon(heard.arrived.wait())

    assert heard.params == ["done"]


async def test_a_tell_to_itself_is_the_next_turn(stage: Stage) -> None:
    seen: list[Any] = []
    done = asyncio.Event()

    async def again(context: Any, message: Any) -> Any:
        seen.append(message.params)
        if message.params:
            context.tell(A, "run", message.params - 1)
        else:
            done.set()

    client = await stage.play(a=again)

    await ask(client, A, 2)
    await soon(done.wait())

    assert seen == [2, 1, 0]


async def test_what_was_told_is_stored_with_the_turn_and_sent_by_the_next_host(
    stage: Stage,
) -> None:
    heard = Heard()
    client = await stage.play(a=tells(B, C))  # nobody knows b and c
    await ask(client, A, "news")
    await settled()
    assert (await stage.storage.list_actors(mark="outbox")).items == (A,)
    await stage.storage.close()  # as the death of the host

    await stage.play(a=tells(B, C), b=heard, c=heard)
    while len(heard.messages) < 2:
        await soon(heard.arrived.wait())
        heard.arrived.clear()
    for _ in range(50):
        if not (await stage.storage.list_actors(mark="outbox")).items:
            break
        await asyncio.sleep(0)

    assert heard.params == ["news", "news"]
    assert (await stage.storage.list_actors(mark="outbox")).items == ()
    state = await stage.storage.read_state(A)
    assert [key for key in state.values if key.startswith("$outbox")] == []


async def test_a_tell_to_a_type_that_nobody_registers_is_a_dead_letter_in_the_end(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    heard = Heard()
    client = await stage.play(Environment(sleep=sleep), a=tells(B, B))
    runtime = stage.runtimes[0]

    await ask(client, A, "news")
    await stage.no_outbox()
    letters = (await runtime.dead_letters()).items
    runtime.register_actor_type("b", lambda _: HandlingActor(heard))
    for letter in letters:
        await runtime.requeue(B, letter.message_id)
        await soon(heard.arrived.wait())

    assert slept == [1, 10, 1, 10]
    assert [(one.actor_id, one.attempts) for one in letters] == [(B, 3), (B, 3)]
    assert letters[0].reason.startswith("no agent or actor type is named 'b'")
    failed = await client.get_response(B, letters[0].message_id)
    response = await failed.get_response()
    assert error_type(response) == "UnknownActorType"
    assert heard.params == ["news", "news"]
    assert (await runtime.dead_letters()).items == ()


async def test_a_tell_that_cannot_be_buried_is_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            await other.stop(drain=0)

    other = (await stage.play(b=echo), stage.runtimes[0])[1]
    await ask(InProcessActorClient(other), B)
    client = await stage.play(Environment(sleep=sleep), a=tells(B))

    await ask(client, A, "news")
    await stage.no_outbox()

    assert slept[:2] == [1, 10]
    assert slept[2] < slept[3] <= 30
    assert len((await stage.runtimes[1].dead_letters()).items) == 1


async def test_a_tell_that_is_sent_twice_is_processed_once(stage: Stage) -> None:
    heard = Heard()
    client = await stage.play(a=tells(B), b=heard)
    await ask(client, A, "news")
    await soon(heard.arrived.wait())

    again = await client.send_request(B, "run", "news", heard.messages[0].message_id)

    assert (await soon(again.get_response())).data == "heard"
    assert heard.params == ["news"]


async def test_one_receiver_that_cannot_be_reached_holds_up_no_other(
    stage: Stage,
) -> None:
    heard = Heard()
    client = await stage.play(a=tells(C, B), b=heard)

    await ask(client, A, "news")
    await soon(heard.arrived.wait())

    assert heard.params == ["news"]


async def test_a_tell_that_cannot_be_is_refused_in_the_turn(stage: Stage) -> None:
    async def wrong(context: Any, message: Any) -> Any:
        with pytest.raises(NotJson):
            context.tell(B, "run", object())
        with pytest.raises(InvalidActorId):
            context.tell(ActorId("", "x"), "run")
        return "fine"

    client = await stage.play(a=wrong, b=echo)

    assert (await ask(client, A)).data == "fine"


async def test_user_state_may_not_take_the_runtimes_keys(stage: Stage) -> None:
    async def writes(context: Any, message: Any) -> Any:
        await context.write_state("$outbox/1", "x")

    client = await stage.play(a=writes)

    response = await ask(client, A)

    assert error_type(response) == "InvalidRequest"
    assert "$" in response.data["error"]["message"]


async def test_a_stop_with_undelivered_tells_is_bounded(stage: Stage) -> None:
    client = await stage.play(a=tells(B))
    await ask(client, A, "news")

    await asyncio.wait_for(stage.runtimes[0].stop(drain=5), 4)


async def test_what_is_to_be_told_when_a_write_is_lost_is_told_when_the_storage_is_back(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    client = await stage.play(b=heard, storage=(faulty := FaultyStorage()))
    runtime = stage.runtimes[0]
    told = tells(B)
    runtime.register_actor_type("a", lambda _: HandlingActor(told))
    await ask(client, A, "before")
    await soon(heard.arrived.wait())
    heard.arrived.clear()
    await settled()
    running = background(ask(client, A, "news"))
    faulty.plan = partial(lost_commit, Unavailable("there", "down"))

    with pytest.raises(OutcomeUnknown):
        await soon(running)
    assert runtime._actors.undelivered == {A}
    runtime._recovery.tell_again()
    runtime._recovery.tell_again()  # once at a time
    await settled()
    while_down = heard.params
    faulty.plan = None
    runtime._recovery.tell_again()
    await soon(heard.arrived.wait())
    await settled()

    assert while_down == ["before"]
    assert heard.params == ["before", "news"]
    assert runtime._actors.undelivered == set()


def lost_commit(error: Exception, step: FaultStep) -> Fault | None:
    """From the first commit on nothing answers, though that one was stored."""
    if step.change is not None and step.change.accepted:
        return None
    ends = step.change is not None and step.change.ended
    return loses_answer(error) if ends else fails(error)
