"""Who owns tasks, and how they end."""

import asyncio
import gc
import logging
import weakref
from contextvars import Context, ContextVar

import pytest

from agent_runtime_nb._base.tasks import TaskOwner, in_groups
from tests.fakes import background, settled, soon

NOTE: ContextVar[str] = ContextVar("note", default="nothing")


async def forever() -> None:
    await asyncio.Event().wait()


async def deaf(release: asyncio.Event) -> None:
    """Ends when it is released, whatever is asked of it."""
    while not release.is_set():
        try:
            await release.wait()
        except asyncio.CancelledError:
            continue


async def test_a_spawned_task_gives_its_result_and_is_let_go() -> None:
    owner = TaskOwner("test")

    async def work() -> int:
        return 42

    task = owner.spawn(work(), name="work")

    assert len(owner) == 1
    assert task.get_name() == "work"
    assert await task == 42
    await asyncio.sleep(0)
    assert len(owner) == 0


async def test_a_task_that_nobody_else_holds_is_kept_alive() -> None:
    owner, woken = TaskOwner("test"), asyncio.Event()
    sleeping: list[weakref.ref[asyncio.Future[None]]] = []

    async def work() -> None:
        # Nothing but this frame holds the future, and so the task's wake-up.
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeping.append(weakref.ref(future))
        await future
        woken.set()

    owner.spawn(work(), name="work")
    await asyncio.sleep(0)
    gc.collect()

    future = sleeping[0]()
    assert future is not None
    future.set_result(None)
    await asyncio.wait_for(woken.wait(), 5)


async def test_an_error_that_nobody_awaits_is_logged_with_the_tasks_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    owner = TaskOwner("test")

    async def work() -> None:
        raise ValueError("what went wrong")

    await asyncio.wait([owner.spawn(work(), name="the work")])
    await asyncio.sleep(0)

    assert "test: task the work failed" in caplog.text
    assert "what went wrong" in caplog.text
    assert len(owner) == 0


async def test_a_cancelled_task_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    owner = TaskOwner("test")
    task = owner.spawn(forever(), name="forever")

    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)

    assert caplog.records == []
    assert len(owner) == 0


@pytest.mark.parametrize("cheap", [False, True])
async def test_a_task_runs_in_the_context_it_was_given(*, cheap: bool) -> None:
    owner = TaskOwner("test")
    seen: list[str] = []
    NOTE.set("the caller's")

    async def work() -> None:
        seen.append(NOTE.get())

    if cheap:
        task = owner.start(work(), name="work", context=Context())
    else:
        task = owner.spawn(work(), name="work", context=Context())
    await task

    assert seen == ["nothing"]


async def test_a_cheap_task_is_let_go_when_it_says_that_it_has_finished() -> None:
    owner = TaskOwner("test")

    async def work() -> None:
        owner.finished(asyncio.current_task())

    task = owner.start(work(), name="work", context=Context())

    assert len(owner) == 1
    await task
    assert len(owner) == 0
    owner.finished(None)


async def test_closing_cancels_what_runs_and_waits_for_its_end() -> None:
    owner = TaskOwner("test")
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")

    task = owner.spawn(work(), name="work")
    await asyncio.sleep(0)

    assert await owner.close()

    assert cleaned == ["up"]
    assert task.cancelled()


async def test_closing_reports_a_task_that_ignores_its_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    owner, release = TaskOwner("test"), asyncio.Event()
    task = owner.spawn(deaf(release), name="the deaf one")
    await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR):
        ended = await owner.close(grace=0.01)

    assert not ended
    assert "test: still running after 0.01 s: the deaf one" in caplog.text
    release.set()
    await task


async def test_waiting_cancels_nothing_and_ends_with_the_last_task() -> None:
    owner, release, ended = TaskOwner("test"), asyncio.Event(), list[str]()

    async def work() -> None:
        await release.wait()
        await asyncio.sleep(0)
        ended.append("well")

    owner.spawn(work(), name="work")
    waiting = owner.spawn(owner.wait(60), name="waiting")
    await asyncio.sleep(0)
    assert not waiting.done()

    release.set()
    await asyncio.wait_for(waiting, 5)

    assert ended == ["well"]


async def test_waiting_is_bounded_and_leaves_the_task_alone() -> None:
    owner, release = TaskOwner("test"), asyncio.Event()
    task = owner.spawn(deaf(release), name="work")

    await owner.wait(0.01)

    assert not task.done()
    assert task.cancelling() == 0
    release.set()
    await task


async def test_an_owner_without_tasks_closes_at_once_and_again() -> None:
    owner = TaskOwner("test")

    assert await owner.close()
    assert await owner.close()


async def test_a_task_may_close_its_own_owner() -> None:
    owner = TaskOwner("test")
    other = owner.spawn(forever(), name="other")

    closing = owner.spawn(owner.close(), name="closing")

    assert await asyncio.wait_for(closing, 5)
    assert other.cancelled()


async def test_one_failed_task_does_not_touch_its_siblings() -> None:
    owner, release = TaskOwner("test"), asyncio.Event()

    async def fail() -> None:
        raise ValueError("alone")

    sibling = owner.spawn(deaf(release), name="sibling")
    await asyncio.wait([owner.spawn(fail(), name="fail")])

    assert not sibling.done()
    release.set()
    await sibling


class Counted:
    """Work that is let go by hand; notes what has begun and ended."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.let = asyncio.Event()

    async def __call__(self, number: int) -> int:
        self.begun.append(number)
        try:
            await self.let.wait()
            if number % 5 == 4:
                raise LookupError(number)
        finally:
            self.ended.append(number)
        return number * 10


async def test_work_in_groups_gives_what_comes_of_each_item_in_their_order() -> None:
    work = Counted()
    work.let.set()

    assert await in_groups(work, [3, 1, 2], 2) == [30, 10, 20]
    assert await in_groups(work, [], 2) == []


async def test_of_work_in_groups_no_more_than_one_group_runs_at_once() -> None:
    work = Counted()

    waiting = background(in_groups(work, range(4), 3))
    await settled()
    assert work.begun == [0, 1, 2]
    work.let.set()

    assert await soon(waiting) == [0, 10, 20, 30]


async def test_an_error_is_raised_when_its_group_has_ended_and_no_other_begins() -> (
    None
):
    work = Counted()
    work.let.set()

    with pytest.raises(LookupError, match="4"):
        await in_groups(work, range(3, 9), 3)

    assert (work.begun, sorted(work.ended)) == ([3, 4, 5], [3, 4, 5])


async def test_work_in_groups_that_is_cancelled_leaves_nothing_running() -> None:
    work = Counted()
    waiting = background(in_groups(work, range(4), 3))
    await settled()

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(waiting)

    assert (work.begun, sorted(work.ended)) == ([0, 1, 2], [0, 1, 2])
