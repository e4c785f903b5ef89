"""Actors that fail: fresh starts with pauses, quarantine of one, revival."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime_nb._base.json_codec import encode_body
from agent_runtime_nb.exceptions import ActorQuarantined
from agent_runtime_nb.runtime import catalog
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.runtime_events import ActorQuarantineBegan, ActorRevived
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage_abstractions import ActorChange, TurnRecord
from agent_runtime_nb.supervision import RestartPolicy
from tests.fakes import (
    ONE,
    Gate,
    HandlingActor,
    ManualClock,
    StartRuntime,
    answer,
    ask,
    background,
    settled,
    soon,
)

TWO = ActorId("worker", "two")


class Sleeps:
    """An environment whose sleeps are written down and end when they are let."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.slept: list[float] = []
        self.let = asyncio.Event()
        self.let.set()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        await self.let.wait()
        self.clock.advance(seconds)

    def environment(self, chance: Callable[[], float] = lambda: 0.5) -> Environment:
        return Environment(clock=self.clock, sleep=self.sleep, random=chance)


async def fails(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
    """Raises what the params say."""
    if message.params == "fine":
        return "fine"
    if message.params == "exit":
        raise SystemExit
    if message.params == "interrupt":
        raise KeyboardInterrupt
    if message.params == "cancel":
        raise asyncio.CancelledError
    raise ValueError(message.params)


async def statuses(runtime: InProcessActorRuntime, *params: str) -> list[str]:
    return [(await ask(runtime, one)).status.value for one in params]


async def test_a_failing_actor_starts_again_after_pauses_that_double(
    start: StartRuntime,
) -> None:
    sleeps = Sleeps()
    runtime = await start(fails, environment=sleeps.environment())

    found = await statuses(runtime, "no", "no", "no", "fine")

    assert found == ["failed", "failed", "failed", "completed"]
    assert sleeps.slept == [0.2, 0.4, 0.8]


async def test_pauses_are_made_longer_or_shorter_at_random(start: StartRuntime) -> None:
    sleeps = Sleeps()
    chances = iter([0.0, 1.0])
    environment = sleeps.environment(lambda: next(chances))
    runtime = await start(fails, environment=environment)

    await statuses(runtime, "no", "no", "fine")

    assert sleeps.slept == [0.16, 0.48]


async def test_the_fourth_failure_within_a_minute_is_quarantine_of_that_actor_alone(
    start: StartRuntime,
) -> None:
    runtime = await start(fails, environment=Sleeps().environment())
    await statuses(runtime, "no", "no", "no", "no")

    with pytest.raises(ActorQuarantined) as refused:
        await ask(runtime, "fine")

    assert (refused.value.failures, refused.value.last) == (4, "ValueError: no")
    assert (await ask(runtime, "fine", TWO)).status is RequestStatus.COMPLETED


async def test_who_waits_when_quarantine_begins_is_told(start: StartRuntime) -> None:
    gate = Gate()

    async def fails_late(context: Any, message: Any) -> Any:
        await gate(context, message)
        raise ValueError("no")

    policy = RestartPolicy(max_restarts=0)
    runtime = await start(fails_late, environment=Sleeps().environment())
    runtime.register_actor_type(
        "worker", lambda _: HandlingActor(fails_late), restart=policy
    )
    client = InProcessActorClient(runtime)
    handles = [await client.send_request(ONE, "run", n) for n in range(3)]
    await gate.begun.get()

    gate.passing.set()
    responses = [await soon(handle.get_response()) for handle in handles]

    types = [one.data["error"]["type"] for one in responses]
    assert types == ["ValueError", "ActorQuarantined", "ActorQuarantined"]
    assert gate.begun.empty()


async def test_a_revived_actor_starts_with_a_clean_record_and_its_state(
    start: StartRuntime,
) -> None:
    async def counts(context: IActorRuntimeContext, message: Any) -> Any:
        if message.params == "no":
            raise ValueError("no")
        n = await context.read_state("n", 0) + 1
        await context.write_state("n", n)
        return n

    sleeps = Sleeps()
    runtime = await start(counts, environment=sleeps.environment())
    await statuses(runtime, "fine", "no", "no", "no", "no")

    revived = [await runtime.revive(ONE) for _ in range(2)]
    answered = await ask(runtime, "fine")

    assert revived == [True, False]
    assert answered.data == 2
    assert (await statuses(runtime, "no", "no", "no", "fine"))[-1] == "completed"


async def test_a_healthy_minute_makes_an_actor_as_new(start: StartRuntime) -> None:
    sleeps = Sleeps()
    runtime = await start(fails, environment=sleeps.environment())
    await statuses(runtime, "no", "no", "no", "fine")

    sleeps.clock.advance(60)
    await statuses(runtime, "no", "fine")

    assert sleeps.slept == [0.2, 0.4, 0.8, 0.2]


async def test_an_actor_that_leaves_memory_has_failed_all_the_same(
    start: StartRuntime,
) -> None:
    sleeps = Sleeps()
    runtime = await start(
        fails,
        environment=sleeps.environment(),
        settings=RuntimeSettings(max_resident=1),
    )

    for _ in range(4):
        await statuses(runtime, "no")
        await settled()
        await ask(runtime, "fine", TWO)  # there is room for one only
        assert runtime._actors.find(ONE) is None
        await settled()

    with pytest.raises(ActorQuarantined):
        await ask(runtime, "fine")


async def test_failures_are_remembered_as_long_as_they_count(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps = Sleeps()
    runtime = await start(fails, environment=sleeps.environment())
    failures = runtime._actors.failures
    for name in ("1", "2", "3"):
        await ask(runtime, "no", ActorId("worker", name))
    monkeypatch.setattr(catalog, "_FAILURES_OF", 2)

    runtime._actors.sweep()
    above_the_bound = [one.instance_id for one in failures]
    await runtime.delete_actor(ActorId("worker", "2"))
    without_the_deleted = [one.instance_id for one in failures]
    sleeps.clock.advance(60)
    runtime._actors.sweep()

    assert above_the_bound == ["2", "3"]
    assert without_the_deleted == ["3"]
    assert failures == {}


async def test_a_factory_that_raises_counts_as_a_failure(start: StartRuntime) -> None:
    class Broken(IActor):
        def __init__(self, context: Any) -> None:
            raise ValueError("no key")

        async def run(self, context: Any) -> None: ...

        async def dispose(self) -> None: ...

    runtime = await start(Broken, environment=Sleeps().environment())
    await statuses(runtime, "1", "2", "3", "4")

    with pytest.raises(ActorQuarantined, match="no key"):
        await ask(runtime)


@pytest.mark.parametrize("kind", ["exit", "interrupt", "cancel"])
async def test_what_is_no_ordinary_exception_fails_the_turn_and_hurts_nobody_else(
    start: StartRuntime, kind: str
) -> None:
    runtime = await start(fails, environment=Sleeps().environment())

    assert await statuses(runtime, kind, "fine") == ["failed", "completed"]


async def test_a_turn_that_completes_as_failed_is_no_failure_of_its_actor(
    start: StartRuntime,
) -> None:
    class Honest(IActor):
        def __init__(self, context: Any) -> None: ...

        async def run(self, context: IActorRuntimeContext) -> None:
            async for message in context.watch_messages():
                error = {"error": {"type": "E", "message": "", "retryable": False}}
                answer(context, message, error, RequestStatus.FAILED)

        async def dispose(self) -> None: ...

    sleeps = Sleeps()
    runtime = await start(Honest, environment=sleeps.environment())

    assert await statuses(runtime, *["x"] * 9) == ["failed"] * 9
    assert sleeps.slept == []


async def test_a_cancelled_turn_is_no_failure_of_its_actor(start: StartRuntime) -> None:
    gate, sleeps = Gate(), Sleeps()
    runtime = await start(gate, environment=sleeps.environment())
    client = InProcessActorClient(runtime)

    for number in range(9):
        handle = await client.send_request(ONE, "run", number)
        await gate.begun.get()
        await handle.cancel()
        assert (await handle.get_response()).status is RequestStatus.CANCELLED

    assert sleeps.slept == []


async def test_a_request_can_be_withdrawn_while_its_actor_pauses(
    start: StartRuntime,
) -> None:
    sleeps = Sleeps()
    runtime = await start(fails, environment=sleeps.environment())
    await ask(runtime, "no")
    sleeps.let.clear()
    client = InProcessActorClient(runtime)
    handle = await client.send_request(ONE, "run", "fine", "m")
    await settled()

    assert await runtime.withdraw(ONE, "m")
    assert (await soon(handle.get_response())).status is RequestStatus.CANCELLED
    sleeps.let.set()
    assert (await ask(runtime, "fine")).status is RequestStatus.COMPLETED


async def test_a_pause_does_not_outlast_a_stop(start: StartRuntime) -> None:
    sleeps = Sleeps()
    settings = RuntimeSettings(cancel_grace=0.0)
    runtime = await start(fails, environment=sleeps.environment(), settings=settings)
    await ask(runtime, "no")
    sleeps.let.clear()
    waiting = background(ask(runtime, "fine"))
    await settled()

    await soon(runtime.stop(drain=0))

    assert (await soon(waiting)).status is RequestStatus.INTERRUPTED


async def test_quarantine_and_revival_are_told_to_listeners(
    start: StartRuntime,
) -> None:
    told: list[Any] = []

    class Listener:
        kinds = frozenset({ActorQuarantineBegan, ActorRevived})

        def on_event(self, event: Any) -> None:
            told.append((type(event).__name__, event.instance_id))

    runtime = await start(fails, environment=Sleeps().environment())
    runtime.add_listener(Listener())
    await statuses(runtime, "no", "no", "no", "no")
    await runtime.revive(ONE)

    assert told == [("ActorQuarantineBegan", "one"), ("ActorRevived", "one")]


async def test_an_actor_in_quarantine_is_listed_as_such(start: StartRuntime) -> None:
    runtime = await start(fails, environment=Sleeps().environment())
    await statuses(runtime, "no", "no", "no", "no")

    page = await runtime.list_actors()

    assert [one.activity for one in page.items] == ["quarantined"]


async def test_what_is_left_open_of_an_actor_in_quarantine_runs_once_after_its_revival(
    start: StartRuntime,
) -> None:
    sleeps, begun = Sleeps(), list[Any]()

    async def records(context: IActorRuntimeContext, message: ActorRequestMessage):
        begun.append(message.params)
        return await fails(context, message)

    runtime = await start(records, environment=sleeps.environment())
    runtime.register_actor_type(
        "worker", lambda _: HandlingActor(records), on_interrupted="rerun"
    )
    await statuses(runtime, "no", "no", "no", "no")
    state = await runtime.storage.read_state(ONE)
    left = TurnRecord(
        99, "left", RequestStatus.PENDING, 1, encode_body("run", "fine", {})
    )
    await runtime.storage.apply(ONE, ActorChange(state.epoch, accepted=(left,)))

    # Each of these brings the actor into memory, for itself alone.
    await asyncio.gather(*(runtime.rename(ONE, f"name {n}") for n in range(3)))
    await runtime.rename(ONE, "a name")
    await settled()
    while_quarantined = list(begun)
    await runtime.revive(ONE)
    await ask(runtime, "fine")

    assert while_quarantined == ["no"] * 4
    assert begun[4:] == ["fine", "fine"]
    found = await runtime.storage.find_turn(ONE, "left")
    assert found is not None
    assert found.status is RequestStatus.COMPLETED
