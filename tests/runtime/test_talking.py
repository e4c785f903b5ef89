"""Actors that ask each other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    DeadlockDetected,
    NotRunning,
    OutsideTurn,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActorRuntimeContext,
    RequestStatus,
)
from tests.fakes import (
    Gate,
    background,
    echo,
    settled,
    soon,
)
from tests.runtime.scripted_actors import (
    A,
    B,
    C,
    Heard,
    Stage,
    Talk,
    ask,
    asks,
    error_type,
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """See `Stage`; everything stops in the end."""
    stage = Stage()
    yield stage
    for runtime in stage.runtimes:
        await runtime.stop(drain=0)


# --- asks


async def test_an_actor_asks_another_and_uses_its_answer(stage: Stage) -> None:
    client = await stage.play(a=asks(B), b=asks(C), c=echo)

    response = await ask(client, A, "hi")

    assert response.data == ["a/1", ["b/1", "hi"]]


async def test_an_actor_that_asks_itself_is_told_at_once(stage: Stage) -> None:
    client = await stage.play(a=asks(A))

    response = await ask(client, A)

    assert error_type(response) == "DeadlockDetected"
    assert "a/1 -> a/1" in response.data["error"]["message"]


async def test_a_cycle_of_asks_is_told_at_once_to_the_one_who_closes_it(
    stage: Stage,
) -> None:
    async def catches(context: Any, message: Any) -> Any:
        try:
            await context.send_request(A, "run")
        except DeadlockDetected as error:
            return list(error.actors)

    client = await stage.play(a=asks(B), b=asks(C), c=catches)

    response = await ask(client, A)

    assert response.data == ["a/1", ["b/1", ["c/1", "a/1", "b/1", "c/1"]]]


async def test_who_waited_in_a_turn_that_was_given_up_is_no_deadlock(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()

    async def waits(context: Any, message: Any) -> Any:
        if message.params != "stuck":
            return "free"
        handle = await context.send_request(B, "run", "first", "asked")
        return (await handle.get_response()).data

    async def asks_back(context: Any, message: Any) -> Any:
        await gate(context, message)
        return (await (await context.send_request(A, "run")).get_response()).data

    async def ignoring(context: Any, message: Any) -> Any:
        waiting = background(waits(context, message))
        while not waiting.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(waiting)
        return await waiting

    client = await stage.play(a=ignoring, b=asks_back)
    given_up = await client.send_request(A, "run", "stuck")
    await gate.begun.get()

    await given_up.cancel()
    await soon(given_up.get_response())
    gate.passing.set()
    asked = await client.get_response(B, "asked")
    answer = await soon(asked.get_response())

    assert (answer.status, answer.data) == (RequestStatus.COMPLETED, "free")


async def test_a_deadlock_cancels_nothing_that_somebody_else_has_sent(
    stage: Stage,
) -> None:
    gate, attached, waiting = Gate(), asyncio.Event(), asyncio.Event()

    async def attaches(context: Any, message: Any) -> Any:
        if message.params == "inner":
            return "answered"
        await gate(context, message)
        handle = await context.send_request(B, "run", "theirs", "their id")
        attached.set()
        await waiting.wait()
        with pytest.raises(DeadlockDetected):
            await handle.get_response()
        return "told"

    async def asks_back(context: Any, message: Any) -> Any:
        await attached.wait()
        handle = await context.send_request(A, "run", "inner")
        waiting.set()
        return (await handle.get_response()).data

    client = await stage.play(a=attaches, b=asks_back)
    outer = background(ask(client, A, "outer"))
    await gate.begun.get()
    theirs = await client.send_request(B, "run", "theirs", "their id")

    gate.passing.set()
    told = await soon(outer)
    answer = await soon(theirs.get_response())

    assert told.data == "told"
    assert (answer.status, answer.data) == (RequestStatus.COMPLETED, "answered")


async def test_crossing_asks_do_not_wait_for_each_other(stage: Stage) -> None:
    both = asyncio.Barrier(2)

    def crosses(target: ActorId) -> Talk:
        async def handle(context: Any, message: Any) -> Any:
            if message.params == "inner":
                return "answered"
            await both.wait()
            handle = await context.send_request(target, "run", "inner")
            await both.wait()
            return (await handle.get_response()).data

        return handle

    client = await stage.play(a=crosses(B), b=crosses(A))
    responses = await soon(asyncio.gather(ask(client, A, 0), ask(client, B, 0)))

    failed = [one for one in responses if one.status is RequestStatus.FAILED]
    assert [error_type(one) for one in failed] == ["DeadlockDetected"]
    [answered] = [one for one in responses if one not in failed]
    assert answered.data in ("answered", None)


async def test_the_ask_of_a_deadlock_that_was_accepted_is_taken_back(
    stage: Stage,
) -> None:
    inner: list[str] = []

    async def asks_itself_late(context: Any, message: Any) -> Any:
        if message.params == "inner":
            inner.append(message.message_id)
            return "ran"
        other = await context.send_request(B, "run")
        return (await other.get_response()).data

    async def asks_back(context: Any, message: Any) -> Any:
        handle = await context.send_request(A, "run", "inner")
        return (await handle.get_response()).data

    client = await stage.play(a=asks_itself_late, b=asks_back)

    await ask(client, A)
    await settled()

    assert inner == []


async def test_an_ask_beside_the_runtime_of_a_turn_is_found_too(stage: Stage) -> None:
    clients: list[InProcessActorClient] = []

    async def asks_through_a_client(context: Any, message: Any) -> Any:
        handle = await clients[0].send_request(A, "run")
        return (await handle.get_response()).data

    clients.append(await stage.play(a=asks_through_a_client))

    assert error_type(await ask(clients[0], A)) == "DeadlockDetected"


async def test_the_answer_of_an_ask_can_be_followed_update_by_update(
    stage: Stage,
) -> None:
    async def streams(context: Any, message: Any) -> Any:
        for number in range(3):
            context.on_progress_update(message.message_id, number, number)
        return "end"

    async def follows(context: Any, message: Any) -> Any:
        handle = await context.send_request(B, "run")
        return [one.status.value async for one in handle.watch_updates()]

    client = await stage.play(a=follows, b=streams)

    assert (await ask(client, A)).data == ["pending"] * 3 + ["completed"]


async def test_the_deadline_of_a_turn_travels_with_its_asks(stage: Stage) -> None:
    gate = Gate()
    client = await stage.play(a=asks(B), b=gate)
    waiting = await client.send_request(A, "run", "x", timeout=30)
    await gate.begun.get()

    cell = stage.runtimes[0]._actors.find(B)

    assert cell is not None
    assert cell.running is not None
    assert cell.running.time_limit is not None
    assert 25 < cell.running.time_limit <= 30
    gate.passing.set()
    await soon(waiting.get_response())


async def test_trace_headers_travel_with_asks_and_tells(stage: Stage) -> None:
    heard = Heard()

    async def both(context: Any, message: Any) -> Any:
        context.tell(C, "run", "told")
        handle = await context.send_request(B, "run", "asked")
        return (await handle.get_response()).data

    client = await stage.play(a=both, b=heard, c=heard)

    headers = {"traceparent": "00-1-2-01", "mine": "stays"}
    await ask(client, A, metadata=headers)
    while len(heard.messages) < 2:
        await soon(heard.arrived.wait())
        heard.arrived.clear()

    assert [one.metadata["traceparent"] for one in heard.messages] == ["00-1-2-01"] * 2
    assert all("mine" not in one.metadata for one in heard.messages)


async def test_cancelling_who_waits_for_an_ask_leaves_the_asked_alone(
    stage: Stage,
) -> None:
    gate = Gate()
    client = await stage.play(a=asks(B), b=gate)
    outer = await client.send_request(A, "run", "x", "outer")
    await gate.begun.get()

    await outer.cancel()
    cancelled = await soon(outer.get_response())
    gate.passing.set()
    free = await ask(client, B, "y")

    assert cancelled.status is RequestStatus.CANCELLED
    assert free.data == "y"
    assert gate.cancelled == []


async def test_an_ask_outside_a_turn_is_refused(stage: Stage) -> None:
    contexts: list[IActorRuntimeContext] = []

    async def keeps(context: Any, message: Any) -> Any:
        contexts.append(context)

    client = await stage.play(a=keeps, b=echo)
    await ask(client, A)

    with pytest.raises(OutsideTurn):
        await contexts[0].send_request(B, "run")
    with pytest.raises(OutsideTurn):
        contexts[0].tell(B, "run")


async def test_what_a_draining_turn_asks_is_served_until_the_bound(
    stage: Stage,
) -> None:
    gate = Gate()

    async def asks_late(context: Any, message: Any) -> Any:
        await gate(context, message)
        return (
            await (await context.send_request(B, "run", "late")).get_response()
        ).data

    client = await stage.play(a=asks_late, b=echo)
    running = await client.send_request(A, "run")
    await gate.begun.get()

    stopping = background(stage.runtimes[0].stop(drain=5))
    await settled()
    with pytest.raises(NotRunning):
        await ask(client, B)
    gate.passing.set()
    response = await soon(running.get_response())
    await soon(stopping)

    assert (response.status, response.data) == (RequestStatus.COMPLETED, "late")


async def test_what_is_asked_after_the_drain_is_refused(stage: Stage) -> None:
    gate, refused = Gate(), asyncio.Event()

    async def asks_when_cancelled(context: Any, message: Any) -> Any:
        try:
            await gate(context, message)
        except asyncio.CancelledError:
            with pytest.raises(NotRunning):
                await context.send_request(B, "run")
            refused.set()
            raise

    client = await stage.play(a=asks_when_cancelled, b=echo)
    running = await client.send_request(A, "run")
    await gate.begun.get()

    await soon(stage.runtimes[0].stop(drain=0))

    assert refused.is_set()
    assert (await running.get_response()).status is RequestStatus.INTERRUPTED
