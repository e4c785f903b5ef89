"""Where two parts of the runtime meet: quarantine and upkeep, marks, expiry, waits."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.conversations.export import to_markdown
from agent_runtime_nb.conversations.reading import read_conversation
from agent_runtime_nb.exceptions import ActorQuarantined, StaleEpoch
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange, ActorState, TurnRecord
from agent_runtime_nb.supervision import RestartPolicy
from tests.fakes import (
    ONE,
    FaultyStorage,
    Gate,
    HandlingActor,
    ManualClock,
    StartRuntime,
    answer,
    ask,
    background,
    count,
    echo,
    settled,
    soon,
)

AT_ONCE = RestartPolicy(max_restarts=0)
DAY = 86400.0


async def fails(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
    """Raises if it is asked to."""
    if message.params == "fail":
        raise ValueError("no")
    return message.params


async def in_quarantine(start: StartRuntime) -> InProcessActorRuntime:
    """A runtime with `ONE` in quarantine."""
    runtime = await start(fails)
    runtime.register_actor_type(
        "worker", lambda _: HandlingActor(fails), restart=AT_ONCE
    )
    await ask(runtime, "fail", message_id="m")
    return runtime


# --- quarantine


async def test_what_is_done_beside_the_turns_does_not_end_a_quarantine(
    start: StartRuntime,
) -> None:
    runtime = await in_quarantine(start)

    await runtime.rename(ONE, "the broken one")
    await runtime.discard(ONE, "m")

    with pytest.raises(ActorQuarantined):
        await ask(runtime, "fine")
    page = await runtime.list_conversations()
    assert [one.name for one in page.items] == ["the broken one"]


async def test_a_deleted_conversation_begins_anew_without_its_quarantine(
    start: StartRuntime,
) -> None:
    runtime = await in_quarantine(start)

    await runtime.delete_actor(ONE)

    assert (await soon(ask(runtime, "fine"))).data == "fine"


async def test_what_was_told_before_the_quarantine_arrives(start: StartRuntime) -> None:
    class TellsAndFails(IActor):
        async def run(self, context: IActorRuntimeContext) -> None:
            async for message in context.watch_messages():
                context.tell(ActorId("other", "1"), "run", "hello")
                answer(context, message)
                raise ValueError("after the answer")

        async def dispose(self) -> None:
            pass

    gate = Gate()
    runtime = await start()
    runtime.register_actor_type("other", lambda _: HandlingActor(gate))
    runtime.register_actor_type("worker", lambda _: TellsAndFails(), restart=AT_ONCE)

    await ask(runtime)

    assert await soon(gate.begun.get()) == "hello"
    gate.passing.set()
    with pytest.raises(ActorQuarantined):
        await ask(runtime)


# --- marks


class SlowToSay(InMemoryStateStorage):
    """Stores at once; says so later, of a commit with marks when it is let."""

    def __init__(self, like: InMemoryStateStorage) -> None:
        super().__init__(like)
        self.let = asyncio.Event()

    def apply(self, actor_id: ActorId, change: ActorChange) -> Any:
        stored = super().apply(actor_id, change)
        if change.ended and change.add_marks:
            return background(self._later(stored))
        return background(_passed_on(stored)) if change.accepted else stored

    async def _later(self, stored: Any) -> Any:
        await self.let.wait()
        return await stored


async def _passed_on(stored: Any) -> Any:
    return await stored


async def test_requeuing_does_not_take_the_mark_of_tells_that_are_being_committed() -> (
    None
):
    data, gate = InMemoryStateStorage(), Gate()
    first = InProcessActorRuntime(data)
    first.register_actor_type("worker", lambda _: HandlingActor(gate))
    await first.start()
    await InProcessActorClient(first).send_request(ONE, "run", None, "poison")
    await gate.begun.get()
    await data.close()

    async def tells(context: IActorRuntimeContext, _: ActorRequestMessage) -> None:
        context.tell(ActorId("nobody", "x"), "run")

    storage = SlowToSay(data)
    second = InProcessActorRuntime(storage)
    second.register_actor_type(
        "worker",
        lambda _: HandlingActor(tells),
        on_interrupted="rerun",
        restart=RestartPolicy(max_attempts=1),
    )
    await second.start()
    await (
        await InProcessActorClient(second).get_response(ONE, "poison")
    ).get_response()

    new_id = await soon(second.requeue(ONE, "poison"))
    storage.let.set()
    handle = await InProcessActorClient(second).get_response(ONE, new_id)
    await soon(handle.get_response())

    assert (await storage.list_actors(mark="outbox")).items == (ONE,)
    assert (await storage.list_actors(mark="dead")).items == ()
    for runtime in (first, second):
        await runtime.stop(drain=0)


# --- expiry


class Interjecting(InMemoryStateStorage):
    """Calls something after a whole state, or the turns, were read."""

    after_read: Any = None
    after_turns: Any = None

    async def read_turns(self, actor_id: ActorId, **part: Any) -> list[TurnRecord]:
        turns = await super().read_turns(actor_id, **part)
        if self.after_turns is not None:
            call, self.after_turns = self.after_turns, None
            await call()
        return turns

    async def read_states(
        self, actor_ids: Sequence[ActorId], keys: Any = None, **part: Any
    ) -> list[ActorState]:
        states = await super().read_states(actor_ids, keys, **part)
        if self.after_read is not None and keys is None:
            call, self.after_read = self.after_read, None
            await call()
        return states


async def test_a_request_that_comes_while_an_old_conversation_is_looked_at_saves_it(
    start: StartRuntime,
) -> None:
    clock, storage, gate = ManualClock(), Interjecting(), Gate()
    runtime = await start(gate, storage, environment=Environment(wall_clock=clock))
    client = InProcessActorClient(runtime)
    gate.passing.set()
    await ask(runtime, "old")
    await settled()
    gate.passing.clear()
    clock.advance(2 * DAY)
    handles: list[Any] = []

    async def meanwhile() -> None:
        handles.append(await client.send_request(ONE, "run", "new"))

    storage.after_read = meanwhile
    deleted = await runtime._expiry.expire(DAY)
    gate.passing.set()

    assert deleted == 0
    response = await soon(handles[0].get_response())
    assert (response.status, response.data) == (RequestStatus.COMPLETED, "new")


async def test_taking_over_does_not_let_a_neighbours_old_conversation_expire(
    start: StartRuntime,
) -> None:
    clock, data = ManualClock(), InMemoryStateStorage()
    environment = Environment(wall_clock=clock)
    first = await start(echo, data, environment=environment)
    await ask(first, "mine")
    second = await start(echo, InMemoryStateStorage(data), environment=environment)
    second.take_over = True
    clock.advance(2 * DAY)

    assert await second._expiry.expire(DAY) == 0


# --- waits


async def test_an_actor_that_reads_its_last_update_waits_for_nobody(
    start: StartRuntime,
) -> None:
    a, b = ActorId("a", "1"), ActorId("worker", "1")
    reading, release_requests = asyncio.Event(), asyncio.Event()

    async def follows(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        if message.params == "hello":
            return "hello back"
        handle = await context.send_request(b, "run", "answer")
        async for _ in handle.watch_updates():
            reading.set()
            await release_requests.wait()
        return "followed"

    async def asks(context: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
        if message.params == "answer":
            return "answer"
        handle = await context.send_request(a, "run", "hello")
        release_requests.set()
        return (await handle.get_response()).data

    runtime = await start(asks)
    runtime.register_actor_type("a", lambda _: HandlingActor(follows))
    following = background(ask(runtime, "follow", a))
    await soon(reading.wait())

    response = await soon(ask(runtime, "ask", b))

    release_requests.set()
    assert (await soon(following)).data == "followed"
    assert response.data == "hello back"


# --- activation


async def test_an_actor_whose_factory_came_too_late_is_disposed_of(
    start: StartRuntime,
) -> None:
    made, release_requests = asyncio.Event(), asyncio.Event()
    late = HandlingActor(echo)

    async def make(_: IActorRuntimeContext) -> IActor:
        made.set()
        await release_requests.wait()
        return late

    storage = FaultyStorage()
    runtime = await start(echo, storage)
    runtime.register_actor_type("worker", make)
    client = InProcessActorClient(runtime)
    first = await client.send_request(ONE, "run", 1)
    await made.wait()
    storage.fail_apply([StaleEpoch(ONE, 1, "somebody")])
    with pytest.raises(StaleEpoch):
        await client.send_request(ONE, "run", 2)

    release_requests.set()
    with pytest.raises(StaleEpoch):
        await soon(first.get_response())
    await settled()

    await soon(late.disposed.wait())


# --- forks


async def test_a_fork_does_not_bring_discarded_turns_back(start: StartRuntime) -> None:
    storage = InMemoryStateStorage()
    runtime = await start(fails, storage)
    await ask(runtime, "fail", message_id="m")
    await runtime.discard(ONE, "m")

    fork = await runtime.fork(ONE)

    state = await storage.read_state(fork, ["$discarded"])
    assert state.values == {"$discarded": b'["m"]'}


async def test_a_fork_has_the_state_of_its_last_turn_even_if_another_ends_meanwhile(
    start: StartRuntime,
) -> None:
    storage = Interjecting()
    runtime = await start(count, storage)
    await ask(runtime)

    async def meanwhile() -> None:
        await ask(runtime)

    storage.after_turns = meanwhile
    fork = await soon(runtime.fork(ONE))

    turns = len((await runtime.read_actor(fork)).turns)
    assert (await ask(runtime, actor_id=fork)).data == turns + 1


async def test_a_retry_that_was_withdrawn_takes_nobodys_place(
    start: StartRuntime,
) -> None:
    begun, release_requests = asyncio.Event(), asyncio.Event()
    histories: list[list[str]] = []

    async def agent(message: str, history: Any) -> str:
        histories.append([one["content"] for one in history])
        if message == "busy":
            begun.set()
            await release_requests.wait()
        return "fine"

    runtime = await start()
    runtime.register_actor_type("worker", lambda _: AgentActor(agent))
    client = InProcessActorClient(runtime)

    def said(text: str) -> Any:
        return {"messages": [{"role": "user", "content": text}]}

    await ask(runtime, said("first"), message_id="m")
    running = await client.send_request(ONE, "run", said("busy"))
    await soon(begun.wait())
    new_id = await runtime.run_again(ONE, "m")
    assert await runtime.withdraw(ONE, new_id)
    release_requests.set()
    await soon(running.get_response())

    await ask(runtime, said("last"))
    runtime.register_actor_type("worker", lambda _: AgentActor(agent))
    await ask(runtime, said("afresh"))

    assert "first" in histories[-1]
    shown = to_markdown(await read_conversation(runtime, ONE))
    assert "first" in shown
