"""Actors and storages that tests drive by hand."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol, TypeVar

from agent_runtime_nb._client import InProcessActorClient
from agent_runtime_nb.runtime import InProcessActorRuntime
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
    Claim,
    IActorStateStorage,
    TurnRecord,
)

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


class FaultyStorage(InMemoryStateStorage):
    """Fails or holds back steps when it is told to."""

    def __init__(self, like: InMemoryStateStorage | None = None) -> None:
        super().__init__(like)
        self.applied: list[ActorChange] = []
        self.apply_faults: list[Exception | None] = []
        self.claim_faults: list[Exception] = []
        self.lose_answers = False
        self.raise_at_once = False  # by the call, not by its future
        self.held: list[tuple[asyncio.Future[Any], asyncio.Future[Any]]] | None = None
        self.held_back: asyncio.Queue[ActorChange | None] = asyncio.Queue()
        self._holds: Callable[[ActorChange], bool] | None = None

    def fail_apply(self, errors: Iterable[Exception | None]) -> None:
        """The next applies fail so, None: that one works."""
        self.apply_faults = list(errors)

    def hold(self, only: Callable[[ActorChange], bool] | None = None) -> None:
        """Do, but answer nothing until `let_go`; or such changes only.

        `held_back` says what is being held; None for a claim.
        """
        self.held, self._holds = [], only

    def let_go(self) -> None:
        """Answer what was held back."""
        held, self.held = self.held or [], None
        for inner, outer in held:
            if outer.done():
                continue
            error = inner.exception()
            if error is None:
                outer.set_result(inner.result())
            else:
                outer.set_exception(error)

    def claim(
        self, actor_id: ActorId, *, take_over: bool = False
    ) -> "asyncio.Future[Claim]":
        if self.claim_faults:
            return self._fail(self.claim_faults.pop(0))
        return self._later(super().claim(actor_id, take_over=take_over), None)

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "asyncio.Future[tuple[TurnRecord, ...]]":
        self.applied.append(change)
        error = self.apply_faults.pop(0) if self.apply_faults else None
        if error is not None:
            if self.lose_answers:
                super().apply(actor_id, change)
            return self._fail(error)
        return self._later(super().apply(actor_id, change), change)

    def _fail(self, error: Exception) -> "asyncio.Future[Any]":
        if self.raise_at_once:
            raise error
        return _failed(error)

    def _later(
        self, inner: "asyncio.Future[Any]", change: ActorChange | None
    ) -> "asyncio.Future[Any]":
        only = self._holds
        if self.held is None or (only and not (change and only(change))):
            return inner
        outer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.held.append((inner, outer))
        self.held_back.put_nowait(change)
        return outer


def _failed(error: Exception) -> "asyncio.Future[Any]":
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


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
