"""Actors that ask and tell each other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from agent_runtime_nb._client import InProcessActorClient
from agent_runtime_nb._settings import RuntimeSettings
from agent_runtime_nb.exceptions import (
    DeadlockDetected,
    InvalidActorId,
    NotJson,
    OutsideTurn,
)
from agent_runtime_nb.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    ActorResponseMessage,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from tests.fakes import Gate, Handle, HandlingActor, echo, settled, soon

A, B, C = (ActorId("a", "1"), ActorId("b", "1"), ActorId("c", "1"))

Talk = Callable[[IActorRuntimeContext, ActorRequestMessage], Coroutine[Any, Any, Any]]


class Stage:
    """Actors a, b and c, each with a handler; several hosts on the same data."""

    def __init__(self) -> None:
        self.data = InMemoryStateStorage()
        self.storage = self.data
        self.runtimes: list[InProcessActorRuntime] = []

    async def play(self, **handlers: Handle) -> InProcessActorClient:
        storage = InMemoryStateStorage(self.data)
        self.storage = storage
        runtime = InProcessActorRuntime(
            storage, settings=RuntimeSettings(cancel_grace=0.1)
        )
        for name, handle in handlers.items():
            runtime.register_actor_type(name, lambda _, h=handle: HandlingActor(h))
        await runtime.start()
        self.runtimes.append(runtime)
        return InProcessActorClient(runtime)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """See `Stage`; everything stops in the end."""
    stage = Stage()
    yield stage
    for runtime in stage.runtimes:
        await runtime.stop(drain=0)


def asks(target: ActorId, *more: Any) -> Talk:
    """Asks another actor with what it was asked, and answers what that answered."""

    async def handle(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        handle = await context.send_request(target, "run", message.params)
        response = await handle.get_response()
        return [str(context.actor_id), response.data, *more]

    return handle


def tells(*targets: ActorId, fails: bool = False) -> Talk:
    """Tells others what it was asked."""

    async def handle(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        for target in targets:
            context.tell(target, "run", message.params)
        if fails:
            raise ValueError("no")
        return "told"

    return handle


class Heard:
    """Writes down what it is asked."""

    def __init__(self) -> None:
        self.messages: list[ActorRequestMessage] = []
        self.arrived = asyncio.Event()

    async def __call__(
        self, _: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        self.messages.append(message)
        self.arrived.set()
        return "heard"

    @property
    def params(self) -> list[Any]:
        return [message.params for message in self.messages]


async def ask(
    client: InProcessActorClient, actor_id: ActorId, params: Any = None, **more: Any
) -> ActorResponseMessage:
    handle = await client.send_request(actor_id, "run", params, **more)
    return await soon(handle.get_response())


def error_type(response: ActorResponseMessage) -> str:
    return response.data["error"]["type"]


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

    resident = stage.runtimes[0]._actors.find(B)

    assert resident is not None
    assert resident.running is not None
    assert resident.running.time_limit is not None
    assert 25 < resident.running.time_limit <= 30
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


# --- tells


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
