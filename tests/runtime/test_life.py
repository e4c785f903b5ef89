"""Start, stop and the end of actors, when something comes in between or hangs."""

import asyncio
from typing import Any

import pytest

from agent_runtime_nb.exceptions import InvalidRequest, NotRunning, Unavailable
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActorRuntimeContext,
    Page,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from tests.fakes import (
    ONE,
    HandlingActor,
    ManualClock,
    StartRuntime,
    ask,
    background,
    echo,
    settled,
    soon,
)

SETTINGS = RuntimeSettings()

# --- start


def test_an_actor_in_place_of_a_factory_is_refused_when_it_is_registered() -> None:
    runtime: Any = InProcessActorRuntime()

    with pytest.raises(InvalidRequest, match="factory: must be callable"):
        runtime.register_actor_type("worker", HandlingActor(echo))


class SlowToRecover(InMemoryStateStorage):
    """Looks for what a dead host has left until it is let through; may fail then."""

    def __init__(self) -> None:
        super().__init__()
        self.looking = asyncio.Event()
        self.passing = asyncio.Event()
        self.faults: list[Exception] = []

    async def list_actors(self, *args: Any, **kwargs: Any) -> Page[ActorId]:
        found = await super().list_actors(*args, **kwargs)
        self.looking.set()
        await self.passing.wait()
        if self.faults:
            raise self.faults.pop()
        return found


def runtime_on(storage: InMemoryStateStorage) -> InProcessActorRuntime:
    runtime = InProcessActorRuntime(storage)
    runtime.register_actor_type("worker", lambda _: HandlingActor(echo))
    return runtime


async def test_a_start_that_failed_after_opening_can_be_tried_again() -> None:
    storage = SlowToRecover()
    storage.passing.set()
    storage.faults = [Unavailable("there", "down")]
    runtime = runtime_on(storage)
    with pytest.raises(Unavailable):
        await runtime.start()

    await runtime.start()

    assert (await soon(ask(runtime, "hi"))).data == "hi"
    await runtime.stop()


async def test_a_start_that_was_cancelled_can_be_tried_again() -> None:
    storage = SlowToRecover()
    runtime = runtime_on(storage)
    starting = background(runtime.start())
    await soon(storage.looking.wait())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    storage.passing.set()
    await runtime.start()

    assert (await soon(ask(runtime, "hi"))).data == "hi"
    await runtime.stop()


async def test_a_runtime_that_is_stopped_while_it_starts_stays_stopped() -> None:
    storage = SlowToRecover()
    runtime = runtime_on(storage)
    starting = background(runtime.start())
    await soon(storage.looking.wait())

    await soon(runtime.stop())
    storage.passing.set()

    with pytest.raises(NotRunning, match="stopped"):
        await soon(starting)
    assert runtime.state == "stopped"
    with pytest.raises(NotRunning, match="stopped"):
        await ask(runtime)


async def test_starting_while_somebody_else_starts_says_so() -> None:
    storage = SlowToRecover()
    runtime = runtime_on(storage)
    starting = background(runtime.start())
    await soon(storage.looking.wait())

    with pytest.raises(NotRunning, match="being started"):
        await soon(runtime.start())

    storage.passing.set()
    await soon(starting)
    assert runtime.state == "running"
    await runtime.stop()


# --- stop


async def test_actors_have_time_to_dispose_of_themselves_at_stop(
    start: StartRuntime,
) -> None:
    disposed: list[bool] = []

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def dispose(self) -> None:
            await settled()
            disposed.append(True)

    runtime = await start(Worker)
    await ask(runtime)

    await runtime.stop()

    assert disposed == [True]


@pytest.mark.parametrize("cancelled", [0, 1])
def test_a_loop_that_ends_without_stop_runs_nothing_more_and_ends_no_turn(
    cancelled: int,
) -> None:
    storage, begun = InMemoryStateStorage(), list[Any]()

    async def stay(context: IActorRuntimeContext, message: Any) -> Any:
        begun.append(message.params)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if context.cancel_reason is None:
                raise

    async def forgetful() -> None:
        runtime = InProcessActorRuntime(storage)
        runtime.register_actor_type("worker", lambda _: HandlingActor(stay))
        await runtime.start()
        client = InProcessActorClient(runtime)
        handles = [await client.send_request(ONE, "run", n) for n in range(3)]
        await settled()
        for handle in handles[:cancelled]:
            await handle.cancel()
        await settled()

    asyncio.run(forgetful())

    stored = asyncio.run(storage.read_turns(ONE))
    ended = [turn.status for turn in stored if turn.status.is_final]
    assert ended == [RequestStatus.CANCELLED] * cancelled
    assert begun == list(range(cancelled + 1))


