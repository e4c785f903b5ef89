"""The loop that a runtime lives on, and the ways to wait for it from a cell.

In a notebook it is the kernel's own loop, else (or if asked for) one in a daemon
thread. Work is handed over from any thread, in call order, and answered by a
`concurrent.futures.Future`, which any loop and any thread can wait for.

Waiting in a cell has two traps. An interrupt cancels what the cell awaits, down to the
task: so cells get shielded futures. And it acts only at the next event of the loop: so
a timer ticks while a cell waits.
"""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, Literal, Self, TypeVar

from agent_runtime_nb._base.extras import load
from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.exceptions import InvalidRequest, LoopBlocked, NotRunning

T = TypeVar("T")

TICK = 0.1
"""Seconds between two events of the loop while a cell waits."""

SILENCE = 10.0
"""Seconds without a sign of life of the loop after which a blocking wait gives up."""

_LEAVE_GRACE = 2.0

LoopKind = Literal["notebook", "thread"]


class RuntimeLoop:
    """A loop, and whether it runs in a thread of ours.

    Args:
        loop: the loop.
        end: set on the loop, it ends the thread of ours that runs it; None if the loop
            is somebody else's.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, end: asyncio.Event | None = None
    ) -> None:
        self.loop = loop
        self._end = end
        self._tasks = TaskOwner("notebook")
        self._lock = threading.Lock()
        self._left = False

    @classmethod
    def find(cls, kind: LoopKind | None) -> Self:
        """The running loop of the main thread, else, or if asked for, a new thread."""
        if kind != "thread" and threading.current_thread() is threading.main_thread():
            with contextlib.suppress(RuntimeError):
                return cls(asyncio.get_running_loop())
        return cls._in_thread()

    @classmethod
    def _in_thread(cls) -> Self:
        loop, end = asyncio.new_event_loop(), asyncio.Event()
        # A daemon: any other thread would keep the kernel from ending.
        thread = threading.Thread(
            target=_run_loop, args=(loop, end), name="agent-runtime-nb", daemon=True
        )
        thread.start()
        return cls(loop, end)

    @property
    def kind(self) -> LoopKind:
        """Whose loop it is."""
        return "notebook" if self._end is None else "thread"

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on this loop."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def submit(self, work: Coroutine[Any, Any, T], *, name: str) -> "Future[T]":
        """Start `work` on the loop. Cancelling the future before it began drops it.

        Raises:
            NotRunning: if the loop is closed, or was left.
        """
        future: Future[T] = Future()
        try:
            self._post(self._begin, work, future, name)
        except NotRunning:
            work.close()
            raise
        return future

    def answered(self) -> threading.Event:
        """An event that the loop sets as soon as it gets to it; set if it was left."""
        event = threading.Event()
        try:
            self._post(event.set)
        except NotRunning:
            event.set()  # who still waits is being answered
        return event

    async def leave(self) -> None:
        """End what was submitted, answer who waits for it, end the thread if it is ours.

        On the loop, once. What calls this may be submitted work itself.
        """
        with self._lock:
            self._left = True
        await self._tasks.close(_LEAVE_GRACE)
        if self._end is not None:
            self._end.set()

    def _post(self, function: Callable[..., object], *args: Any) -> None:
        with self._lock:
            if self._left:
                raise NotRunning("stopped")
            try:
                self.loop.call_soon_threadsafe(function, *args)
            except RuntimeError:
                raise NotRunning("stopped") from None

    def _begin(
        self, work: Coroutine[Any, Any, T], future: "Future[T]", name: str
    ) -> None:
        if not future.set_running_or_notify_cancel():
            work.close()
        elif self._left:
            work.close()
            future.set_exception(NotRunning("stopped"))
        else:
            self._tasks.spawn(_settle(work, future), name=name)


def _run_loop(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    # Its end cancels what is left there, widgets' tasks for example.
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_wait(end))


async def _wait(end: asyncio.Event) -> None:
    await end.wait()


async def _settle(work: Coroutine[Any, Any, T], future: "Future[T]") -> None:
    try:
        result = await work
    except asyncio.CancelledError:
        future.set_exception(NotRunning("stopped"))
        raise
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


# --- waiting --------------------------------------------------------------------------


@contextlib.contextmanager
def ticking() -> Generator[None]:
    """Let the running loop see an interrupt soon, as long as a cell waits on it."""
    loop = asyncio.get_running_loop()

    def tick() -> None:
        nonlocal handle
        handle = loop.call_later(TICK, tick)

    handle = loop.call_later(TICK, tick)
    try:
        yield
    finally:
        handle.cancel()


async def wait_in_cell(future: "Future[T]") -> T:
    """Wait, from any loop; cancelling the wait leaves the work alone."""
    waiting = asyncio.wrap_future(future)
    # An interrupted cell asks no more; its error must not end up in another's output.
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
    with ticking():
        return await asyncio.shield(waiting)


def wait_blocking(
    future: "Future[T]", runtime_loop: RuntimeLoop, silence: float = SILENCE
) -> T:
    """Wait without `await`: in a cell, in a callback, in any thread, in a script.

    On the runtime's loop itself that takes a nested run of the loop, and so the package
    nest-asyncio2 patches asyncio, once, when this is first needed.

    Raises:
        LoopBlocked: if the loop gives no sign of life for `silence` seconds, as when
            the cell that it needs waits for this thread; work not begun is dropped.
        InvalidRequest: if something else has patched asyncio for nesting.
    """
    if runtime_loop.is_here:
        _allow_nesting(runtime_loop.loop)
        # Not wait_in_cell: an interrupt is a KeyboardInterrupt here.
        return runtime_loop.loop.run_until_complete(asyncio.wrap_future(future))
    answered, asked = runtime_loop.answered(), time.monotonic()
    while not future.done():
        concurrent.futures.wait([future], timeout=TICK)
        if answered.is_set():
            answered, asked = runtime_loop.answered(), time.monotonic()
        elif time.monotonic() - asked > silence:
            future.cancel()
            raise LoopBlocked(silence)
    return future.result()


def _allow_nesting(loop: asyncio.AbstractEventLoop) -> None:
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        problem = (
            "the package nest_asyncio has patched this kernel, and it loses queued "
            "cells; restart the kernel without it, or use: await rt.ask(...)"
        )
        raise InvalidRequest("ask_sync", problem)
    load("nest_asyncio2", "lab").apply(loop)
