"""An event loop on a thread of its own.

Connections belong to one loop, and their callers come from several; and a loop that a
notebook cell blocks must not stop what other loops wait for.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future as ThreadFuture
from typing import Any, TypeVar

T = TypeVar("T")

_END_WITHIN = 10.0  # seconds for what runs when the thread is stopped


class LoopEnded(RuntimeError):
    """The loop of a `LoopThread` was stopped, before or during the work."""


class LoopThread:
    """Runs coroutines for callers of any thread, from its making until `stop`.

    The thread is a daemon: a kernel that is told to exit must not wait for it.

    Args:
        name: of the thread.

    Attributes:
        loop: runs until `stop`; closed when the thread has ended.
    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "ThreadFuture[T]":
        """Start a coroutine there, in call order; cancelling the future cancels it.

        The future is cancelled if the coroutine still runs when the loop ends.

        Raises:
            LoopEnded: if `stop` was called; the coroutine never begins.
        """
        with self._lock:
            if not self._stopped:
                return asyncio.run_coroutine_threadsafe(work, self.loop)
        work.close()
        raise LoopEnded(self._thread.name)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for it; cancelling the wait cancels it.

        Raises:
            LoopEnded: if the loop is stopped before the coroutine has ended.
        """
        try:
            return await asyncio.wrap_future(self.submit(work))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopped and task is not None and not task.cancelling():
                raise LoopEnded(self._thread.name) from None
            raise

    def stop(self) -> None:
        """Begin what was submitted, cancel what runs, end; does not wait. Twice is once."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self.loop.call_soon_threadsafe(self.loop.stop)

    async def close(self) -> None:
        """As `stop`, and wait for the thread, in bounded time."""
        self.stop()
        await asyncio.to_thread(self._thread.join, 2 * _END_WITHIN)

    def _run(self) -> None:
        loop = self.loop
        try:
            loop.run_forever()
            loop.run_until_complete(self._cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    async def _cancel_all(self) -> None:
        deadline = self.loop.time() + _END_WITHIN
        # More than once: what is cancelled may start other tasks.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            _, left = await asyncio.wait(tasks, timeout=deadline - self.loop.time())
            if left:  # they ignore it
                return
