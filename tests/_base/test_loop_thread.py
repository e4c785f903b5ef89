"""What a loop on a thread of its own promises its callers."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import NoReturn

import pytest

from agent_runtime_nb._base.loop_thread import LoopEnded, LoopThread


@pytest.fixture
async def thread() -> AsyncIterator[LoopThread]:
    thread = LoopThread("a loop for tests")
    yield thread
    await thread.close()


class Endless:
    """Work that ends by its cancellation only."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    async def __call__(self) -> NoReturn:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError("nobody sets that event")


async def begun(work: Endless) -> None:
    assert await asyncio.to_thread(work.begun.wait, 10)


async def test_work_runs_on_the_threads_loop_and_its_result_comes_back(
    thread: LoopThread,
):
    async def work() -> tuple[asyncio.AbstractEventLoop, str]:
        return asyncio.get_running_loop(), threading.current_thread().name

    assert await thread.run(work()) == (thread.loop, "a loop for tests")


async def test_the_error_of_the_work_is_the_callers(thread: LoopThread):
    async def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        await thread.run(work())


async def test_a_thread_without_a_loop_can_submit_and_wait(thread: LoopThread):
    async def work() -> int:
        return 7

    assert await asyncio.to_thread(lambda: thread.submit(work()).result(10)) == 7


async def test_what_is_submitted_begins_in_call_order_even_if_it_is_stopped_at_once():
    thread, order = LoopThread("ordered"), list[int]()

    async def work(number: int) -> None:
        order.append(number)

    for number in range(50):
        thread.submit(work(number))
    await thread.close()

    assert order == list(range(50))


async def test_cancelling_the_wait_cancels_the_work(thread: LoopThread):
    work = Endless()
    waiting = asyncio.get_running_loop().create_task(thread.run(work()))
    await begun(work)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(work.cancelled.wait, 10)


async def test_work_that_runs_at_the_stop_is_cancelled_and_its_caller_is_told(
    thread: LoopThread,
):
    work = Endless()
    waiting = asyncio.get_running_loop().create_task(thread.run(work()))
    await begun(work)

    thread.stop()

    with pytest.raises(LoopEnded):
        await waiting
    assert work.cancelled.is_set()


async def test_a_task_that_begins_while_others_are_cancelled_is_cancelled_too(
    thread: LoopThread,
):
    late, tasks = Endless(), list[asyncio.Task[None]]()

    async def starts_another() -> None:
        try:
            await Endless()()
        finally:
            tasks.append(asyncio.get_running_loop().create_task(late()))
            await asyncio.sleep(0)

    thread.submit(starts_another())

    await thread.close()

    assert late.cancelled.is_set()
    assert tasks[0].cancelled()


async def test_after_the_stop_work_is_refused_and_never_begins(thread: LoopThread):
    work = Endless()
    thread.stop()

    with pytest.raises(LoopEnded, match="a loop for tests"):
        thread.submit(work())
    with pytest.raises(LoopEnded, match="a loop for tests"):
        await thread.run(work())
    await thread.close()

    assert not work.begun.is_set()


async def test_closing_waits_until_the_loop_is_closed_and_twice_is_once(
    thread: LoopThread,
):
    thread.stop()
    await thread.close()
    await thread.close()

    assert thread.loop.is_closed()
    names = [other.name for other in threading.enumerate()]
    assert "a loop for tests" not in names
