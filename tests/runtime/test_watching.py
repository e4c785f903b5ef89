"""What those who watch an actor are told when things happen at once, or go wrong."""

import asyncio
import contextlib
from collections.abc import Generator

import pytest

from agent_runtime_nb.exceptions import StaleEpoch
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    ActorRequestMessage,
    IActorRuntimeContext,
    RequestStatus,
    TurnUpdate,
)
from agent_runtime_nb.runtime_events import RuntimeEvent, TurnEnded, TurnStarted
from agent_runtime_nb.settings import RuntimeSettings
from tests.fakes import (
    ONE,
    FaultyStorage,
    StartRuntime,
    Stubborn,
    accepts,
    ask,
    background,
    echo,
    settled,
    soon,
)


async def test_a_request_that_is_being_accepted_is_open_to_whoever_looks(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    await ask(runtime, "ended")
    storage.hold(accepts)
    sending = background(ask(runtime, "coming", message_id="id-2"))
    await soon(storage.held_back.get())

    view = await runtime.read_actor(ONE)
    storage.let_go()
    await soon(sending)

    assert [turn.params for turn in view.turns] == ["ended"]
    assert [turn.params for turn in view.waiting] == ["coming"]
    told = InProcessActorClient(runtime).watch_actor(ONE, after=view.cursor)
    items = [await soon(anext(told)) for _ in range(2)]
    assert [(item.message_id, item.kind) for item in items] == [
        ("id-2", "accepted"),
        ("id-2", "ended"),
    ]


@pytest.mark.parametrize("steps", range(4))
async def test_a_watcher_whose_wait_was_cancelled_has_missed_nothing(
    start: StartRuntime, steps: int
) -> None:
    runtime = await start(echo)
    client = InProcessActorClient(runtime)
    watch = client.watch_actor(ONE)

    async def next_item() -> TurnUpdate:
        return await anext(watch)

    waiting = background(next_item())
    await settled()
    await client.send_request(ONE, "run")
    for _ in range(steps):
        await asyncio.sleep(0)

    seen = [] if waiting.cancel() else [waiting.result()]
    while len(seen) < 3:
        seen.append(await soon(next_item()))

    assert [item.kind for item in seen] == ["accepted", "started", "ended"]


async def test_whoever_watches_is_told_of_a_turn_that_is_lost_here(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[RuntimeEvent] = []

    class Listener:
        kinds = frozenset({TurnEnded})

        def on_event(self, event: RuntimeEvent) -> None:
            told.append(event)

    storage = FaultyStorage()
    runtime = await start(echo, storage)
    runtime.add_listener(Listener())
    watch = InProcessActorClient(runtime).watch_actor(ONE)

    async def next_item() -> TurnUpdate:
        return await anext(watch)

    waiting = background(next_item())
    await settled()
    storage.fail_apply([None, StaleEpoch(ONE, 1, "another host")])
    with pytest.raises(StaleEpoch):
        await soon(ask(runtime))

    items = [await soon(waiting)] + [await soon(next_item()) for _ in range(2)]

    assert [item.kind for item in items] == ["accepted", "started", "ended"]
    assert isinstance(items[-1].data, dict)
    assert items[-1].data["status"] == "interrupted"
    assert [one.status for one in told if isinstance(one, TurnEnded)] == ["interrupted"]


async def test_nothing_of_a_deleted_actor_can_be_asked_for(
    start: StartRuntime,
) -> None:
    async def handle(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> str:
        context.on_progress_update(message.message_id, 0, "a secret")
        return "a secret"

    runtime = await start(handle)
    await ask(runtime, message_id="id-1")

    await runtime.delete_actor(ONE)

    found = await InProcessActorClient(runtime).get_response(ONE, "id-1")
    assert (await found.get_response()).status is RequestStatus.NOT_FOUND


# --- scopes


class CountingScope:
    """Gives other headers each time; counts the turns that are inside."""

    def __init__(self) -> None:
        self.sent = 0
        self.entered = 0
        self.inside = 0

    def outgoing_headers(self) -> dict[str, str]:
        self.sent += 1
        return {"traceparent": str(self.sent)}

    @contextlib.contextmanager
    def turn_scope(self, started: TurnStarted) -> Generator[None]:
        self.entered += 1
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


async def test_a_request_that_is_sent_again_with_other_headers_is_the_same(
    start: StartRuntime,
) -> None:
    runtime, scope = await start(), CountingScope()
    runtime.add_turn_scope(scope)

    first = await ask(runtime, {"a": 1, "b": 2}, message_id="id-1")
    again = await ask(runtime, {"b": 2, "a": 1}, message_id="id-1")

    assert again == first
    assert (scope.sent, scope.entered) == (2, 1)


async def test_the_scope_of_an_abandoned_turn_is_left_when_its_actor_lets_go(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn, scope = Stubborn(), CountingScope()
    settings = RuntimeSettings(cancel_grace=0.01)
    runtime = await start(stubborn, settings=settings)
    runtime.add_turn_scope(scope)
    client = InProcessActorClient(runtime)
    stuck = await client.send_request(ONE, "run", "stuck")
    await stubborn.begun.get()
    await stuck.cancel()
    await soon(stuck.get_response())
    inside = scope.inside

    stubborn.freed.set()
    await settled()

    assert inside == 1
    assert scope.inside == 0
    assert len(runtime._actors.tasks) == 0
