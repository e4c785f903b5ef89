"""Cancelling, deadlines, and what a request does while the actor is busy."""

import asyncio
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    ActorBusy,
    MailboxFull,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from tests.fakes import (
    ONE,
    Gate,
    HandlingActor,
    ManualClock,
    StartRuntime,
    answer,
    background,
    echo,
)

# --- cancel and deadlines


async def test_a_running_turn_can_be_cancelled_and_the_next_one_runs(
    start: StartRuntime,
) -> None:
    gate = Gate()
    runtime = await start(gate)
    client = InProcessActorClient(runtime)
    running = await client.send_request(ONE, "run", "first")
    await gate.begun.get()
    waiting = await client.send_request(ONE, "run", "second")

    taken = await running.cancel()
    response = await running.get_response()
    gate.passing.set()

    assert taken
    assert response.status is RequestStatus.CANCELLED
    assert gate.cancelled == ["cancelled"]
    assert (await waiting.get_response()).data == "second"
    assert not await running.cancel()


async def test_a_waiting_turn_can_be_cancelled_and_never_runs(
    start: StartRuntime,
) -> None:
    gate = Gate()
    runtime = await start(gate)
    client = InProcessActorClient(runtime)
    running = await client.send_request(ONE, "run", "first")
    waiting = await client.send_request(ONE, "run", "second")

    taken = await client.cancel(ONE, waiting.message_id)

    assert taken
    assert (await waiting.get_response()).status is RequestStatus.CANCELLED
    gate.passing.set()
    await running.get_response()
    assert gate.begun.qsize() == 1


async def test_a_cancelled_actor_may_complete_with_what_it_has(
    start: StartRuntime,
) -> None:
    begun = asyncio.Event()

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def run(self, context: IActorRuntimeContext) -> None:
            async for message in context.watch_messages():
                try:
                    begun.set()
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await context.write_state("partial", True)  # noqa: FBT003
                    answer(context, message, {"text": "so far"})

    runtime = await start(Worker)
    client = InProcessActorClient(runtime)
    handle = await client.send_request(ONE, "run")
    await begun.wait()

    await handle.cancel()
    response = await handle.get_response()

    assert response.status is RequestStatus.CANCELLED
    assert response.data == {"text": "so far"}
    stored = await runtime.storage.read_state(ONE)
    assert stored.values == {"partial": b"true"}


async def test_an_actor_that_ignores_its_cancellation_is_left_behind(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    begun, stuck = asyncio.Event(), asyncio.Event()

    async def handle(_: IActorRuntimeContext, message: Any) -> Any:
        if message.params != "stuck":
            return "fine"
        begun.set()
        while not stuck.is_set():
            try:
                await stuck.wait()
            except asyncio.CancelledError:
                continue
        return "never seen"

    runtime = await start(handle, settings=RuntimeSettings(cancel_grace=0.01))
    client = InProcessActorClient(runtime)
    handle_ = await client.send_request(ONE, "run", "stuck")
    await begun.wait()
    waiting = await client.send_request(ONE, "run")

    await handle_.cancel()

    assert (await handle_.get_response()).status is RequestStatus.CANCELLED
    assert (await waiting.get_response()).data == "fine"
    assert "ignores its cancellation" in caplog.text
    stuck.set()


async def test_cancelling_who_waits_does_not_cancel_the_request(
    start: StartRuntime,
) -> None:
    gate = Gate()
    runtime = await start(gate)
    handle = await InProcessActorClient(runtime).send_request(ONE, "run", "x")
    waiting = background(handle.get_response())
    await gate.begun.get()

    waiting.cancel()
    gate.passing.set()

    assert (await handle.get_response()).data == "x"


async def test_a_turn_over_its_time_fails_with_deadline_exceeded(
    start: StartRuntime,
) -> None:
    clock, gate = ManualClock(), Gate()
    runtime = await start(gate, environment=Environment(clock=clock))
    client = InProcessActorClient(runtime)
    running = await client.send_request(ONE, "run", "x")
    await gate.begun.get()
    waiting = await client.send_request(ONE, "run", "y", timeout=30)

    clock.advance(31)
    runtime._actors.sweep()
    clock.advance(600)
    runtime._actors.sweep()

    late, never_ran = await running.get_response(), await waiting.get_response()
    assert late.status is never_ran.status is RequestStatus.FAILED
    assert late.data["error"]["type"] == "DeadlineExceeded"
    assert "600" in late.data["error"]["message"]
    assert "30" in never_ran.data["error"]["message"]
    assert gate.cancelled == ["deadline"]


# --- busy


async def test_a_full_mailbox_refuses_at_the_sender(start: StartRuntime) -> None:
    gate = Gate()
    runtime = await start(gate, settings=RuntimeSettings(mailbox_limit=2))
    client = InProcessActorClient(runtime)
    first = await client.send_request(ONE, "run", 0)
    await gate.begun.get()
    accepted = [await client.send_request(ONE, "run", n) for n in (1, 2)]

    with pytest.raises(MailboxFull) as refused:
        await client.send_request(ONE, "run", 3)

    assert refused.value.retry_after > 0
    gate.passing.set()
    answers = [(await one.get_response()).data for one in [first, *accepted]]
    assert answers == [0, 1, 2]


async def test_a_request_may_refuse_to_wait(start: StartRuntime) -> None:
    gate = Gate()
    runtime = await start(gate)
    client = InProcessActorClient(runtime)
    first = await client.send_request(ONE, "run", 0, when_busy="reject")

    with pytest.raises(ActorBusy):
        await client.send_request(ONE, "run", 1, when_busy="reject")

    gate.passing.set()
    assert (await first.get_response()).data == 0


async def test_a_request_may_interrupt_the_running_turn_and_keeps_its_place(
    start: StartRuntime,
) -> None:
    gate = Gate()
    runtime = await start(gate)
    client = InProcessActorClient(runtime)
    running = await client.send_request(ONE, "run", "running")
    await gate.begun.get()
    waiting = await client.send_request(ONE, "run", "waiting")

    urgent = await client.send_request(ONE, "run", "urgent", when_busy="interrupt")
    cancelled = await running.get_response()
    gate.passing.set()
    await urgent.get_response()

    assert cancelled.status is RequestStatus.CANCELLED
    assert (await waiting.get_response()).data == "waiting"
    assert [gate.begun.get_nowait() for _ in range(2)] == ["waiting", "urgent"]
