"""A queue of steps for each actor.

Steps of one actor wait for each other, those that wait together go together; actors do
not wait for one another.
"""

import asyncio
import contextlib
import threading
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from agent_runtime_nb._base.loop_thread import LoopThread
from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.exceptions import OutcomeUnknown, StorageClosed
from agent_runtime_nb.runtime_abstractions import ActorId

_MOST_AT_ONCE = 200


class CosmosStep(NamedTuple):
    """A call that waits: the verb's name and its arguments."""

    verb: str
    argument: Any = None


Run = Callable[[ActorId, list[CosmosStep]], Awaitable[Sequence[object]]]
"""Runs the first steps of a list, at least one; an outcome for each that it ran."""

_Waiting = deque[tuple[CosmosStep, "Future[Any]"]]


class StepQueues:
    """The waiting steps of all actors.

    Args:
        thread: where they run.
        run: runs the first steps of one actor; never twice at once for one actor.
        where: names the storage in errors.
    """

    def __init__(self, thread: LoopThread, run: Run, where: str) -> None:
        self._thread = thread
        self._tasks = TaskOwner(f"cosmos {where}")
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
        await self._tasks.wait(timeout)
        await self._tasks.close()

    def _start(self, actor_id: ActorId) -> None:
        self._tasks.spawn(self._drain(actor_id), name=f"steps of {actor_id}")

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
