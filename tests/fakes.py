"""Actors and storages that tests drive by hand."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol, TypeVar

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    IActorStateStorage,
)
from agent_runtime_nb.testing.faults import storage as faulty_storage
from agent_runtime_nb.testing.faults.plans import Fault

T = TypeVar("T")

ONE = ActorId("worker", "one")

Handle = Callable[[IActorRuntimeContext, ActorRequestMessage], Awaitable[Any]]


def answer(
    context: IActorRuntimeContext,
    message: ActorRequestMessage,
    data: Any = None,
    status: RequestStatus = RequestStatus.COMPLETED,
) -> None:
    """Complete a request."""
    response = ActorResponseMessage(
        message_id=message.message_id,
        sender_id=context.actor_id,
        status=status,
        data=data,
    )
    context.complete_request(message.message_id, response)


class HandlingActor(IActor):
    """Calls a function for each request; completes with what it returns."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.disposed = asyncio.Event()

    async def run(self, context: IActorRuntimeContext) -> None:
        async for message in context.watch_messages():
            answer(context, message, await self.handle(context, message))

    async def dispose(self) -> None:
        self.disposed.set()


async def echo(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
    """Answers the params."""
    return message.params


async def count(context: IActorRuntimeContext, _: ActorRequestMessage) -> Any:
    """Answers how many turns have committed before, plus one."""
    n = await context.read_state("n", 0) + 1
    await context.write_state("n", n)
    return n


class Gate:
    """A handler that says when a turn has begun and waits until it is let through."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[Any] = asyncio.Queue()
        self.passing = asyncio.Event()
        self.cancelled: list[Any] = []

    async def __call__(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        self.begun.put_nowait(message.params)
        try:
            await self.passing.wait()
        except asyncio.CancelledError:
            self.cancelled.append(context.cancel_reason)
            raise
        return message.params


def accepts(change: ActorChange) -> bool:
    """Whether a change stores a new request."""
    return bool(change.accepted)


def counts(change: ActorChange) -> bool:
    """Whether a change does nothing but count the attempt of a turn."""
    return bool(change.started) and not change.ended


def ends(change: ActorChange) -> bool:
    """Whether a change ends a turn."""
    return bool(change.ended)


class FaultyStorage(faulty_storage.FaultyStorage):
    """In memory; the next applies or claims fail when it is told so."""

    def __init__(self, like: InMemoryStateStorage | None = None) -> None:
        super().__init__(InMemoryStateStorage(like))
        self.lose_answers = False  # of applies; else they change nothing
        self.raise_at_once = False  # by the call, not by its future

    def fail_apply(self, errors: Iterable[Exception | None]) -> None:
        """The next applies fail so, None: that one works."""
        self.script(
            self._fault(error, takes_effect=self.lose_answers) for error in errors
        )

    def fail_claim(self, *errors: Exception) -> None:
        """The next claims fail so."""
        faults = (self._fault(error, takes_effect=False) for error in errors)
        self.script(faults, "claim")

    def _fault(self, error: Exception | None, *, takes_effect: bool) -> Fault | None:
        if error is None:
            return None
        return Fault(error=error, takes_effect=takes_effect, raised=self.raise_at_once)


class Stubborn:
    """A handler that ignores one cancellation while the params say "stuck"."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[Any] = asyncio.Queue()
        self.freed = asyncio.Event()

    async def __call__(
        self, _: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        self.begun.put_nowait(message.params)
        if message.params == "stuck":
            with contextlib.suppress(asyncio.CancelledError):
                await self.freed.wait()
            await self.freed.wait()
        return message.params


class ManualClock:
    """A monotonic clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


class StartRuntime(Protocol):
    """Starts a runtime with one type, "worker"; the fixture stops it in the end.

    `handle` is what its actors do; a class is their factory instead.
    """

    async def __call__(
        self,
        handle: Handle | type[IActor] = echo,
        storage: IActorStateStorage | None = None,
        **kwargs: Any,
    ) -> InProcessActorRuntime: ...


async def ask(
    runtime: InProcessActorRuntime,
    params: Any = None,
    actor_id: ActorId = ONE,
    **kwargs: Any,
) -> ActorResponseMessage:
    """Send a request and wait for its response."""
    client = InProcessActorClient(runtime)
    handle = await client.send_request(actor_id, "run", params, **kwargs)
    return await handle.get_response()


def background(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start something that the test awaits later."""
    return asyncio.get_running_loop().create_task(work)


async def soon(waiting: Awaitable[T]) -> T:
    """What becomes of it; for what might never come, so bounded."""
    return await asyncio.wait_for(waiting, 5)


async def settled() -> None:
    """Let what is ready run, the end of a run behind its last turn among it."""
    for _ in range(5):
        await asyncio.sleep(0)
