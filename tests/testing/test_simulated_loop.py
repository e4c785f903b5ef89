"""The simulated loop: virtual time, deadlocks, loops that share a time."""

import asyncio
import threading

import pytest

from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import RequestStatus
from agent_runtime_nb.testing.simulated_loop import (
    Deadlock,
    SimulatedLoop,
    SimulatedTime,
    simulate,
)
from tests.fakes import Gate, HandlingActor, ask


def test_an_hour_of_waiting_takes_no_time() -> None:
    async def work(loop: SimulatedLoop) -> tuple[float, str]:
        try:
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()
        except TimeoutError:
            return loop.time(), "timeout"
        return loop.time(), "no timeout"

    assert simulate(work) == (3600.0, "timeout")


def test_timers_run_in_the_order_of_their_times_and_equal_ones_as_they_were_set() -> (
    None
):
    async def work(loop: SimulatedLoop) -> list[int]:
        seen: list[int] = []
        for number, delay in enumerate([5.0, 1.0, 5.0, 1.0, 5.0, 0.0]):
            loop.call_later(delay, seen.append, number)
        await asyncio.sleep(6)
        return seen

    assert simulate(work) == [5, 1, 3, 0, 2, 4]


def test_waiting_for_what_never_comes_is_an_error_that_names_who_waits() -> None:
    async def work(_: SimulatedLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"test_simulated_loop\.py") as caught:
        simulate(work)

    assert len(caught.value.waiting) == 1


def test_a_shuffled_loop_runs_ready_callbacks_in_an_order_of_its_seed() -> None:
    async def work(loop: SimulatedLoop) -> tuple[int, ...]:
        seen: list[int] = []
        for number in range(10):
            loop.call_soon(seen.append, number)
        await asyncio.sleep(1)
        return tuple(seen)

    orders = {seed: simulate(work, shuffle=seed) for seed in range(5)}

    assert len(set(orders.values())) > 1
    assert all(sorted(order) == list(range(10)) for order in orders.values())
    assert simulate(work) == tuple(range(10))
    assert {seed: simulate(work, shuffle=seed) for seed in range(5)} == orders


def test_work_for_a_thread_is_done_at_once_in_a_simulated_loop() -> None:
    async def work(_: SimulatedLoop) -> int:
        return await asyncio.to_thread(threading.get_ident)

    assert simulate(work) == threading.get_ident()


def test_a_frozen_loop_never_runs_again_and_others_go_on() -> None:
    time = SimulatedTime(seed=1)
    one, other = SimulatedLoop(time), SimulatedLoop(time)
    seen: list[str] = []

    async def tick(name: str) -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append(name)

    frozen = one.create_task(tick("one"))
    running = other.create_task(tick("other"))
    other.call_at(1.5, time.freeze, one)
    time.run(running)

    assert sorted(seen) == ["one", "other", "other", "other"]
    frozen.cancel()
    one.step()
    one.step()
    one.close()
    other.close()


def test_a_runtime_lives_in_virtual_time() -> None:
    async def work(loop: SimulatedLoop) -> tuple[RequestStatus, float]:
        runtime = InProcessActorRuntime(environment=loop.environment())
        runtime.register_actor_type("worker", lambda _: HandlingActor(Gate()))
        await runtime.start()
        response = await ask(runtime, "for ever")
        await runtime.stop()
        return response.status, loop.time()

    status, seconds = simulate(work)

    assert status is RequestStatus.FAILED  # its deadline of ten minutes
    assert 600 <= seconds < 610
