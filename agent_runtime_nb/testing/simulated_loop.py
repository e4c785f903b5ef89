"""`SimulatedLoop`: an asyncio loop whose time is virtual.

A loop that has nothing to do jumps to its next timer, so an hour of waiting takes no
time, and a run is the same each time. Several loops can share one `SimulatedTime`, as
processes share a clock: `SimulatedTime.run` then gives them turns in an order that its
seed decides, and a loop that is frozen is a process that was killed.

There is no I/O and there are no threads: what is given to an executor runs at once,
whatever else would need the outside raises. Keep state in memory.
"""

# ruff: noqa: SLF001 - an event loop is made of private parts of asyncio

import asyncio
import heapq
import itertools
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from random import Random
from typing import Any, TypeVar, cast

from agent_runtime_nb.settings import Environment

T = TypeVar("T")

_LAST_STEPS = 30

EPOCH = 1_800_000_000.0
"""POSIX seconds of the moment at which virtual time begins."""


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: what is awaited will never come.

    Attributes:
        waiting: where each task stands, a line each.
    """

    def __init__(self, waiting: list[str]) -> None:
        self.waiting = waiting
        tasks = "".join(f"\n  {one}" for one in waiting) or " no task"
        super().__init__(f"nothing is ready and no timer is set; waiting:{tasks}")


class SimulatedTime:
    """The time that one or more loops share, and who of them goes next.

    Args:
        seed: of the order in which loops that are ready take turns.
    """

    def __init__(self, seed: int = 0) -> None:
        self.now = 0.0
        self.seed = seed
        self._random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._loops: list[SimulatedLoop] = []
        self._running = False

    def add(self, loop: "SimulatedLoop") -> None:
        """Let a loop take turns."""
        self._loops.append(loop)

    def freeze(self, loop: "SimulatedLoop") -> None:
        """Let a loop never run again, wherever it is, as kill -9 does to a process."""
        if loop in self._loops:
            self._loops.remove(loop)

    def drives(self, loop: "SimulatedLoop") -> bool:
        """Whether a loop is among those that take turns just now."""
        return self._running and loop in self._loops

    def run(self, until: "asyncio.Future[T]", limit: float = float("inf")) -> T:
        """Run every loop until a future of one of them is done; its result.

        Raises:
            Deadlock: if no loop has anything to do.
            TimeoutError: if virtual time passes `limit`.
        """
        self._running = True
        try:
            while not until.done():
                self._step()
                if self.now > limit:
                    problem = f"not done after {limit} simulated seconds"
                    raise TimeoutError(problem)
        finally:
            self._running = False
        return until.result()

    def step(self) -> None:
        """Let one loop run what it has ready, once; to stop others at any point.

        Raises:
            Deadlock: if no loop has anything to do.
        """
        self._running = True
        try:
            self._step()
        finally:
            self._running = False

    def _step(self) -> None:
        ready = [loop for loop in self._loops if loop.is_ready()]
        if not ready:
            ready = self._next_ones()
        (ready[0] if len(ready) == 1 else self._random.choice(ready)).step()

    def _next_ones(self) -> "list[SimulatedLoop]":
        times = [(loop, loop.next_timer()) for loop in self._loops]
        when = min((time for _, time in times if time is not None), default=None)
        if when is None:
            raise Deadlock([one for loop in self._loops for one in loop.waiting()])
        self.now = max(self.now, when)
        return [loop for loop, time in times if time is not None and time <= self.now]


class _NoSelector:
    """Stands where a loop would wait for I/O, and lets its time pass instead."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Nothing ever comes from outside."""
        self._loop.pass_time(timeout)
        return []


