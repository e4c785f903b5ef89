"""A thread with a loop for the client, and the steps of each actor in call order on it.

The client belongs to one loop, callers come from any, and a cell that blocks the
runtime's loop must not stop what is on its way. Steps of one actor wait for each other,
those that wait together go together; actors do not wait for one another.
"""

import asyncio
import contextlib
import threading
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.exceptions import OutcomeUnknown, StorageClosed
from agent_runtime_nb.runtime_abstractions import ActorId

T = TypeVar("T")

_MOST_AT_ONCE = 200
_JOIN_WITHIN = 10.0


class CosmosStep(NamedTuple):
    """A call that waits: the verb's name and its arguments."""

    verb: str
    argument: Any = None


Run = Callable[[ActorId, list[CosmosStep]], Awaitable[Sequence[object]]]
"""Runs the first steps of a list, at least one; an outcome for each that it ran."""

_Waiting = deque[tuple[CosmosStep, "Future[Any]"]]


class CosmosLoopThread:
    """A loop that runs on a daemon thread from the beginning until `stop`."""

    def __init__(self, where: str) -> None:
        name = f"cosmos {where}"
        self.loop = asyncio.new_event_loop()
        self.tasks = TaskOwner(name)
        self._where = where
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there; cancelling the wait cancels it.

        Raises:
            StorageClosed: if the loop ends before it does.
        """
        try:
            running = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            raise StorageClosed(self._where) from None
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopping and task is not None and not task.cancelling():
                raise StorageClosed(self._where) from None
            raise

    def stop(self) -> None:
        """End the loop after what is due, and then the thread; does not wait."""
        self._stopping = True
        with contextlib.suppress(RuntimeError):  # it has ended already
            self.loop.call_soon_threadsafe(self.loop.stop)

    async def stopped(self) -> None:
        """As `stop`, and wait for the thread."""
        self.stop()
        await asyncio.to_thread(self._thread.join, _JOIN_WITHIN)

    def _work(self) -> None:
        loop = self.loop
        try:
            loop.run_forever()
        finally:
            while left := asyncio.all_tasks(loop):
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(left, timeout=_JOIN_WITHIN))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


class Chains:
    """The waiting steps of all actors.

    Args:
        thread: where they run.
        run: runs the first steps of one actor; never twice at once for one actor.
        where: names the storage in errors.
    """

    def __init__(self, thread: CosmosLoopThread, run: Run, where: str) -> None:
        self._thread = thread
        self._run = run
        self._where = where
        self._lock = threading.Lock()
        self._waiting: dict[ActorId, _Waiting] = {}
        self._closing = False

    def submit(self, actor_id: ActorId, step: CosmosStep) -> "Future[Any]":
        """Queue a step now; the future belongs to the running loop.

        Cancelling the future does not take the step back.

        Raises:
            StorageClosed: through the future, once `close` was called.
        """
        future: Future[Any] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closing:
                future.set_exception(StorageClosed(self._where))
                return future
            waiting = self._waiting.get(actor_id)
            if waiting is not None:
                waiting.append((step, future))
                return future
            self._waiting[actor_id] = deque([(step, future)])
        self._thread.loop.call_soon_threadsafe(self._start, actor_id)
        return future

    async def close(self, timeout: float) -> None:
        """Run what was submitted, at most `timeout` seconds; on the thread's loop."""
        with self._lock:
            self._closing = True
        await self._thread.tasks.wait(timeout)
        await self._thread.tasks.close()

    def _start(self, actor_id: ActorId) -> None:
        self._thread.tasks.spawn(self._drain(actor_id), name=f"steps of {actor_id}")

    async def _drain(self, actor_id: ActorId) -> None:
        try:
            while steps := self._next(actor_id):
                self._settle(actor_id, await self._outcomes(actor_id, steps))
        except asyncio.CancelledError:
            self._give_up(actor_id)
            raise

    async def _outcomes(
        self, actor_id: ActorId, steps: list[CosmosStep]
    ) -> Sequence[object]:
        try:
            return await self._run(actor_id, steps)
        except Exception as error:
            if len(steps) == 1:
                return [error]
        return await self._outcomes(actor_id, steps[:1])  # so that only one suffers

    def _next(self, actor_id: ActorId) -> list[CosmosStep]:
        with self._lock:
            waiting = self._waiting[actor_id]
            if not waiting:
                del self._waiting[actor_id]
            count = min(len(waiting), _MOST_AT_ONCE)
            return [waiting[number][0] for number in range(count)]

    def _settle(self, actor_id: ActorId, outcomes: Sequence[object]) -> None:
        with self._lock:
            waiting = self._waiting[actor_id]
            done = [(waiting.popleft()[1], outcome) for outcome in outcomes]
        _deliver(done)

    def _give_up(self, actor_id: ActorId) -> None:
        with self._lock:
            waiting = self._waiting.pop(actor_id)
        lost = OutcomeUnknown(actor_id, "that was on its way at the end")
        _deliver([(future, lost) for _, future in waiting])


def _deliver(results: Sequence[tuple["Future[Any]", object]]) -> None:
    by_loop: dict[AbstractEventLoop, list[tuple[Future[Any], object]]] = {}
    for future, outcome in results:
        by_loop.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, answers in by_loop.items():
        with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits
            loop.call_soon_threadsafe(_settle, answers)


def _settle(answers: Sequence[tuple["Future[Any]", object]]) -> None:
    for future, outcome in answers:
        if future.done():  # cancelled while it waited
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
