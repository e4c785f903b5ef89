"""What `InProcessActorRuntime` does with requests, turns and state."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    InvalidRequest,
    MessageIdReused,
    NotRunning,
    OutsideTurn,
    Unavailable,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
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
)

# --- order and identity


async def test_an_actor_is_made_on_its_first_message(start: StartRuntime) -> None:
    runtime = await start(echo)
    before = (await runtime.health()).resident

    response = await ask(runtime, {"text": "hi"})

    assert before == 0
    assert (await runtime.health()).resident == 1
    assert response.status is RequestStatus.COMPLETED
    assert response.data == {"text": "hi"}
    assert response.sender_id == ONE


async def test_turns_of_one_actor_run_one_at_a_time_in_acceptance_order(
    start: StartRuntime,
) -> None:
    inside, seen = 0, []

    async def handle(_: IActorRuntimeContext, message: Any) -> Any:
        nonlocal inside
        inside += 1
        assert inside == 1
        seen.append(message.params)
        await asyncio.sleep(0)
        inside -= 1

    runtime = await start(handle)

    await asyncio.gather(*[ask(runtime, n) for n in range(50)])

    assert seen == list(range(50))


async def test_different_actors_run_at_the_same_time(start: StartRuntime) -> None:
    gate = Gate()
    runtime = await start(gate)
    asking = [background(ask(runtime, n, ActorId("worker", str(n)))) for n in range(5)]

    begun = {await gate.begun.get() for _ in range(5)}

    assert begun == set(range(5))
    gate.passing.set()
    await asyncio.gather(*asking)


async def test_the_same_message_id_attaches_to_the_same_turn(
    start: StartRuntime,
) -> None:
    gate = Gate()
    runtime = await start(gate)
    client = InProcessActorClient(runtime)

    first = await client.send_request(ONE, "run", "x", "id-1")
    second = await client.send_request(ONE, "run", "x", "id-1")
    gate.passing.set()

    assert (await first.get_response()).data == (await second.get_response()).data
    assert gate.begun.qsize() == 1


async def test_an_answered_message_id_gives_the_recorded_answer(
    start: StartRuntime,
) -> None:
    runtime = await start(count)

    first = await ask(runtime, message_id="id-1")
    again = await ask(runtime, message_id="id-1")

    assert (first.data, again.data) == (1, 1)


async def test_a_message_id_with_another_body_is_refused(start: StartRuntime) -> None:
    runtime = await start(echo)
    await ask(runtime, "x", message_id="id-1")

    with pytest.raises(MessageIdReused):
        await ask(runtime, "y", message_id="id-1")


# --- state


async def test_state_and_response_of_a_turn_are_one_commit(start: StartRuntime) -> None:
    storage = FaultyStorage()
    runtime = await start(count, storage)

    await ask(runtime)

    commits = [change for change in storage.applied if change.ended]
    assert len(commits) == 1
    assert commits[0].set == {"n": b"1"}
    assert commits[0].ended[0].result == b"1"


async def test_state_survives_the_runtime(start: StartRuntime, tmp_path: Path) -> None:
    first = await start(count, SqliteStateStorage(tmp_path / "s.db"))
    await ask(first)
    await first.stop()

    second = await start(count, SqliteStateStorage(tmp_path / "s.db"))

    assert (await ask(second)).data == 2


async def test_a_turn_sees_what_it_has_written_and_others_only_what_is_committed(
    start: StartRuntime,
) -> None:
    async def handle(context: IActorRuntimeContext, message: Any) -> Any:
        before = await context.read_state("k", "nothing")
        await context.write_state("k", message.params)
        await context.write_state("gone", 1)
        await context.remove_state("gone")
        return [before, await context.read_state("k"), await context.read_state("gone")]

    runtime = await start(handle)

    first, second = await ask(runtime, "a"), await ask(runtime, "b")

    assert first.data == ["nothing", "a", None]
    assert second.data == ["a", "b", None]


async def test_what_an_actor_changes_afterwards_is_not_stored(
    start: StartRuntime,
) -> None:
    async def handle(context: IActorRuntimeContext, message: Any) -> Any:
        value = await context.read_state("k", [])
        await context.write_state("k", value)
        value.append("later")
        return value

    runtime = await start(handle)
    await ask(runtime)

    assert (await ask(runtime)).data == ["later"]


async def test_an_exception_discards_what_was_staged(start: StartRuntime) -> None:
    async def handle(context: IActorRuntimeContext, message: Any) -> Any:
        if message.params == "fail":
            await context.write_state("k", 1)
            raise ValueError("no")
        return await context.read_state("k")

    runtime = await start(handle)

    failed, after = await ask(runtime, "fail"), await ask(runtime)

    assert failed.status is RequestStatus.FAILED
    assert after.data is None


async def test_state_cannot_be_written_outside_a_turn(start: StartRuntime) -> None:
    errors: list[type[Exception]] = []

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def run(self, context: IActorRuntimeContext) -> None:
            async for message in context.watch_messages():
                answer(context, message)
                try:
                    await context.write_state("k", 1)
                except OutsideTurn as error:
                    errors.append(type(error))

    runtime = await start(Worker)
    await ask(runtime)

    assert errors == [OutsideTurn]


# --- life


async def test_idle_actors_hold_no_task(start: StartRuntime) -> None:
    runtime = await start()
    before = len(asyncio.all_tasks())

    await asyncio.gather(
        *[ask(runtime, None, ActorId("worker", str(n))) for n in range(100)]
    )
    await settled()

    assert len(asyncio.all_tasks()) == before
    assert (await runtime.health()).resident == 100


async def test_an_idle_actor_is_dropped_and_comes_back_with_its_state(
    start: StartRuntime,
) -> None:
    made: list[HandlingActor] = []
    clock = ManualClock()

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(count)
            made.append(self)

    runtime = await start(Worker, environment=Environment(clock=clock))
    await ask(runtime)
    await settled()

    clock.advance(301)
    runtime._actors.sweep()

    await made[0].disposed.wait()
    assert (await runtime.health()).resident == 0
    assert (await ask(runtime)).data == 2
    assert len(made) == 2


async def test_the_longest_idle_actor_makes_room_for_a_new_one(
    start: StartRuntime,
) -> None:
    runtime = await start(count, settings=RuntimeSettings(max_resident=3))

    for n in range(10):
        await ask(runtime, None, ActorId("worker", str(n)))

    assert (await runtime.health()).resident == 3
    assert (await ask(runtime, None, ActorId("worker", "0"))).data == 2


async def test_a_type_registered_again_serves_from_the_next_turn_on(
    start: StartRuntime,
) -> None:
    gate = Gate()
    runtime = await start(gate)
    client = InProcessActorClient(runtime)
    running = await client.send_request(ONE, "run", "old")
    await gate.begun.get()
    waiting = await client.send_request(ONE, "run", "new")

    async def shout(_: IActorRuntimeContext, message: Any) -> Any:
        return message.params.upper()

    runtime.register_actor_type("worker", lambda _: HandlingActor(shout))
    gate.passing.set()

    assert (await running.get_response()).data == "old"
    assert (await waiting.get_response()).data == "NEW"
    assert (await ask(runtime, "idle")).data == "IDLE"


async def test_stop_lets_turns_end_and_then_interrupts_the_rest(
    start: StartRuntime,
) -> None:
    gate = Gate()
    runtime = await start(gate)
    client = InProcessActorClient(runtime)
    running = await client.send_request(ONE, "run", "running")
    await gate.begun.get()
    waiting = await client.send_request(ONE, "run", "waiting")

    await runtime.stop(drain=0)

    for handle in (running, waiting):
        response = await handle.get_response()
        assert response.status is RequestStatus.INTERRUPTED
    assert gate.cancelled == ["stopped"]
    await runtime.stop()


async def test_stop_drains_what_can_end_in_time(start: StartRuntime) -> None:
    gate = Gate()
    runtime = await start(gate)
    handle = await InProcessActorClient(runtime).send_request(ONE, "run", "x")
    await gate.begun.get()

    stopping = background(runtime.stop(drain=10))
    await asyncio.sleep(0)
    with pytest.raises(NotRunning):
        await ask(runtime)
    gate.passing.set()
    await stopping

    assert (await handle.get_response()).data == "x"


async def test_a_runtime_that_was_not_started_says_so() -> None:
    runtime = InProcessActorRuntime()
    runtime.register_actor_type("worker", lambda _: HandlingActor(echo))

    with pytest.raises(NotRunning, match="not started"):
        await ask(runtime)


async def test_a_start_that_failed_can_be_tried_again(start: StartRuntime) -> None:
    storage = InMemoryStateStorage()

    class Down(InMemoryStateStorage):
        tries = 0

        async def open(self, host: Any) -> None:
            Down.tries += 1
            if Down.tries == 1:
                raise Unavailable("there", "down")
            await super().open(host)

    runtime = InProcessActorRuntime(Down(storage))
    runtime.register_actor_type("worker", lambda _: HandlingActor(echo))
    with pytest.raises(Unavailable):
        await runtime.start()

    await runtime.start()

    assert (await ask(runtime, 1)).data == 1
    await runtime.stop()


async def test_old_results_are_dropped_and_the_newest_kept(start: StartRuntime) -> None:
    runtime = await start(settings=RuntimeSettings(keep_results=50))

    for n in range(200):
        await ask(runtime, n, message_id=f"id-{n}")
    await asyncio.sleep(0)

    client = InProcessActorClient(runtime)
    old = await (await client.get_response(ONE, "id-3")).get_response()
    new = await (await client.get_response(ONE, "id-199")).get_response()
    assert (old.status, old.data) == (RequestStatus.COMPLETED, None)
    assert new.data == 199


async def test_a_text_in_place_of_an_actor_id_is_told_what_to_write(
    start: StartRuntime,
) -> None:
    client = InProcessActorClient(await start())

    with pytest.raises(InvalidRequest, match=r"ActorId\.parse\('worker/one'\)"):
        await client.send_request("worker/one", "run")  # pyright: ignore[reportArgumentType]
