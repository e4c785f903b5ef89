"""Group commit: whatever waits goes into one transaction, for any backend.

Steps are submitted from event loops and wait in one queue. A thread takes all that
is queued, up to a bound, and runs it as one group; while it does, the next group
gathers by itself, so nobody waits on a timer. The outcomes go back with one
`call_soon_threadsafe` per loop and group, which is what makes a step cheap: waking a
loop costs more than most steps do.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Sequence
from concurrent.futures import Future as ThreadFuture
from typing import Any, Generic, TypeVar

from agent_runtime_nb.exceptions import StorageClosed

J = TypeVar("J")

_log = logging.getLogger(__name__)


class GroupWorker(Generic[J]):
    """A thread that runs submitted jobs in groups, in the order of the calls.

    `run` is given a group of 1 to `limit` jobs and returns one outcome for each, in
    their order: a value, or an exception for that job alone. It is only ever called
    on the worker's thread, never twice at once. If it raises, the whole group fails.

    Args:
        run: runs a group.
        where: names the storage in StorageClosed.
        limit: the most jobs of one group.
        at_end: called once on the thread, after the last group; must not raise.
    """

    def __init__(
        self,
        run: Callable[[list[J]], Sequence[object]],
        *,
        where: str,
        limit: int = 512,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._run = run
        self._where = where
        self._limit = limit
        self._at_end = at_end
        self._queue: queue.SimpleQueue[tuple[J, Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._closing = False
        self._ended: ThreadFuture[None] = ThreadFuture()
        self._ended.set_running_or_notify_cancel()  # so that no waiter can cancel it
        # A daemon, because a kernel that is told to exit must not wait for it.
        threading.Thread(
            target=self._work, name=f"group-worker {where}", daemon=True
        ).start()

    def submit(self, job: J) -> Future[Any]:
        """Queue a job now; the future belongs to the running loop.

        Cancelling the future does not take the job back.

        Raises:
            StorageClosed: through the future, once `close` was called.
        """
        future: Future[Any] = asyncio.get_running_loop().create_future()
        with self._lock:
            if not self._closing:
                self._queue.put((job, future))
                return future
        future.set_exception(StorageClosed(self._where))
        return future

    def end(self) -> None:
        """Take no more jobs; the thread ends after those it has. Twice is once."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._queue.put(None)

    async def close(self) -> None:
        """As `end`, and wait for the thread's last act. Twice is once."""
        self.end()
        await asyncio.shield(asyncio.wrap_future(self._ended))

    def _work(self) -> None:
        try:
            while group := self._next_group():
                jobs = [job for job, _ in group]
                try:
                    outcomes = self._run(jobs)
                except Exception as error:
                    _log.exception("a group of %d steps failed", len(jobs))
                    outcomes = [error] * len(jobs)
                _deliver([future for _, future in group], outcomes)
                del group, jobs, outcomes  # nothing is kept while the thread waits
            self._at_end()
        finally:
            self._ended.set_result(None)

    def _next_group(self) -> list[tuple[J, "Future[Any]"]]:
        """What is queued, at least one; empty once the worker is closing."""
        group: list[tuple[J, Future[Any]]] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) >= self._limit:
                return group
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group
        if group:
            self._queue.put(None)  # the end was reached early: see it again next time
        return group


def _deliver(futures: list["Future[Any]"], outcomes: Sequence[object]) -> None:
    by_loop: dict[AbstractEventLoop, list[tuple[Future[Any], object]]] = {}
    for future, outcome in zip(futures, outcomes, strict=True):
        by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, results in by_loop.items():
        with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits
            loop.call_soon_threadsafe(_settle, results)


def _settle(results: list[tuple["Future[Any]", object]]) -> None:
    for future, outcome in results:
        if future.done():  # cancelled while it waited
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
