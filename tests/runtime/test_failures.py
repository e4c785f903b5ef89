"""What the runtime makes of actors and storages that fail."""

import asyncio
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    Conflict,
    NotJson,
    TooLarge,
    Unavailable,
    UnknownActorType,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from tests.fakes import (
    ONE,
    FaultyStorage,
    Gate,
    HandlingActor,
    StartRuntime,
    answer,
    ask,
    background,
    count,
    echo,
)

# --- what goes wrong


async def test_an_actor_that_raises_fails_its_request_and_the_next_gets_a_new_one(
    start: StartRuntime,
) -> None:
    made: list[HandlingActor] = []

    async def handle(_: IActorRuntimeContext, message: Any) -> Any:
        if message.params == "fail":
            raise ValueError("the reason")
        return "fine"

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(handle)
            made.append(self)

    runtime = await start(Worker)
    await ask(runtime)

    failed, after = await ask(runtime, "fail"), await ask(runtime)

    assert failed.status is RequestStatus.FAILED
    assert failed.data["error"]["type"] == "ValueError"
    assert failed.data["error"]["message"] == "the reason"
    assert after.data == "fine"
    assert len(made) == 2
    await made[0].disposed.wait()


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError]
)
async def test_no_exception_of_an_actor_ends_the_runtime(
    start: StartRuntime, error: type[BaseException]
) -> None:
    async def handle(_: IActorRuntimeContext, message: Any) -> Any:
        if message.params == "fail":
            raise error
        return "fine"

    runtime = await start(handle)

    failed, after = await ask(runtime, "fail"), await ask(runtime)

    assert failed.status is RequestStatus.FAILED
    assert after.data == "fine"


async def test_a_factory_that_raises_fails_each_request_with_the_reason(
    start: StartRuntime,
) -> None:
    attempts = 0

    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise RuntimeError("no luck")
            super().__init__(echo)

    runtime = await start(Worker)

    failed, after = await ask(runtime), await ask(runtime, "hi")

    assert failed.data["error"]["type"] == "ActorStartFailed"
    assert "no luck" in failed.data["error"]["message"]
    assert after.data == "hi"


async def test_an_unknown_type_is_refused_with_the_known_ones(
    start: StartRuntime,
) -> None:
    runtime = await start()

    with pytest.raises(UnknownActorType, match="worker"):
        await ask(runtime, actor_id=ActorId("walker", "one"))


async def test_params_that_are_not_json_are_refused_at_the_sender(
    start: StartRuntime,
) -> None:
    runtime = await start()

    with pytest.raises(NotJson):
        await ask(runtime, {"x": object()})


async def test_a_request_over_the_limit_is_refused(start: StartRuntime) -> None:
    runtime = await start(settings=RuntimeSettings(request_limit=100))

    with pytest.raises(TooLarge):
        await ask(runtime, "x" * 100)


async def test_an_answer_that_is_not_json_fails_the_request(
    start: StartRuntime,
) -> None:
    async def handle(_: IActorRuntimeContext, message: Any) -> Any:
        return object()

    runtime = await start(handle)

    response = await ask(runtime)

    assert response.data["error"]["type"] == "NotJson"


async def test_a_run_that_leaves_a_request_uncompleted_fails_it(
    start: StartRuntime,
) -> None:
    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def run(self, context: IActorRuntimeContext) -> None:
            async for message in context.watch_messages():
                if message.params == "return":
                    return
                if message.params != "skip":
                    answer(context, message, "done")

    runtime = await start(Worker)

    skipped, done, left = await asyncio.gather(
        ask(runtime, "skip"), ask(runtime), ask(runtime, "return")
    )

    assert skipped.data["error"]["type"] == "NotCompleted"
    assert done.data == "done"
    assert left.data["error"]["type"] == "NotCompleted"


async def test_a_run_that_takes_no_message_fails_the_oldest_request(
    start: StartRuntime,
) -> None:
    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def run(self, context: IActorRuntimeContext) -> None:
            return

    runtime = await start(Worker)

    response = await ask(runtime)

    assert response.data["error"]["type"] == "NotCompleted"


async def test_asking_for_messages_again_after_the_end_raises(
    start: StartRuntime,
) -> None:
    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def run(self, context: IActorRuntimeContext) -> None:
            await super().run(context)
            await super().run(context)

    runtime = await start(Worker)

    first, second = await ask(runtime, 1), await ask(runtime, 2)

    assert (first.data, second.data) == (1, 2)


async def test_an_exception_after_completing_leaves_the_answer(
    start: StartRuntime,
) -> None:
    class Worker(HandlingActor):
        def __init__(self, _: IActorRuntimeContext) -> None:
            super().__init__(echo)

        async def run(self, context: IActorRuntimeContext) -> None:
            async for message in context.watch_messages():
                answer(context, message, "kept")
                raise ValueError("too late")

    runtime = await start(Worker)

    first, second = await ask(runtime), await ask(runtime)

    assert (first.data, second.data) == ("kept", "kept")


# --- storage that fails


async def test_an_accept_that_the_storage_refuses_accepts_nothing(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    await ask(runtime)
    storage.fail_apply([Unavailable("there", "down")])

    with pytest.raises(Unavailable):
        await ask(runtime, "lost")

    assert (await ask(runtime, "next")).data == "next"


async def test_a_commit_is_sent_again_until_the_storage_takes_it(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(count, storage)
    down = Unavailable("there", "down")
    storage.fail_apply([None, down, None])

    response = await ask(runtime)

    assert response.data == 1
    assert (await ask(runtime)).data == 2


async def test_a_commit_whose_answer_was_lost_is_found_and_not_repeated(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    storage.lose_answers = True
    runtime = await start(count, storage)
    storage.fail_apply([None, Unavailable("there", "no answer")])

    response = await ask(runtime)

    assert response.data == 1
    assert (await ask(runtime)).data == 2


async def test_a_commit_that_cannot_be_stored_raises_and_the_next_message_works(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    storage = FaultyStorage()
    runtime = await start(count, storage)
    down = Unavailable("there", "down")
    storage.fail_apply([None, down, down])
    client = InProcessActorClient(runtime)
    handle = await client.send_request(ONE, "run", message_id="id-1")

    with pytest.raises(Unavailable):
        await handle.get_response()

    assert (await ask(runtime)).data == 1
    earlier = await client.get_response(ONE, "id-1")
    assert (await earlier.get_response()).status is RequestStatus.INTERRUPTED


async def test_a_value_that_is_too_large_fails_the_turn_and_keeps_the_old_state(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(count, storage)
    storage.fail_apply([None, TooLarge("the value", 9, 8)])

    failed, after = await ask(runtime), await ask(runtime)

    assert failed.data["error"]["type"] == "TooLarge"
    assert after.data == 1


async def test_state_written_beside_a_turn_fails_the_turn_and_is_seen_by_the_next(
    start: StartRuntime,
) -> None:
    storage, gate = InMemoryStateStorage(), Gate()

    async def handle(context: IActorRuntimeContext, message: Any) -> Any:
        await gate(context, message)
        return await count(context, message)

    runtime = await start(handle, storage)
    asking = background(ask(runtime))
    await gate.begun.get()
    state = await storage.read_state(ONE)
    await storage.write_state(ONE, set={"n": b"10"}, etag=state.etag)

    gate.passing.set()
    failed, after = await asking, await ask(runtime)

    assert failed.data["error"]["type"] == Conflict.__name__
    assert after.data == 11
