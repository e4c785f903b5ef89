"""What is in flight when a runtime stops, from other threads and over HTTP.

Every verb is held up at each call that it makes of the storage, and the runtime stops
meanwhile. The same at every step of the loop, in simulated time, is in
`tests/runtime/test_stops.py`.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client.client import HttpActorClient
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import IActorClient
from agent_runtime_nb.runtime_directory import RuntimeDirectory
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from tests.contracts.reaches import RuntimeThread
from tests.fakes import background, soon
from tests.runtime import verbs
from tests.runtime.verbs import ENDLESS, VERBS, Ended, judge

LOOKS = 5
LOOK = "actor_types"  # which is not counted
NEVER = -1
SPEED = 20.0  # so fast a stop gives up a storage that does not answer
SETTINGS = RuntimeSettings(cancel_grace=0.02 * SPEED, storage_timeout=60.0 * SPEED)


class Held(FaultyStorage):
    """Never answers one call, counted from `begin`; says when that comes."""

    def __init__(self, inner: IActorStateStorage, reached: Callable[[], None]) -> None:
        super().__init__(inner)
        self.reached = reached

    def begin(self, number: int) -> None:
        calls = itertools.count()

        def plan(_: FaultStep) -> Fault | None:
            if next(calls) != number:
                return None
            self.reached()
            return Fault(silent=True)

        self.plan = plan


class Current:
    """The client and the directory of whatever runtime there is just now.

    Attributes:
        runtime: that runtime.
        late: the number of the verb that comes only once the runtime has stopped; None
            of them if None.
        stopped: done then.
    """

    runtime: InProcessActorRuntime

    def __init__(self) -> None:
        self.late: int | None = None
        self.stopped: Future[None] = Future()
        self._calls = itertools.count()

    def begin(self, runtime: InProcessActorRuntime, late: int | None) -> None:
        self.runtime, self.late = runtime, late
        self.stopped, self._calls = Future(), itertools.count()

    def __getattr__(self, name: str) -> Any:
        client = InProcessActorClient(self.runtime)
        verb = getattr(client if hasattr(client, name) else self.runtime, name)
        if self.late is None or name == LOOK or next(self._calls) != self.late:
            return verb
        self.late = None
        return self._late(verb) if name.startswith("watch") else self._later(verb)

    def _later(self, verb: Any) -> Any:
        async def called(*args: Any, **kwargs: Any) -> Any:
            await asyncio.wrap_future(self.stopped)
            return await verb(*args, **kwargs)

        return called

    def _late(self, verb: Any) -> Any:
        async def watched(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
            await asyncio.wrap_future(self.stopped)
            async for item in verb(*args, **kwargs):
                yield item

        return watched


class Way(NamedTuple):
    """How callers reach the runtime that is current."""

    current: Any
    client: IActorClient
    directory: RuntimeDirectory


@pytest.fixture(scope="module", params=["foreign loop", "http"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """One way for many runtimes: a server takes longer to start than all the rest."""
    current: Any = Current()
    if request.param == "foreign loop":
        yield Way(current, current, current)
        return
    server = EmbeddedServer(current, current).start()
    client = HttpActorClient(server.url, token=server.token)
    yield Way(current, client, client.directory)
    client.close()
    server.stop()


@asynccontextmanager
async def running(
    current: Current, number: int, reached: asyncio.Event, late: int | None = None
) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """A runtime in another thread whose storage never answers that call; its stop."""
    home, here = RuntimeThread(SPEED), asyncio.get_running_loop()

    def say() -> None:
        here.call_soon_threadsafe(reached.set)

    async def begin() -> Held:
        storage = Held(await verbs.stored(), say)
        current.begin(await verbs.started(storage, SETTINGS), late)
        storage.begin(number)
        return storage

    async def stop() -> None:
        storage.plan = None  # what the stop itself writes is answered
        await current.runtime.stop(drain=0)

    storage = await asyncio.wrap_future(home.run(begin()))
    yield stop
    await stop()
    home.close()


async def cut_off(way: Way, name: str, number: int) -> tuple[Ended, bool]:
    """Stop the runtime while that call of the verb to the storage is not answered.

    Returns:
        How the verb ended, and whether it came to that call before the stop.
    """
    reached = asyncio.Event()

    async def call() -> object:
        return await VERBS[name](way.client, way.directory)

    async with running(way.current, number, reached) as stop:
        calling, reaching = background(call()), background(reached.wait())
        if name in ENDLESS:  # it may be at its end without another call
            for _ in range(LOOKS):
                await way.directory.health()
        else:
            await soon(asyncio.wait([calling, reaching], return_when="FIRST_COMPLETED"))
        held, in_time = reached.is_set(), calling.done()
        reaching.cancel()
        await soon(stop())
        await soon(asyncio.wait([calling]))
        error = calling.exception()
        return Ended(in_time, None if error else calling.result(), error), held


@pytest.mark.parametrize("name", VERBS)
async def test_a_verb_that_the_storage_holds_up_ends_with_the_stop_of_its_runtime(
    way: Way, name: str
) -> None:
    for number in itertools.count():
        ended, held = await cut_off(way, name, number)
        judge(name, f"at call {number}", ended, silent=True)
        if not held:
            break


@pytest.mark.parametrize("late", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("name", VERBS)
async def test_a_verb_whose_way_to_the_runtime_takes_longer_than_its_stop_is_told_so(
    way: Way, name: str, late: int
) -> None:
    # A server asks the runtime twice for some verbs: the stop may come in between.
    async with running(way.current, NEVER, asyncio.Event(), late) as stop:

        async def call() -> object:
            return await VERBS[name](way.client, way.directory)

        calling = background(call())
        for _ in range(LOOKS):
            await getattr(way.directory, LOOK)()
        in_time = calling.done()
        await soon(stop())
        way.current.stopped.set_result(None)
        await soon(asyncio.wait([calling]))

    error = calling.exception()
    value = None if error else calling.result()
    judge(name, "before it came", Ended(in_time, value, error))
