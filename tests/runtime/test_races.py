"""What happens when two things happen at once: cancels, commits, senders."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    ActorBeingDeleted,
    MessageIdReused,
    TooLarge,
    Unavailable,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    ActorRequestMessage,
    ActorResponseMessage,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange, TurnEnd
from tests.fakes import (
    ONE,
    FaultyStorage,
    Gate,
    HandlingActor,
    StartRuntime,
    Stubborn,
    accepts,
    answer,
    ask,
    background,
    count,
    counts,
    echo,
    ends,
    settled,
    soon,
)

SHORT_GRACE = RuntimeSettings(cancel_grace=0.01, commit_retries=(0.0,))


Then = Callable[[IActorRuntimeContext, ActorRequestMessage], object]


async def cancel_the_first_of_two(
    start: StartRuntime, then: Then
) -> tuple[ActorResponseMessage, ActorResponseMessage]:
    """What both are answered by an actor that calls `then` when it is cancelled."""
    begun = asyncio.Event()

    async def wait_or_look(params: Any) -> Any:
        task = asyncio.current_task()
        if params == "second":
            return {"cancelling": task.cancelling() if task else None}
        begun.set()
        return await asyncio.Event().wait()

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def run(self, context: IActorRuntimeContext) -> None:
            async for message in context.watch_messages():
                try:
                    answer(context, message, await wait_or_look(message.params))
                except asyncio.CancelledError:
                    then(context, message)

    runtime = await start(Worker)
    client = InProcessActorClient(runtime)
    first = await client.send_request(ONE, "run", "first")
    await soon(begun.wait())
    second = await client.send_request(ONE, "run", "second")
    await first.cancel()
    return await soon(first.get_response()), await soon(second.get_response())


# --- cancel


async def test_a_request_interrupts_one_that_was_accepted_just_before_it(
    start: StartRuntime,
) -> None:
    gate = Gate()
    runtime = await start(gate)
    client = InProcessActorClient(runtime)

    before = await client.send_request(ONE, "run", "before")
    urgent = await client.send_request(ONE, "run", "urgent", when_busy="interrupt")
    interrupted = await soon(before.get_response())
    gate.passing.set()

    assert interrupted.status is RequestStatus.CANCELLED
    assert (await soon(urgent.get_response())).data == "urgent"


async def test_an_actor_that_goes_on_to_the_next_request_was_cancelled_all_the_same(
    start: StartRuntime,
) -> None:
    first, _ = await cancel_the_first_of_two(start, lambda context, message: None)

    assert first.status is RequestStatus.CANCELLED


async def test_an_actor_that_answers_and_passes_its_cancellation_on_hurts_no_other(
    start: StartRuntime,
) -> None:
    def answer_and_raise(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> None:
        answer(context, message, "so far")
        raise asyncio.CancelledError

    first, second = await cancel_the_first_of_two(start, answer_and_raise)

    assert (first.status, first.data) == (RequestStatus.CANCELLED, "so far")
    assert second.status is RequestStatus.COMPLETED


async def test_a_turn_after_a_cancelled_one_does_not_count_as_being_cancelled(
    start: StartRuntime,
) -> None:
    _, second = await cancel_the_first_of_two(start, answer)

    assert second.data == {"cancelling": 0}


async def test_an_actor_that_cancels_its_own_turn_does_not_cancel_the_next(
    start: StartRuntime,
) -> None:
    async def handle(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
        if message.params == "stop myself":
            return await client.cancel(ONE, message.message_id)
        await asyncio.sleep(0)
        return "fine"

    runtime = await start(handle)
    client = InProcessActorClient(runtime)

    first, second = await soon(
        asyncio.gather(ask(runtime, "stop myself"), ask(runtime))
    )

    assert first.status is RequestStatus.CANCELLED
    assert (second.status, second.data) == (RequestStatus.COMPLETED, "fine")


async def test_nothing_runs_before_the_end_of_an_abandoned_turn_is_stored(
    start: StartRuntime,
) -> None:
    storage, stubborn = FaultyStorage(), Stubborn()
    runtime = await start(stubborn, storage, settings=SHORT_GRACE)
    client = InProcessActorClient(runtime)
    stuck = await client.send_request(ONE, "run", "stuck")
    await stubborn.begun.get()
    waiting = await client.send_request(ONE, "run", "waiting")

    storage.hold(ends)
    await stuck.cancel()
    await soon(storage.held_back.get())
    await settled()
    begun_early = stubborn.begun.qsize()
    storage.let_go()

    assert (await soon(stuck.get_response())).status is RequestStatus.CANCELLED
    assert (await soon(waiting.get_response())).data == "waiting"
    assert begun_early == 0
    stored = await storage.find_turn(ONE, waiting.message_id)
    assert stored
    assert stored.attempts == 1
    stubborn.freed.set()


async def test_an_abandoned_actor_that_gives_in_later_hurts_no_other(
    start: StartRuntime,
) -> None:
    stubborn, gate = Stubborn(), Gate()

    async def handle(context: IActorRuntimeContext, message: Any) -> Any:
        if message.params != "stuck":
            return await gate(context, message)
        await stubborn(context, message)
        raise asyncio.CancelledError

    runtime = await start(handle, settings=SHORT_GRACE)
    client = InProcessActorClient(runtime)
    stuck = await client.send_request(ONE, "run", "stuck")
    await stubborn.begun.get()
    await stuck.cancel()
    await soon(stuck.get_response())
    others = [background(ask(runtime, name)) for name in ("running", "waiting")]
    await soon(gate.begun.get())

    stubborn.freed.set()
    await settled()
    gate.passing.set()

    assert [(await soon(one)).data for one in others] == ["running", "waiting"]


# --- commits that go wrong


async def test_a_fresh_actor_gets_the_next_request_after_a_refused_commit(
    start: StartRuntime,
) -> None:
    made: list[HandlingActor] = []

    async def handle(context: IActorRuntimeContext, message: Any) -> Any:
        if message.params == "fail":
            raise ValueError("the reason")
        return await count(context, message)

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(handle)
            made.append(self)

    storage = FaultyStorage()
    runtime = await start(Worker, storage)
    storage.fail_apply([None, None, TooLarge("the value", 9, 8)])

    refused, failed = await soon(asyncio.gather(ask(runtime), ask(runtime, "fail")))

    assert refused.data["error"]["type"] == "TooLarge"
    assert failed.data["error"]["type"] == "ValueError"
    assert len(made) == 2


async def test_a_waiting_turn_whose_cancellation_was_stored_hurts_no_other(
    start: StartRuntime,
) -> None:
    storage, gate = FaultyStorage(), Gate()
    runtime = await start(gate, storage)
    client = InProcessActorClient(runtime)
    running = await client.send_request(ONE, "run", "running")
    await gate.begun.get()
    waiting = await client.send_request(ONE, "run", "waiting")
    lost = Unavailable("there", "no answer")
    storage.lose_answers = True
    storage.fail_apply([lost, lost])

    await waiting.cancel()

    assert (await soon(waiting.get_response())).status is RequestStatus.CANCELLED
    gate.passing.set()
    assert (await soon(running.get_response())).data == "running"


async def test_a_turn_that_ended_otherwise_in_the_store_is_told_as_it_is_stored(
    start: StartRuntime,
) -> None:
    storage, gate = InMemoryStateStorage(), Gate()
    runtime = await start(gate, storage)
    client = InProcessActorClient(runtime)
    running = await client.send_request(ONE, "run", "running")
    await gate.begun.get()
    waiting = await client.send_request(ONE, "run", "waiting")
    epoch = (await storage.read_state(ONE)).epoch
    end = TurnEnd(
        position=2, status=RequestStatus.INTERRUPTED, result=b'"so"', ended_at=1.0
    )
    await storage.apply(ONE, ActorChange(epoch=epoch, ended=(end,)))

    await waiting.cancel()

    told = await soon(waiting.get_response())
    assert (told.status, told.data) == (RequestStatus.INTERRUPTED, "so")
    gate.passing.set()
    assert (await soon(running.get_response())).data == "running"


async def test_a_turn_is_not_lost_if_its_actor_gives_up_waiting_while_it_is_counted(
    start: StartRuntime,
) -> None:
    patiences: list[asyncio.Timeout] = []

    class Impatient(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def run(self, context: IActorRuntimeContext) -> None:
            messages = context.watch_messages()
            while True:
                patiences.append(asyncio.timeout(None))
                try:
                    async with patiences[-1]:
                        message = await anext(messages)
                except (TimeoutError, StopAsyncIteration):
                    return
                answer(context, message, message.params)

    storage = FaultyStorage()
    runtime = await start(Impatient, storage)
    storage.hold(ends)
    first = background(ask(runtime, "first"))
    await soon(storage.held_back.get())
    second = background(ask(runtime, "second"))
    await settled()  # accepted, but not counted with the end of the first
    storage.let_go()
    storage.hold(counts)
    await soon(storage.held_back.get())

    patiences[-1].reschedule(0)
    await soon(storage.held_back.get())  # counted for the actor's next run
    storage.let_go()

    assert (await soon(first)).data == "first"
    assert (await soon(second)).data == "second"


# --- two senders, one sender and a deletion


async def test_nobody_has_a_handle_before_the_request_is_stored(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    await ask(runtime)
    storage.hold(accepts)
    first = background(ask(runtime, "x", message_id="id-1"))
    await soon(storage.held_back.get())
    client = InProcessActorClient(runtime)

    second = background(client.send_request(ONE, "run", "x", "id-1"))
    await settled()
    too_early = second.done()
    with pytest.raises(MessageIdReused):
        await soon(client.send_request(ONE, "run", "y", "id-1"))
    storage.let_go()

    assert not too_early
    assert (await soon(first)).data == "x"
    assert (await (await soon(second)).get_response()).data == "x"


async def test_nothing_gets_in_while_an_actor_is_being_deleted(
    start: StartRuntime,
) -> None:
    storage, gate = FaultyStorage(), Gate()
    runtime = await start(gate, storage)
    running = background(ask(runtime))
    await gate.begun.get()
    storage.hold(ends)
    deleting = background(runtime.delete_actor(ONE))
    await soon(storage.held_back.get())

    with pytest.raises(ActorBeingDeleted):
        await soon(ask(runtime, "late"))

    storage.let_go()
    assert await soon(deleting)
    assert (await soon(running)).status is RequestStatus.CANCELLED


async def test_a_request_on_its_way_in_is_answered_when_its_actor_is_deleted(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    await ask(runtime)
    storage.hold(accepts)
    sending = background(ask(runtime, "late"))
    await soon(storage.held_back.get())

    deleting = background(runtime.delete_actor(ONE))
    await settled()
    storage.let_go()

    with pytest.raises(ActorBeingDeleted):
        await soon(sending)
    assert await soon(deleting)
    assert await storage.read_turns(ONE) == []
