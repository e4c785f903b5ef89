"""Health: degraded while something is wrong, with a reason for people, then ok again."""

import pytest

from agent_runtime_nb.exceptions import Conflict, Full, StorageError, Unavailable
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.health import StorageHealth, problems
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorRequestMessage
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.supervision import RestartPolicy
from tests.fakes import (
    ONE,
    FaultyStorage,
    HandlingActor,
    ManualClock,
    StartRuntime,
    accepts,
    ask,
    background,
    echo,
    settled,
    soon,
)

DOWN = Unavailable("there", "down")


async def seen(runtime: InProcessActorRuntime) -> tuple[str, str]:
    """Status and detail, after the look of the next second."""
    runtime._actors.sweep()
    await settled()
    health = await runtime.health()
    return health.status, health.detail


async def test_a_runtime_is_degraded_while_its_storage_is_down(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    before = await seen(runtime)

    with storage.down():
        with pytest.raises(Unavailable):
            await ask(runtime)
        while_down = [await seen(runtime) for _ in range(2)]
    after = await seen(runtime)

    assert before == after == ("ok", "")
    [(status, detail), later] = while_down
    assert status == "degraded"
    assert detail.startswith("the storage fails: the storage ")
    assert detail.endswith("cannot be reached: down")
    assert later == (status, detail)


@pytest.mark.parametrize("step", ["claim", "accept", "commit"])
async def test_whatever_fails_in_the_storage_is_seen(
    start: StartRuntime, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    if step != "claim":
        await ask(runtime)
    if step == "claim":
        storage.fail_claim(DOWN)
    else:
        storage.fail_apply([DOWN] if step == "accept" else [None, DOWN, DOWN])

    with pytest.raises(StorageError):
        await ask(runtime)

    assert (await runtime.health()).status == "degraded"
    assert (await seen(runtime))[0] == "ok"


async def test_a_silent_storage_is_seen(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    storage, clock = FaultyStorage(), ManualClock()
    runtime = await start(echo, storage, environment=Environment(clock=clock))
    storage.hold(accepts)
    asking = background(ask(runtime))
    await soon(storage.held_back.get())

    clock.advance(RuntimeSettings().storage_timeout + 1)
    runtime._actors.sweep()
    health = await runtime.health()

    with pytest.raises(StorageError):
        await soon(asking)
    storage.let_go()
    assert (health.status, "no answer" in health.detail) == ("degraded", True)


async def test_what_a_read_cannot_show_counts_for_a_minute(start: StartRuntime) -> None:
    storage, clock = FaultyStorage(), ManualClock()
    runtime = await start(echo, storage, environment=Environment(clock=clock))
    await ask(runtime)
    storage.fail_apply([Full("the disk is full")])
    with pytest.raises(Full):
        await InProcessActorClient(runtime).send_request(ONE, "run")

    clock.advance(59)
    soon_after = await seen(runtime)
    clock.advance(1)
    later = await seen(runtime)

    assert soon_after[0] == "degraded"
    assert later == ("ok", "")


async def test_a_failure_during_the_look_is_not_forgotten_by_it() -> None:
    storage_health = StorageHealth(ManualClock())
    storage_health.note(DOWN)

    async def read() -> None:
        assert not storage_health.needs_check
        storage_health.note(DOWN)

    await storage_health.look(read)

    assert storage_health
    assert storage_health.needs_check


def test_a_refusal_says_nothing_against_the_storage() -> None:
    storage_health = StorageHealth(ManualClock())

    storage_health.note(Conflict(ONE, "this", "that"))

    assert not storage_health
    assert str(storage_health) == ""


async def test_a_loop_that_is_late_makes_the_runtime_degraded_for_a_moment(
    start: StartRuntime,
) -> None:
    runtime = await start()
    assert runtime._sweeping
    runtime._sweeping.cancel()

    runtime._sweep(runtime.loop.time() - 3)
    late = await runtime.health()
    assert runtime._sweeping
    runtime._sweeping.cancel()
    runtime._sweep(runtime.loop.time() - 0.1)
    after = await runtime.health()

    assert late.status == "degraded"
    assert late.detail.startswith("the event loop was late by 3.0 s;")
    assert (after.status, after.detail) == ("ok", "")


async def test_an_actor_in_quarantine_makes_the_runtime_degraded_until_it_is_revived(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(_: object, message: ActorRequestMessage) -> None:
        raise ValueError(message.params)

    runtime = await start()
    runtime.register_actor_type(
        "worker",
        lambda _: HandlingActor(fails),
        restart=RestartPolicy(max_restarts=0),
    )
    await ask(runtime)

    quarantined = await seen(runtime)
    await runtime.revive(ONE)
    revived = await seen(runtime)

    assert quarantined == ("degraded", "in quarantine until revived: worker/one")
    assert revived == ("ok", "")


def test_many_actors_in_quarantine_are_not_all_named() -> None:
    storage_health = StorageHealth(ManualClock())

    said = problems(storage_health, 0.0, [f"a/{n}" for n in range(5)])

    assert said == "in quarantine until revived: a/0, a/1, a/2, 2 more"