class _Timer(asyncio.TimerHandle):
    """A timer that knows which of two of the same moment was set first."""

    __slots__ = ("number",)

    number: int

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, _Timer):
            return NotImplemented
        return (self.when(), self.number) < (other.when(), other.number)


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop in virtual time; `time()` counts seconds from 0.

    Args:
        time: the time that it shares with other loops; its own if None.
        shuffle: the seed of the order in which callbacks that are ready run. None: in
            the order in which they became ready, as every asyncio loop promises; code
            that relies on that promise breaks with a seed.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _timer_cancelled_count: int

    def __init__(
        self, time: SimulatedTime | None = None, *, shuffle: int | None = None
    ) -> None:
        self._shared = time or SimulatedTime()
        super().__init__()
        self._shared.add(self)
        self._clock_resolution = 1e-9
        self._selector = _NoSelector(self)
        self._random = None if shuffle is None else Random(shuffle)  # noqa: S311
        self._numbers = itertools.count()
        self._stepping = False

    def time(self) -> float:
        """Virtual seconds."""
        return self._shared.now

    def environment(self, name: str = "id") -> Environment:
        """What a runtime needs to live in virtual time; ids are counted.

        Args:
            name: how ids begin; another one for each host.
        """
        numbers = itertools.count(1)
        return Environment(
            clock=self.time,
            wall_clock=lambda: EPOCH + self._shared.now,
            sleep=asyncio.sleep,
            new_id=lambda: f"{name}-{next(numbers)}",
            random=Random(repr((self._shared.seed, name))).random,  # noqa: S311
        )

    # --- for `SimulatedTime`

    def is_ready(self) -> bool:
        """Whether something can run now."""
        return bool(self._ready)

    def next_timer(self) -> float | None:
        """When the next timer is due, None if none is set."""
        timers = self._scheduled
        while timers and timers[0].cancelled():
            cast("Any", heapq.heappop(timers))._scheduled = False
            self._timer_cancelled_count -= 1
        return timers[0].when() if timers else None

    def step(self) -> None:
        """Run what is ready once."""
        before = events._get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        events._set_running_loop(self)
        base = cast("Any", self)
        sys.set_asyncgen_hooks(
            base._asyncgen_firstiter_hook, base._asyncgen_finalizer_hook
        )
        self._stepping = True
        try:
            self._run_once()
        finally:
            self._stepping = False
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(before)

    def bury(self) -> None:
        """Take a frozen loop apart: what was left in it ends without a word.

        Its tasks are cancelled and run a little, so that nothing of them is left for
        the garbage collector to complain of. Whatever they do then has come too late:
        cut them off from what is shared before.
        """
        if self.is_closed():
            return
        self.set_exception_handler(lambda loop, context: None)  # noqa: ARG005
        for _ in range(_LAST_STEPS):
            tasks = asyncio.all_tasks(self)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.step()
        for task in asyncio.all_tasks(self):
            cast("Any", task)._log_destroy_pending = False
        self.close()

    def waiting(self) -> list[str]:
        """Where each task stands."""
        return sorted(_place_of(task) for task in asyncio.all_tasks(self))

    # --- what asyncio's base class leaves to its heirs, or does with the real world

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As asyncio's; timers of one moment run in the order they were set."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        timer = _Timer(when, callback, args, self, context)
        timer.number = next(self._numbers)
        cast("Any", timer)._scheduled = True  # as asyncio does
        heapq.heappush(self._scheduled, timer)
        return timer

    def is_running(self) -> bool:
        """Whether it is being driven, by itself or by its `SimulatedTime`."""
        return super().is_running() or self._shared.drives(self)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Call the function at once, on this thread."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def pass_time(self, timeout: float | None) -> None:
        """The loop would wait for I/O so long now; None is for ever."""
        if self._stepping or timeout == 0:
            return
        if timeout is None:
            raise Deadlock(self.waiting())
        when = self.next_timer()
        later = self._shared.now + timeout
        self._shared.now = later if when is None else max(self._shared.now, when)

    def _run_once(self) -> None:
        if self._random is not None and len(self._ready) > 1:
            handles = list(self._ready)
            self._random.shuffle(handles)
            self._ready.clear()
            self._ready.extend(handles)
        base = cast("Any", super())
        base._run_once()

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def simulate(
    work: Callable[[SimulatedLoop], Coroutine[Any, Any, T]],
    *,
    shuffle: int | None = None,
) -> T:
    """Run a coroutine in virtual time; the counterpart of `asyncio.run`.

    Args:
        work: given the loop, makes the coroutine.
        shuffle: see `SimulatedLoop`.

    Raises:
        Deadlock: if the coroutine waits for what will never come.
    """
    loop = SimulatedLoop(shuffle=shuffle)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work(loop))


def _place_of(task: "asyncio.Task[Any]") -> str:
    frames = task.get_stack()
    if not frames:
        return f"{task.get_name()}: about to run"
    frame = frames[-1]
    return f"{task.get_name()}: {frame.f_code.co_filename}:{frame.f_lineno}"
