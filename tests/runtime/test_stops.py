"""Whatever is in flight when a runtime stops ends in its result or in `NotRunning`.

Every verb of the client and the directory is cut off at every step of the loop, in
simulated time: by callers on the runtime's loop and on another one, with a storage that
takes its time and with one that falls silent.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from typing import Any, TypeVar

import pytest

from agent_runtime_nb.exceptions import StorageClosed
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep, slow
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from agent_runtime_nb.testing.simulated_loop import SimulatedLoop, SimulatedTime
from tests.runtime import verbs
from tests.runtime.verbs import ENDLESS, VERBS, Ended, judge

T = TypeVar("T")

LONGEST = 300.0
"""Simulated seconds after which something hangs."""

STEPS_OF_THE_ENDLESS = 40
NEVER = 10**9
SETTLES = 1.0


class Storage(FaultyStorage):
    """Answers late; or, after so many calls, not at all.

    Attributes:
        asked: calls so far.
        answers: how many of them are answered.
        ends_with_close: reads that are not answered hear no cancellation and fail when
            the storage is closed, as those of a thread may.
    """

    def __init__(self, inner: IActorStateStorage) -> None:
        super().__init__(inner)
        self.asked = 0
        self.answers = NEVER
        self.ends_with_close = False
        self._closed = asyncio.get_running_loop().create_future()

    def begin(self, answers: int = NEVER) -> None:
        """Count from now on."""
        self.answers, self.plan = answers, self._next

    def _next(self, _: FaultStep) -> Fault:
        self.asked += 1
        if self.asked <= self.answers:
            return slow(0.001, 0.001)
        return Fault(silent=True)

    async def _read(
        self, actor_id: ActorId | None, work: Callable[[], Awaitable[T]]
    ) -> T:
        if self.ends_with_close and self.asked >= self.answers:
            self.asked += 1
            while not self._closed.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(self._closed)
            raise StorageClosed(self.location)
        return await super()._read(actor_id, work)

    async def close(self) -> None:
        await super().close()
        self._closed.set_result(None)


class World:
    """A runtime in simulated time, and a loop that its callers are on."""

    def __init__(self, *, foreign: bool) -> None:
        self.time = SimulatedTime()
        self.home = SimulatedLoop(self.time)
        self.caller = SimulatedLoop(self.time) if foreign else self.home
        self.complaints: list[dict[str, Any]] = []
        for loop in self._loops:
            loop.set_exception_handler(lambda _, said: self.complaints.append(said))
        self.storage, self.runtime = self.run(self.home, self._begin())

    async def _begin(self) -> tuple[Storage, InProcessActorRuntime]:
        environment = self.home.environment()
        storage = Storage(await verbs.stored(environment))
        return storage, await verbs.started(storage, environment=environment)

    @property
    def _loops(self) -> set[SimulatedLoop]:
        return {self.home, self.caller}

    def run(self, loop: SimulatedLoop, work: Coroutine[Any, Any, T]) -> T:
        return self.time.run(loop.create_task(work), self.time.now + LONGEST)

    def call(self, verb: verbs.Verb) -> "asyncio.Task[Any]":
        client = InProcessActorClient(self.runtime)

        async def called() -> Any:
            return await verb(client, self.runtime)

        return self.caller.create_task(called())

    def stop(self, drain: float = 0.0, *, caller_sleeps: bool = False) -> None:
        """Stop the runtime, from the caller's loop unless nothing runs there."""
        if caller_sleeps:
            self.time.freeze(self.caller)
        loop = self.home if caller_sleeps else self.caller
        self.run(loop, self.runtime.stop(drain=drain))
        if caller_sleeps:
            self.time.add(self.caller)

    def end_of(self, calling: "asyncio.Task[Any]", *, in_time: bool) -> Ended:
        """How the call ends; it must."""
        self.run(self.caller, _done(calling))
        if calling.cancelled():
            return Ended(in_time, None, asyncio.CancelledError())
        error = calling.exception()
        return Ended(in_time, None if error else calling.result(), error)

    def close(self) -> None:
        for loop in self._loops:
            loop.bury()
        assert self.complaints == []


async def _done(task: "asyncio.Task[Any]") -> None:
    await asyncio.wait([task])


def cut_off(
    verb: verbs.Verb,
    steps: int,
    *,
    foreign: bool,
    drain: float = 0.0,
    caller_sleeps: bool = False,
) -> Ended:
    """Stop the runtime that many steps of the loops after the verb was called."""
    with closing(World(foreign=foreign)) as world:
        world.storage.begin()
        calling = world.call(verb)
        for _ in range(steps):
            if not calling.done():
                world.time.step()
        in_time = calling.done()
        world.stop(drain, caller_sleeps=caller_sleeps)
        return world.end_of(calling, in_time=in_time)


def cut_off_in_silence(
    verb: verbs.Verb, answers: int, *, foreign: bool, ends_with_close: bool
) -> tuple[Ended, int]:
    """Stop the runtime after its storage has answered so many calls and no more."""
    with closing(World(foreign=foreign)) as world:
        world.storage.ends_with_close = ends_with_close
        world.storage.begin(answers)
        calling = world.call(verb)
        world.run(world.caller, asyncio.sleep(SETTLES))
        asked, in_time = world.storage.asked, calling.done()
        world.stop()
        return world.end_of(calling, in_time=in_time), asked


LOOPS = pytest.mark.parametrize(
    "foreign", [False, True], ids=["same loop", "foreign loop"]
)
EACH = pytest.mark.parametrize("name", VERBS)


def test_the_table_has_every_verb_of_the_interfaces() -> None:
    assert {name.partition(" ")[0] for name in VERBS} == verbs.required()


@EACH
@pytest.mark.parametrize(
    ("foreign", "how"),
    [
        (False, {}),
        (True, {}),
        (False, {"drain": 5.0}),
        (True, {"drain": 5.0}),
        (True, {"caller_sleeps": True}),
    ],
    ids=[
        "same loop",
        "foreign loop",
        "same loop, drained",
        "foreign loop, drained",
        "foreign loop that sleeps",
    ],
)
def test_a_verb_that_a_stop_cuts_off_at_any_step_ends_in_its_result_or_not_running(
    name: str, how: dict[str, Any], *, foreign: bool
) -> None:
    steps, endless = 0, name in ENDLESS
    while True:
        ended = cut_off(VERBS[name], steps, foreign=foreign, **how)
        judge(name, f"at step {steps}", ended)
        if ended.in_time or (endless and steps >= STEPS_OF_THE_ENDLESS):
            break
        steps += 1

    assert steps < LONGEST
    assert ended.in_time is not endless


@EACH
@LOOPS
@pytest.mark.parametrize(
    "ends_with_close", [False, True], ids=["silent", "ends with the close"]
)
def test_a_verb_that_a_silent_storage_holds_up_ends_with_the_stop(
    name: str, *, foreign: bool, ends_with_close: bool
) -> None:
    for answers in itertools.count():
        ended, asked = cut_off_in_silence(
            VERBS[name], answers, foreign=foreign, ends_with_close=ends_with_close
        )
        judge(name, f"after {answers} answers", ended, silent=True)
        if asked <= answers:
            break


@EACH
@LOOPS
def test_a_verb_that_comes_after_the_stop_ends_in_its_result_or_not_running(
    name: str, *, foreign: bool
) -> None:
    with closing(World(foreign=foreign)) as world:
        world.stop()

        ended = world.end_of(world.call(VERBS[name]), in_time=False)

    judge(name, "before it came", ended)
