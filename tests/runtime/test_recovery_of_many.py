"""What a dead host left of many actors is ended some at a time, before the start ends."""

import asyncio
import logging

import pytest

from agent_runtime_nb._base.json_codec import encode_body
from agent_runtime_nb.exceptions import Corrupt, StaleEpoch, Unavailable
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
    TurnRecord,
)
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep, fails
from tests.fakes import FaultyStorage, HandlingActor, background, echo, settled, soon

IDS = [ActorId("worker", f"c{number:02}") for number in range(40)]
AT_ONCE = 16


class SilentClaims(FaultyStorage):
    """Never answers the claims of some actors."""

    def __init__(self, like: InMemoryStateStorage, silent: set[ActorId]) -> None:
        super().__init__(like)
        self.unanswered: list[asyncio.Future[Claim]] = []
        self._silent = silent

    def claim(
        self, actor_id: ActorId, *, take_over: bool = False
    ) -> asyncio.Future[Claim]:
        if actor_id not in self._silent:
            return super().claim(actor_id, take_over=take_over)
        self.unanswered.append(asyncio.get_running_loop().create_future())
        return self.unanswered[-1]


async def left_by_a_dead_host() -> InMemoryStateStorage:
    """Forty actors with two open turns each."""
    data = InMemoryStateStorage()
    await data.open(HostInfo("dead", "dead"))
    for actor_id in IDS:
        epoch = (await data.claim(actor_id)).epoch
        records = (TurnRecord(1, "first", body=b"[]"), TurnRecord(2, "second"))
        await data.apply(actor_id, ActorChange(epoch, accepted=records))
    await data.close()
    return data


async def next_host() -> tuple[InProcessActorRuntime, FaultyStorage]:
    storage = FaultyStorage(await left_by_a_dead_host())
    runtime = InProcessActorRuntime(storage)
    runtime.register_actor_type("worker", lambda _: HandlingActor(echo))
    return runtime, storage


async def ended(storage: FaultyStorage) -> list[ActorId]:
    """The actors all of whose turns have become INTERRUPTED."""
    interrupted = [RequestStatus.INTERRUPTED] * 2
    return [
        actor_id
        for actor_id in IDS
        if [one.status for one in await storage.inner.read_turns(actor_id)]
        == interrupted
    ]


async def test_sixteen_actors_of_a_dead_host_are_claimed_at_once() -> None:
    runtime, storage = await next_host()
    storage.hold()

    starting = background(runtime.start())
    for _ in range(AT_ONCE):
        assert await soon(storage.held_back.get()) is None
    await settled()

    assert (storage.held_back.qsize(), storage.applied) == (0, [])
    assert runtime.state == "starting"
    storage.let_go()
    await soon(starting)
    assert await ended(storage) == IDS
    positions = [[end.position for end in one.ended] for one in storage.applied]
    assert positions == [[1, 2]] * len(IDS)
    await runtime.stop(drain=0)


async def test_a_start_that_is_cancelled_among_its_claims_can_be_called_again() -> None:
    runtime, storage = await next_host()
    storage.hold()
    starting = background(runtime.start())
    for _ in range(AT_ONCE):
        await soon(storage.held_back.get())

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(starting)

    assert (runtime.state, storage.applied) == ("not started", [])
    storage.let_go()
    await soon(runtime.start())
    assert await ended(storage) == IDS
    await runtime.stop(drain=0)


async def test_an_actor_that_cannot_be_read_does_not_keep_others_from_being_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runtime, storage = await next_host()
    bad = IDS[3]

    def plan(step: FaultStep) -> Fault | None:
        wrong = step.verb == "claim" and step.actor_id == bad
        return fails(Corrupt("there", "garbage")) if wrong else None

    storage.plan = plan
    with caplog.at_level(logging.ERROR):
        await soon(runtime.start())

    assert await ended(storage) == [one for one in IDS if one != bad]
    assert [str(bad) in record.message for record in caplog.records] == [True]
    await runtime.stop(drain=0)


async def test_an_actor_that_another_host_takes_meanwhile_is_left_to_it() -> None:
    runtime, storage = await next_host()
    taken = IDS[5]

    def plan(step: FaultStep) -> Fault | None:
        late = step.verb == "apply" and step.actor_id == taken
        return fails(StaleEpoch(taken, 2, "the other")) if late else None

    storage.plan = plan
    await soon(runtime.start())

    assert await ended(storage) == [one for one in IDS if one != taken]
    await runtime.stop(drain=0)


async def test_a_storage_that_goes_among_the_claims_ends_the_start_at_once() -> None:
    runtime, storage = await next_host()
    claimed: list[ActorId | None] = []

    def plan(step: FaultStep) -> Fault | None:
        if step.verb == "claim":
            claimed.append(step.actor_id)
        return fails(Unavailable("there", "down")) if len(claimed) > AT_ONCE else None

    storage.plan = plan
    with pytest.raises(Unavailable):
        await soon(runtime.start())

    assert (runtime.state, claimed) == ("not started", IDS[: 2 * AT_ONCE])
    storage.plan = None
    await soon(runtime.start())
    assert await ended(storage) == IDS
    await runtime.stop(drain=0)


async def test_claims_that_are_never_answered_keep_no_other_actor_from_running_again() -> (
    None
):
    data = InMemoryStateStorage()
    await data.open(HostInfo("dead", "dead"))
    for actor_id in IDS:
        epoch = (await data.claim(actor_id)).epoch
        record = TurnRecord(1, "left", body=encode_body("run", "Hi", {}))
        await data.apply(actor_id, ActorChange(epoch, accepted=(record,)))
    await data.close()
    silent = set(IDS[:AT_ONCE])
    storage = SilentClaims(data, silent)
    settings = RuntimeSettings(storage_timeout=0.1)
    runtime = InProcessActorRuntime(storage, settings=settings)
    begun, all_others = set[ActorId](), asyncio.Event()

    async def begins(context: IActorRuntimeContext, _: ActorRequestMessage) -> None:
        begun.add(context.actor_id)
        if len(begun) == len(IDS) - AT_ONCE:
            all_others.set()

    runtime.register_actor_type(
        "worker", lambda _: HandlingActor(begins), on_interrupted="rerun"
    )
    await soon(runtime.start())

    await soon(all_others.wait())

    assert begun == set(IDS[AT_ONCE:])
    assert runtime._actors.undelivered == silent
    await runtime.stop(drain=0)
    for claim in storage.unanswered:
        claim.cancel()
