"""Group commit: what is grouped, in which order, and who gets the outcomes."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from agent_runtime_nb.exceptions import StorageClosed
from agent_runtime_nb.storage.group_commit import GroupWorker

pytestmark = pytest.mark.usefixtures("leak_check")


class Gate:
    """Runs groups, the first of which waits until the gate is opened."""

    def __init__(self) -> None:
        self.groups: list[list[object]] = []
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, jobs: list[object]) -> Sequence[object]:
        self.groups.append(jobs)
        self.entered.set()
        assert self.opened.wait(10)
        return jobs


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def worker(gate: Gate) -> AsyncIterator[GroupWorker[object]]:
    worker: GroupWorker[object] = GroupWorker(gate, where="here", limit=10)
    yield worker
    gate.opened.set()
    await worker.close()


async def entered(gate: Gate) -> None:
    await asyncio.to_thread(gate.entered.wait, 10)


async def test_what_waits_while_a_group_runs_is_the_next_group(
    gate: Gate, worker: GroupWorker[object]
):
    first = worker.submit("first")
    await entered(gate)

    rest = [worker.submit(n) for n in range(5)]
    gate.opened.set()
    outcomes = await asyncio.gather(first, *rest)

    assert outcomes == ["first", 0, 1, 2, 3, 4]
    assert gate.groups == [["first"], [0, 1, 2, 3, 4]]


async def test_a_group_has_a_bound(gate: Gate, worker: GroupWorker[object]):
    first = worker.submit("first")
    await entered(gate)

    rest = [worker.submit(n) for n in range(25)]
    gate.opened.set()
    await asyncio.gather(first, *rest)

    assert [len(group) for group in gate.groups] == [1, 10, 10, 5]


async def test_a_job_that_fails_fails_alone():
    def run(jobs: list[int]) -> list[object]:
        return [ValueError(job) if job % 2 else job for job in jobs]

    worker = GroupWorker(run, where="here")

    outcomes = await asyncio.gather(
        *(worker.submit(n) for n in range(4)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [int, ValueError, int, ValueError]
    await worker.close()


async def test_a_group_that_raises_fails_and_the_next_one_runs():
    def run(jobs: list[str]) -> list[object]:
        if "bad" in jobs:
            raise ZeroDivisionError
        return list(jobs)

    worker = GroupWorker(run, where="here")

    with pytest.raises(ZeroDivisionError):
        await worker.submit("bad")

    assert await worker.submit("good") == "good"
    await worker.close()


async def test_a_cancelled_future_is_left_alone_and_its_job_runs(
    gate: Gate, worker: GroupWorker[object]
):
    first = worker.submit("first")
    await entered(gate)
    cancelled = worker.submit("cancelled")
    last = worker.submit("last")

    cancelled.cancel()
    gate.opened.set()
    await asyncio.gather(first, last)

    assert gate.groups[1] == ["cancelled", "last"]
    assert cancelled.cancelled()


async def test_the_loop_that_called_is_woken_once_for_a_group(
    gate: Gate, worker: GroupWorker[object]
):
    class CountingLoop(asyncio.SelectorEventLoop):
        wakes = 0

        def call_soon_threadsafe(
            self,
            callback: Callable[..., object],
            *args: Any,
            context: contextvars.Context | None = None,
        ) -> asyncio.Handle:
            self.wakes += 1
            return super().call_soon_threadsafe(callback, *args, context=context)

    first = worker.submit("first")
    await entered(gate)
    loop = CountingLoop()
    submitted = threading.Event()

    async def call() -> list[object]:
        futures = [worker.submit(n) for n in range(8)]
        submitted.set()
        return await asyncio.gather(*futures)

    def run() -> list[object]:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(call())

    calling = asyncio.get_running_loop().run_in_executor(None, run)
    await asyncio.to_thread(submitted.wait, 10)
    gate.opened.set()
    await first

    assert await calling == list(range(8))
    # The executor's shutdown at the end of the runner wakes the loop too.
    assert loop.wakes <= 2


async def test_a_loop_that_has_closed_hurts_nobody(
    gate: Gate, worker: GroupWorker[object]
):
    async def call_and_leave() -> None:
        worker.submit("of a dead loop")

    await asyncio.to_thread(asyncio.run, call_and_leave())
    here = worker.submit("of this one")
    gate.opened.set()

    assert await here == "of this one"


async def test_close_runs_what_was_submitted_and_ends_once(gate: Gate):
    ends: list[str] = []
    worker = GroupWorker(
        gate, where="here", limit=2, at_end=lambda: ends.append("ended")
    )
    jobs = [worker.submit(n) for n in range(7)]

    closing = [asyncio.gather(worker.close()) for _ in range(3)]
    await asyncio.sleep(0)
    refused = worker.submit("late")
    gate.opened.set()
    await asyncio.gather(*closing)
    await worker.close()

    assert await asyncio.gather(*jobs) == list(range(7))
    assert isinstance(refused.exception(), StorageClosed)
    assert ends == ["ended"]


async def test_a_cancelled_close_still_ends_the_worker(gate: Gate):
    worker = GroupWorker(gate, where="here")
    job = worker.submit("job")
    closing = asyncio.gather(worker.close())
    await asyncio.sleep(0)

    closing.cancel()
    gate.opened.set()
    await worker.close()

    assert await job == "job"
    with pytest.raises(asyncio.CancelledError):
        await closing


async def test_an_end_that_is_reached_in_the_middle_of_a_group_is_seen(gate: Gate):
    worker = GroupWorker(gate, where="here", limit=100)
    first = worker.submit("first")
    await entered(gate)

    rest = [worker.submit(n) for n in range(3)]
    worker.end()
    gate.opened.set()
    await worker.close()

    assert gate.groups == [["first"], [0, 1, 2]]
    assert await asyncio.gather(first, *rest) == ["first", 0, 1, 2]
