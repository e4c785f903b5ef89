"""The only module that starts tasks: named, owned, awaited when the owner closes.

The event loop itself holds tasks weakly, so a task without an owner may vanish in the
middle of its work; and an exception in it would be seen by nobody.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, TypeVar

A = TypeVar("A")
T = TypeVar("T")

_log = logging.getLogger(__name__)


def see(future: "asyncio.Future[Any]") -> None:
    """Look at what becomes of a future, even if nobody waits for it any more."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


def failed(error: BaseException) -> "asyncio.Future[Any]":
    """A future of the running loop that has failed."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


async def in_groups(
    work: Callable[[A], Coroutine[Any, Any, T]], items: Sequence[A], at_once: int
) -> list[T]:
    """What `work` gives for each item, in their order; so many run at once, at most.

    The first error of a group is raised when all of that group have ended; the next
    group is not begun then.
    """
    results: list[T] = []
    for start in range(0, len(items), at_once):
        group = map(work, items[start : start + at_once])
        for outcome in await asyncio.gather(*group, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            results.append(outcome)
    return results


class TaskOwner:
    """Starts tasks on the running loop, keeps them alive and ends them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self.closed = False
        """Whether `close` was called: what is started from now on is ended by nobody."""

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(
        self,
        work: Coroutine[Any, Any, T],
        *,
        name: str,
        context: Context | None = None,
        awaited: bool = False,
    ) -> asyncio.Task[T]:
        """Start a task.

        An exception in it is logged, unless somebody awaits the task (`awaited`): then
        it is theirs.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard if awaited else self._ended)
        return task

    def start(
        self, work: Coroutine[Any, Any, None], *, name: str, context: Context
    ) -> asyncio.Task[None]:
        """As `spawn`, cheaper: the work itself must call `finished` at its end."""
        loop = asyncio.get_running_loop()
        task = asyncio.Task(work, loop=loop, name=name, context=context)
        self._tasks.add(task)
        return task

    def finished(self, task: "asyncio.Task[Any] | None") -> None:
        """A task that was begun with `start` is at its end."""
        if task is not None:
            self._tasks.discard(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(
                "%s: task %s failed", self._name, task.get_name(), exc_info=error
            )

    async def wait(self, timeout: float) -> None:
        """Wait until everything has ended, at most `timeout` seconds."""
        tasks = self._tasks - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    async def close(self, grace: float = 5.0) -> bool:
        """Cancel what runs and wait for it, at most `grace` seconds.

        Returns:
            Whether everything ended; a task that ignores its cancellation is left.
        """
        self.closed = True
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=grace)
            if left:
                names = ", ".join(sorted(task.get_name() for task in left))
                _log.error("%s: still running after %s s: %s", self._name, grace, names)
                return False
        return True
