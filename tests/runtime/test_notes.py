"""What the runtime notes of an actor while its turns go on: marks, names, discards.

Each test holds a write of one while another comes, as a slow storage would.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agent_runtime_nb._base.json_codec import encode_body
from agent_runtime_nb.exceptions import Unavailable, UnknownActorType
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime_abstractions import (
    ALLOWED_TOOLS,
    DISCARDED,
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage_abstractions import ActorChange
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep
from tests.fakes import (
    ONE,
    FaultyStorage,
    Gate,
    StartRuntime,
    ask,
    background,
    count,
    ends,
    settled,
    soon,
)

OTHER, NOBODY = ActorId("worker", "other"), ActorId("nobody", "x")


async def work(context: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
    """Fails, tells nobody or allows tools, as it is asked to."""
    match message.params:
        case "fail":
            raise ValueError("no")
        case "tell":
            context.tell(NOBODY, "run")
        case {"allow": tools}:
            await context.write_state(ALLOWED_TOOLS, tools)
        case _:
            pass


async def bury(runtime: InProcessActorRuntime, message_id: str) -> None:
    """Make a dead letter of the actor."""
    turn = Turn(ONE, 0, message_id, encode_body("run", "echo", {}))
    await runtime._actors.store_dead_letter(turn, UnknownActorType("worker", []), 3)


async def discarded(runtime: InProcessActorRuntime) -> Sequence[str]:
    info = (await runtime.read_actor(ONE)).info
    assert info is not None
    return info.discarded


# --- dead letters


async def test_the_last_of_dead_letters_that_are_requeued_at_once_takes_the_mark(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(work, storage)
    await bury(runtime, "m1")
    await bury(runtime, "m2")
    storage.hold(lambda change: bool(change.remove))

    requeued = [background(runtime.requeue(ONE, one)) for one in ("m1", "m2")]
    await settled()
    storage.let_go()
    await soon(asyncio.gather(*requeued))

    assert (await storage.list_actors(mark="dead")).items == ()


async def test_a_commit_that_is_sent_again_leaves_the_marks_that_came_meanwhile(
    start: StartRuntime,
) -> None:
    storage, pause = FaultyStorage(), asyncio.Event()
    settings = RuntimeSettings(commit_retries=(1.0,))

    async def sleep(seconds: float) -> None:
        if seconds == 1.0 and not pause.is_set():
            await pause.wait()
        else:
            await asyncio.Event().wait()  # nobody ever comes to hear the tell

    runtime = await start(
        work, storage, settings=settings, environment=Environment(sleep=sleep)
    )
    down = [Unavailable("here", "down")]

    def plan(step: FaultStep) -> Fault | None:
        if down and step.change is not None and ends(step.change):
            return Fault(error=down.pop(), takes_effect=False)
        return None

    storage.plan = plan

    asked = background(ask(runtime, "tell"))
    await settled()
    await bury(runtime, "m1")
    pause.set()
    await soon(asked)

    assert (await storage.list_actors(mark="outbox")).items == (ONE,)
    assert (await storage.list_actors(mark="dead")).items == (ONE,)


async def test_a_dead_letter_is_known_that_came_while_its_actor_was_claimed_again(
    start: StartRuntime,
) -> None:
    storage, gate = FaultyStorage(), Gate()
    runtime = await start(gate, storage)
    asked = background(ask(runtime, "hello"))
    await gate.begun.get()
    await storage.inner.write_state(ONE, set={"k": b"1"})  # beside the owner

    def plan(step: FaultStep) -> Fault | None:
        if step.verb == "claim":
            storage.hold()
        return None

    storage.plan = plan
    gate.passing.set()
    await storage.held_back.get()
    buried = background(bury(runtime, "m1"))
    await settled()
    storage.let_go()
    await soon(asyncio.gather(asked, buried))

    assert await soon(runtime.requeue(ONE, "m1")) == "m1~2"


# --- what was discarded


async def test_turns_are_discarded_although_their_actor_leaves_memory_meanwhile(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(work, storage)
    for message_id in ("m1", "m2"):
        await ask(runtime, "fail", message_id=message_id)
    await ask(runtime, "fail", actor_id=OTHER, message_id="held")
    storage.hold(lambda change: b"held" in (change.set or {}).get(DISCARDED, b""))

    held = background(runtime.discard(OTHER, "held"))
    await storage.held_back.get()
    first = background(runtime.discard(ONE, "m1"))
    await settled()
    runtime._actors._passivate(runtime._actors.cells[ONE])
    second = background(runtime.discard(ONE, "m2"))
    await settled()
    storage.let_go()
    await soon(asyncio.gather(held, first, second))

    assert sorted(await discarded(runtime)) == ["m1", "m2"]


async def test_a_discard_that_the_storage_refuses_leaves_no_trace(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(work, storage)
    for message_id in ("m1", "m2"):
        await ask(runtime, "fail", message_id=message_id)

    storage.fail_apply([Unavailable("here", "down")])
    with pytest.raises(Unavailable):
        await runtime.discard(ONE, "m1")
    await runtime.discard(ONE, "m2")

    assert await discarded(runtime) == ("m2",)


# --- names, tools


async def test_a_name_that_is_given_while_a_fork_is_written_leaves_it_its_parent(
    start: StartRuntime,
) -> None:
    storage, fork = FaultyStorage(), ActorId("worker", "fork")
    runtime = await start(work, storage)
    await ask(runtime, "hello")
    storage.hold(lambda change: bool(change.accepted))

    forked = background(runtime.fork(ONE, to=fork))
    await storage.held_back.get()
    renamed = background(runtime.rename(fork, "mine"))
    await settled()
    storage.let_go()
    await soon(asyncio.gather(forked, renamed))

    info = (await runtime.read_actor(fork)).info
    assert info is not None
    assert (info.name, info.parent) == ("mine", ONE)


async def test_a_tool_stays_disallowed_although_a_turn_ends_meanwhile(
    start: StartRuntime,
) -> None:
    storage, gate = FaultyStorage(), Gate()

    async def allows(context: IActorRuntimeContext, message: Any) -> None:
        await work(context, message)
        await gate(context, message)

    runtime = await start(allows, storage)
    gate.passing.set()
    await ask(runtime, {"allow": ["delete"]})
    await gate.begun.get()
    gate.passing.clear()
    asked = background(ask(runtime, {"allow": ["delete", "mail"]}))
    await gate.begun.get()
    storage.hold(lambda change: not change.ended)

    disallowed = background(runtime.disallow_tool(ONE, "delete"))
    await storage.held_back.get()
    gate.passing.set()
    await soon(asked)
    storage.let_go()
    assert await soon(disallowed)
    await settled()

    info = (await runtime.read_actor(ONE)).info
    assert info is not None
    assert info.allowed_tools == ("mail",)


# --- forks


def notes_conversation(change: ActorChange) -> bool:
    return "$conversation" in (change.set or {})


async def test_a_request_to_a_fork_that_is_being_written_waits_until_it_is_whole(
    start: StartRuntime,
) -> None:
    storage, fork = FaultyStorage(), ActorId("worker", "fork")
    runtime = await start(count, storage)
    await ask(runtime)
    await ask(runtime)
    storage.hold(notes_conversation)

    forked = background(runtime.fork(ONE, to=fork))
    await storage.held_back.get()
    asked = background(ask(runtime, actor_id=fork))
    await settled()
    waits = not asked.done()
    storage.let_go()
    await soon(forked)

    assert waits
    assert (await soon(asked)).data == 3
    turns = await storage.read_turns(fork)
    assert [turn.position for turn in turns] == [1, 2, 3]


async def test_a_request_to_a_fork_that_breaks_off_is_refused_and_not_lost(
    start: StartRuntime,
) -> None:
    storage, fork = FaultyStorage(), ActorId("worker", "fork")
    runtime = await start(count, storage)
    await ask(runtime)

    def plan(step: FaultStep) -> Fault | None:
        if step.change is not None and notes_conversation(step.change):
            return Fault(error=Unavailable("here", "down"), takes_effect=False)
        return None

    storage.plan = plan
    storage.hold(notes_conversation)

    forked = background(runtime.fork(ONE, to=fork))
    await storage.held_back.get()
    asked = background(ask(runtime, actor_id=fork))
    await settled()
    storage.let_go()

    for one in (forked, asked):
        with pytest.raises(Unavailable):
            await soon(one)
    assert await storage.read_turns(fork) == []