# --- actors that hang or fail


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_actor_that_hangs_outside_its_turns_makes_room_for_a_new_one(
    start: StartRuntime, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    made: list[HandlingActor] = []

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)
            made.append(self)

        async def run(self, context: IActorRuntimeContext) -> None:
            if when == "before" and self is made[0]:
                await asyncio.Event().wait()
            await super().run(context)
            if self is made[0]:
                await asyncio.Event().wait()

    clock = ManualClock()
    runtime = await start(Worker, environment=Environment(clock=clock))
    if when == "after":
        await soon(ask(runtime))
    asking = background(ask(runtime, "next"))
    await settled()

    patience = SETTINGS.cancel_grace if when == "after" else SETTINGS.turn_timeout
    runtime._actors.sweep()
    clock.advance(patience - 1)
    runtime._actors.sweep()
    await settled()
    too_early = len(made) > 1
    clock.advance(1)
    runtime._actors.sweep()

    assert (await soon(asking)).data == "next"
    assert not too_early
    assert len(made) == 2


async def test_an_actor_that_is_seen_between_its_turns_every_time_does_not_hang(
    start: StartRuntime,
) -> None:
    made: list[HandlingActor] = []
    pause = asyncio.Event()

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)
            made.append(self)

        async def run(self, context: IActorRuntimeContext) -> None:
            await super().run(context)
            await pause.wait()

    clock = ManualClock()
    runtime = await start(Worker, environment=Environment(clock=clock))
    await soon(ask(runtime, 0))
    for number in (1, 2):
        asking = background(ask(runtime, number))
        await settled()
        runtime._actors.sweep()
        clock.advance(SETTINGS.cancel_grace)
        pause.set()
        pause.clear()
        await soon(asking)
    last = background(ask(runtime, 3))
    await settled()
    runtime._actors.sweep()
    pause.set()

    assert (await soon(last)).data == 3
    assert len(made) == 1


async def test_an_error_that_cannot_be_written_down_fails_its_own_turn_only(
    start: StartRuntime,
) -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def handle(_: IActorRuntimeContext, message: Any) -> Any:
        if message.params == "file name":
            raise FileNotFoundError("caf\udce9")
        if message.params == "no words":
            raise Unspeakable
        return "fine"

    runtime = await start(handle)

    name, words, fine = await soon(
        asyncio.gather(
            ask(runtime, "file name"), ask(runtime, "no words"), ask(runtime)
        )
    )

    assert name.data["error"]["type"] == "FileNotFoundError"
    assert words.data["error"]["type"] == "Unspeakable"
    assert fine.data == "fine"


async def test_a_type_may_be_registered_again_from_another_thread(
    start: StartRuntime,
) -> None:
    made: list[HandlingActor] = []

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)
            made.append(self)

    async def shout(_: IActorRuntimeContext, message: Any) -> Any:
        return message.params.upper()

    runtime = await start(Worker)
    await ask(runtime)
    await settled()  # it is idle

    await asyncio.to_thread(
        runtime.register_actor_type, "worker", lambda _: HandlingActor(shout)
    )

    await soon(made[0].disposed.wait())
    assert (await soon(ask(runtime, "hi"))).data == "HI"


@pytest.mark.parametrize("message_id", ["", "a\x00b", "\ud800", "x" * 201, 5])
async def test_a_message_id_that_no_storage_can_keep_is_refused(
    start: StartRuntime, message_id: Any
) -> None:
    runtime = await start()

    with pytest.raises(InvalidRequest, match="message_id"):
        await ask(runtime, message_id=message_id)


async def test_a_stopped_runtime_answers_its_directory_with_not_running(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await start()
    await ask(runtime)

    await runtime.stop()

    for looking in (runtime.read_actor(ONE), runtime.list_actors()):
        with pytest.raises(NotRunning, match="stopped"):
            await looking
    assert (await runtime.health()).status == "stopped"
    assert not caplog.records
