"""Calls into one loop from other threads and loops."""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from agent_runtime_nb._base import loop_bridge
from agent_runtime_nb._base.loop_bridge import LoopBridge
from agent_runtime_nb.exceptions import NotRunning
from tests.fakes import background

T = TypeVar("T")


class ThreadLoop:
    """A loop in a thread, that can be held up and ended."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.bridge = LoopBridge(self.loop)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.close()

    def block(self) -> Callable[[], None]:
        """Hold the loop up; returns what lets it go on."""
        blocked, release = threading.Event(), threading.Event()

        def hold() -> None:
            blocked.set()
            release.wait(10)

        self.loop.call_soon_threadsafe(hold)
        assert blocked.wait(10)
        return release.set

    def wait_for_callbacks(self) -> None:
        """Wait until everything that was scheduled on the loop has run."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(self.loop.call_soon, done.set)
        assert done.wait(10)

    def close(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def target() -> Iterator[ThreadLoop]:
    target = ThreadLoop()
    yield target
    target.close()


async def soon(waiting: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    return await asyncio.wait_for(waiting, 10)


def boom() -> None:
    raise ValueError("on the loop")


# --- from another loop


async def test_a_call_runs_on_the_loop_and_brings_back_its_value(
    target: ThreadLoop,
) -> None:
    ran_on = await soon(target.bridge.call(asyncio.get_running_loop))

    assert ran_on is target.loop


async def test_a_call_that_gives_a_future_brings_back_what_that_becomes(
    target: ThreadLoop,
) -> None:
    def later() -> "asyncio.Future[int]":
        future: asyncio.Future[int] = target.loop.create_future()
        target.loop.call_later(0.001, future.set_result, 42)
        return future

    assert await soon(target.bridge.call(later)) == 42


@pytest.mark.parametrize("failing", ["at once", "later"])
async def test_an_error_on_the_loop_comes_to_the_caller(
    target: ThreadLoop, failing: str
) -> None:
    def later() -> "asyncio.Future[None]":
        future: asyncio.Future[None] = target.loop.create_future()
        target.loop.call_soon(future.set_exception, ValueError("on the loop"))
        return future

    with pytest.raises(ValueError, match="on the loop"):
        await soon(target.bridge.call(boom if failing == "at once" else later))

    assert await soon(target.bridge.call(lambda: "well")) == "well"


async def test_calls_of_one_caller_run_in_the_order_they_were_made(
    target: ThreadLoop,
) -> None:
    ran: list[int] = []

    def note(number: int) -> int:
        ran.append(number)
        return number

    answers = await soon(
        asyncio.gather(*[target.bridge.call(lambda n=n: note(n)) for n in range(200)])
    )

    assert answers == ran == list(range(200))


async def test_calls_made_while_the_loop_is_busy_are_all_served_when_it_is_free(
    target: ThreadLoop,
) -> None:
    let_go = target.block()
    calls = [background(target.bridge.call(lambda n=n: n)) for n in range(50)]
    await asyncio.sleep(0)
    assert not any(call.done() for call in calls)

    let_go()

    assert await soon(asyncio.gather(*calls)) == list(range(50))


def test_many_threads_with_a_loop_each_get_their_own_answers(
    target: ThreadLoop,
) -> None:
    threads, calls = 8, 100
    answers: dict[int, list[tuple[int, int]]] = {}
    counted: list[int] = []
    together = threading.Barrier(threads)

    def count(caller: int, call: int) -> tuple[int, int]:
        counted.append(caller)
        return caller, call

    async def ask(caller: int) -> None:
        together.wait(10)
        asked = [target.bridge.call(lambda n=n: count(caller, n)) for n in range(calls)]
        answers[caller] = await asyncio.wait_for(asyncio.gather(*asked), 30)

    def work(caller: int) -> None:
        asyncio.run(ask(caller))

    workers = [threading.Thread(target=work, args=[n]) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(40)

    assert answers == {
        caller: [(caller, call) for call in range(calls)] for caller in range(threads)
    }
    assert len(counted) == threads * calls


def test_callers_that_come_one_by_one_from_many_threads_are_never_forgotten(
    target: ThreadLoop,
) -> None:
    # A lost wake-up would leave one of these waiting until somebody else calls.
    def ask_often() -> None:
        async def ask() -> None:
            for number in range(300):
                assert await target.bridge.call(lambda n=number: n) == number

        asyncio.run(asyncio.wait_for(ask(), 30))
        finished.append(True)

    finished: list[bool] = []
    workers = [threading.Thread(target=ask_often) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(40)

    assert len(finished) == 4


# --- cancelled waits, dead callers


async def test_cancelling_the_wait_cancels_nothing_on_the_loop(
    target: ThreadLoop,
) -> None:
    futures: list[asyncio.Future[int]] = []

    def begin() -> "asyncio.Future[int]":
        futures.append(target.loop.create_future())
        return futures[0]

    call = background(target.bridge.call(begin))
    await asyncio.sleep(0)
    target.wait_for_callbacks()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(call)

    target.wait_for_callbacks()
    assert not futures[0].cancelled()
    target.loop.call_soon_threadsafe(futures[0].set_result, 1)
    assert await soon(target.bridge.call(lambda: futures[0])) == 1


async def test_a_call_whose_wait_was_cancelled_before_it_began_still_runs(
    target: ThreadLoop,
) -> None:
    let_go, ran = target.block(), threading.Event()
    call = background(target.bridge.call(ran.set))
    await asyncio.sleep(0)

    call.cancel()
    await asyncio.wait([call])
    let_go()

    target.wait_for_callbacks()
    assert ran.is_set()


async def test_an_error_for_a_caller_that_gave_up_disturbs_nobody(
    target: ThreadLoop,
) -> None:
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    let_go = target.block()
    call = background(target.bridge.call(boom))
    await asyncio.sleep(0)

    call.cancel()
    await asyncio.wait([call])
    let_go()
    await soon(target.bridge.call(lambda: None))  # answered after the error
    del call
    gc.collect()
    await asyncio.sleep(0)

    assert complaints == []


def test_a_caller_whose_loop_is_gone_does_not_disturb_the_others(
    target: ThreadLoop,
) -> None:
    let_go = target.block()

    async def ask_and_leave() -> None:
        call = background(target.bridge.call(lambda: "too late"))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])

    asyncio.run(ask_and_leave())
    let_go()

    assert asyncio.run(soon(target.bridge.call(lambda: "well"))) == "well"


# --- on the loop


async def test_on_the_loop_a_call_is_a_plain_call() -> None:
    bridge = LoopBridge(asyncio.get_running_loop())
    waiting = bridge.call(lambda: 42)

    with pytest.raises(StopIteration) as stopped:  # it did not suspend once
        waiting.send(None)

    assert stopped.value.value == 42


async def test_on_the_loop_an_error_is_raised_as_it_is() -> None:
    bridge = LoopBridge(asyncio.get_running_loop())

    with pytest.raises(ValueError, match="on the loop"):
        await bridge.call(boom)


async def test_on_the_loop_cancelling_the_wait_leaves_the_future_alone() -> None:
    loop = asyncio.get_running_loop()
    bridge, future = LoopBridge(loop), loop.create_future()
    call = background(bridge.call(lambda: future))
    await asyncio.sleep(0)

    call.cancel()
    await asyncio.wait([call])

    assert not future.done()


@pytest.mark.parametrize("on_the_loop", [True, False])
async def test_a_future_that_was_cancelled_on_the_loop_is_no_cancellation_of_the_caller(
    target: ThreadLoop, *, on_the_loop: bool
) -> None:
    bridge = LoopBridge(asyncio.get_running_loop()) if on_the_loop else target.bridge

    def cancelled() -> "asyncio.Future[None]":
        future: asyncio.Future[None] = bridge.loop.create_future()
        future.cancel()
        return future

    with pytest.raises(NotRunning):
        await soon(bridge.call(cancelled))


# --- a target that is gone


async def test_a_call_to_a_closed_loop_is_refused(target: ThreadLoop) -> None:
    target.close()

    with pytest.raises(NotRunning, match=r"^the runtime is stopped"):
        await target.bridge.call(lambda: None)


@pytest.mark.parametrize("begun", [True, False])
async def test_a_caller_is_told_when_the_loop_closes_while_it_waits(
    target: ThreadLoop, monkeypatch: pytest.MonkeyPatch, *, begun: bool
) -> None:
    monkeypatch.setattr(loop_bridge, "_CHECK_EVERY", 0.01)
    monkeypatch.setattr(loop_bridge, "_GONE_AFTER", 1_000_000)
    never: asyncio.Future[None] = target.loop.create_future()
    let_go = (lambda: None) if begun else target.block()
    call = background(target.bridge.call(lambda: never))
    await asyncio.sleep(0)
    if begun:
        target.wait_for_callbacks()

    target.loop.call_soon_threadsafe(target.loop.stop)
    let_go()
    target.close()

    with pytest.raises(NotRunning):
        await soon(call)


async def test_a_caller_is_told_when_the_loop_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop_bridge, "_CHECK_EVERY", 0.01)
    still = asyncio.new_event_loop()

    with pytest.raises(NotRunning):
        await soon(LoopBridge(still).call(lambda: None))

    still.close()


async def test_posting_needs_no_answer_and_never_fails(target: ThreadLoop) -> None:
    ran = threading.Event()

    target.bridge.post(ran.set)
    target.wait_for_callbacks()
    target.close()
    target.bridge.post(boom)

    assert ran.is_set()
