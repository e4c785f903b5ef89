"""Talk to the actors of a runtime in this process, from any thread and any loop."""

import asyncio
import re
from asyncio import get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Generic, NoReturn, Protocol, TypeVar, cast

from agent_runtime_nb._base.json_codec import decode, encode_body
from agent_runtime_nb._base.loop_bridge import LoopBridge, shielded
from agent_runtime_nb.exceptions import DeadlockDetected, InvalidRequest, TooLarge
from agent_runtime_nb.runtime.feed import Feed
from agent_runtime_nb.runtime.listeners import Listeners
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime.turn_log import Slice
from agent_runtime_nb.runtime.wait_graph import (
    ASKING,
    Asking,
    Wait,
    WaitGraph,
    outgoing,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    Cursor,
    IActorClient,
    JsonValue,
    RequestStatus,
    TurnUpdate,
    WhenBusy,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings

T = TypeVar("T")
_PENDING = RequestStatus.PENDING
_MESSAGE_ID = re.compile("[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}")


class ClientRuntime(Protocol):
    """The runtime, as its clients see it. Its methods run on its own loop."""

    @property
    def settings(self) -> RuntimeSettings:
        """The bounds."""
        ...

    @property
    def environment(self) -> Environment:
        """Where ids come from."""
        ...

    @property
    def listeners(self) -> Listeners:
        """Who gives headers to requests."""
        ...

    @property
    def waits(self) -> WaitGraph:
        """Whose turns wait for whom."""
        ...

    def may_wait(self, actor_id: ActorId, message_id: str) -> bool:
        """Whether a turn may still wait for what it asked; from any thread."""
        ...

    @property
    def own_loop(self) -> asyncio.AbstractEventLoop | None:
        """The runtime's loop; None before the start."""
        ...

    @property
    def bridge(self) -> LoopBridge:
        """The way to the runtime's loop; raises NotRunning before the start."""
        ...

    def submit(self, turn: Turn, when_busy: WhenBusy) -> "Turn | asyncio.Future[Turn]":
        """Accept a request; the turn to follow, another one if its id is known."""
        ...

    def submit_ask(
        self, turn: Turn, when_busy: WhenBusy
    ) -> "Turn | asyncio.Future[Turn]":
        """As `submit`, for a running turn: also while a stop lets such turns end."""
        ...

    def find_turn(
        self, actor_id: ActorId, message_id: str
    ) -> "Turn | asyncio.Future[Turn]":
        """A turn of this or an earlier process; NOT_FOUND if there is none."""
        ...

    def cancel_turn(
        self, actor_id: ActorId, message_id: str
    ) -> "bool | asyncio.Future[bool]":
        """Cancel a turn."""
        ...

    def updates_after(self, turn: Turn, after: int) -> "Slice | asyncio.Future[Slice]":
        """The next slice of a turn's updates."""
        ...

    def open_feed(
        self, actor_id: ActorId, after: Cursor | None
    ) -> "asyncio.Future[tuple[Feed[TurnUpdate], list[TurnUpdate]]]":
        """A feed of an actor, and what comes before its first item."""
        ...


class InProcessActorClient(IActorClient):
    """A client of a runtime in this process."""

    def __init__(self, runtime: ClientRuntime) -> None:
        self._runtime = runtime
        self._listeners = runtime.listeners
        self._limit = runtime.settings.request_limit
        self._new_id = runtime.environment.new_id

    async def send_request(
        self,
        actor_id: ActorId,
        method: str,
        params: JsonValue = None,
        message_id: str | None = None,
        *,
        when_busy: WhenBusy = "queue",
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ActorResponseHandle:
        runtime = self._runtime
        if actor_id.__class__ is not ActorId:
            _refuse_id(actor_id)
        if message_id is not None or metadata or method.__class__ is not str:
            _check(method, message_id, metadata)
        if when_busy != "queue" or timeout is not None:
            _check_waiting(when_busy, timeout)
        if self._listeners.has_scopes:
            metadata = {**self._listeners.outgoing_headers(), **(metadata or {})}
        asking = ASKING.get()
        if asking is not None and asking.is_asking:
            runtime.waits.check(asking.actor_id, actor_id)
            headers = outgoing(asking, actor_id, runtime.may_wait)
            metadata = {**headers, **(metadata or {})}
            left = asking.time_left()
            timeout = left if timeout is None else min(left, timeout)
        else:
            asking = None
        body = encode_body(method, params, metadata)
        if len(body) > self._limit:
            raise TooLarge("the request", len(body), self._limit)
        turn = Turn(actor_id, 0, message_id or self._new_id(), body, timeout)
        submit = runtime.submit if asking is None else runtime.submit_ask
        if get_running_loop() is runtime.own_loop:
            accepted = submit(turn, when_busy)
            if not isinstance(accepted, Turn):
                accepted = await shielded(accepted)
        else:
            accepted = await runtime.bridge.call(lambda: submit(turn, when_busy))
        if asking is not None:
            return AskHandle(runtime, accepted, asking, is_own=accepted is turn)
        return RequestHandle(runtime, accepted)

    async def get_response(
        self, actor_id: ActorId, message_id: str
    ) -> ActorResponseHandle:
        runtime = self._runtime
        turn = await runtime.bridge.call(
            lambda: runtime.find_turn(actor_id, message_id)
        )
        return RequestHandle(runtime, turn)

    async def cancel(self, actor_id: ActorId, message_id: str) -> bool:
        runtime = self._runtime
        return await runtime.bridge.call(
            lambda: runtime.cancel_turn(actor_id, message_id)
        )

    def watch_actor(
        self, actor_id: ActorId, after: Cursor | None = None
    ) -> AsyncIterator[TurnUpdate]:
        runtime = self._runtime
        return FeedWatch(runtime.bridge, lambda: runtime.open_feed(actor_id, after))


def _refuse_id(actor_id: object) -> NoReturn:
    problem = f"must be an ActorId, got {type(actor_id).__name__}"
    if isinstance(actor_id, str) and "/" in actor_id:
        problem += f"; write ActorId.parse({actor_id!r})"
    raise InvalidRequest("actor_id", problem)


def _check(method: object, message_id: object, metadata: object) -> None:
    if not isinstance(method, str):
        raise InvalidRequest("method", f"must be a text, got {type(method).__name__}")
    if message_id is not None and not (
        isinstance(message_id, str) and _MESSAGE_ID.fullmatch(message_id)
    ):
        problem = "must have 1 to 200 characters, no control characters, no surrogates"
        raise InvalidRequest("message_id", problem)
    if metadata is not None:
        headers = list(cast("Mapping[object, object]", metadata).items())
        if not all(isinstance(text, str) for header in headers for text in header):
            raise InvalidRequest("metadata", "must be texts by texts")


def _check_waiting(when_busy: object, timeout: object) -> None:
    if when_busy not in ("queue", "reject", "interrupt"):
        raise InvalidRequest("when_busy", 'must be "queue", "reject" or "interrupt"')
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise InvalidRequest("timeout", f"must be over 0 seconds, got {timeout!r}")


class RequestHandle(ActorResponseHandle):
    """The handle of a turn; holds no future, so any loop may use it."""

    __slots__ = ("_runtime", "_turn")

    def __init__(self, runtime: ClientRuntime, turn: Turn) -> None:
        self._runtime = runtime
        self._turn = turn

    @property
    def actor_id(self) -> ActorId:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The actor that was asked."""
        return self._turn.actor_id

    @property
    def message_id(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The request's id."""
        return self._turn.message_id

    def __repr__(self) -> str:
        turn = self._turn
        return f"<request {turn.message_id} to {turn.actor_id}: {turn.status.value}>"

    async def get_response(self) -> ActorResponseMessage:
        turn = self._turn
        if turn.status is _PENDING and turn.error is None:
            runtime = self._runtime
            loop = get_running_loop()
            if loop is runtime.own_loop:
                waiter = turn.wait(loop)
                if waiter is not None:
                    await waiter
            else:
                await runtime.bridge.call(turn.wait)
        return turn.response()

    def watch_updates(
        self, after: int | None = None
    ) -> AsyncIterator[ActorResponseMessage]:
        return self._updates(after)

    async def _updates(self, after: int | None) -> AsyncIterator[ActorResponseMessage]:
        turn = self._turn
        seen = -1 if after is None else after
        while turn.status is not RequestStatus.NOT_FOUND:
            part = await self._next_slice(seen)
            for sequence, text in part.items:
                seen = sequence
                yield ActorResponseMessage(
                    message_id=turn.message_id,
                    sender_id=turn.actor_id,
                    status=RequestStatus.PENDING,
                    data={"sequence": sequence, "progress": decode(text)},
                )
            if part.ended:
                break
        yield await RequestHandle.get_response(self)

    async def _next_slice(self, seen: int) -> Slice:
        runtime, turn = self._runtime, self._turn
        if get_running_loop() is not runtime.own_loop:
            return await runtime.bridge.call(partial(runtime.updates_after, turn, seen))
        found = runtime.updates_after(turn, seen)
        # Not shielded: a wait that ends takes its future out of the log with it.
        return found if isinstance(found, Slice) else await found

    async def cancel(self) -> bool:
        runtime, turn = self._runtime, self._turn
        return await runtime.bridge.call(
            lambda: runtime.cancel_turn(turn.actor_id, turn.message_id)
        )


class AskHandle(RequestHandle):
    """The handle of a request that a turn has sent: waiting may be a deadlock."""

    __slots__ = ("_is_own", "_wait")

    def __init__(
        self, runtime: ClientRuntime, turn: Turn, asking: Asking, *, is_own: bool
    ) -> None:
        super().__init__(runtime, turn)
        self._wait = Wait(asking, asking.turn, turn.actor_id)
        self._is_own = is_own  # else it was sent by somebody else, under this id

    def _waiting(self) -> AbstractContextManager[None]:
        if self._turn.ended or not self._wait.holds:
            return nullcontext()
        return self._runtime.waits.waiting(self._wait)

    async def _give_up(self) -> None:
        if self._is_own:
            await self.cancel()

    async def get_response(self) -> ActorResponseMessage:
        try:
            with self._waiting():
                return await super().get_response()
        except DeadlockDetected:
            await self._give_up()
            raise

    async def watch_updates(
        self, after: int | None = None
    ) -> AsyncIterator[ActorResponseMessage]:
        updates = self._updates(after)
        while True:
            try:
                # Who looks at an update, or at an answer that is there, waits for nobody.
                with self._waiting():
                    update = await anext(updates, None)
            except DeadlockDetected:
                await self._give_up()
                raise
            if update is None:
                return
            yield update


class FeedWatch(Generic[T]):
    """Takes what a feed on the runtime's loop collects.

    The runtime holds the feed weakly: it ends when this object goes, from whatever
    thread and without a call.
    """

    def __init__(
        self,
        bridge: LoopBridge,
        open_feed: Callable[[], "asyncio.Future[tuple[Feed[T], list[T]]]"],
    ) -> None:
        self._bridge = bridge
        self._open = open_feed
        self._feed: Feed[T] | None = None
        self._items: deque[T] = deque()
        self._seen = 0

    def __aiter__(self) -> "FeedWatch[T]":
        return self

    async def __anext__(self) -> T:
        if not self._items:
            await self._fill()
        return self._items.popleft()

    async def take(self) -> tuple[T, ...]:
        """Everything there is, waiting until there is something."""
        if not self._items:
            await self._fill()
        items = tuple(self._items)
        self._items.clear()
        return items

    async def _fill(self) -> None:
        if self._feed is None:
            self._feed, first = await self._bridge.call(self._open)
            self._items.extend(first)
        if not self._items:
            taking = partial(self._feed.take, self._seen)
            taken = await self._bridge.call(taking)
            # Nothing is awaited from here on: a wait that is cancelled before leaves
            # the items in the feed.
            self._seen = taken.last
            self._items.extend(taken.items)


class BatchWatch(Generic[T]):
    """As `FeedWatch`, in batches of what there is."""

    def __init__(
        self,
        bridge: LoopBridge,
        open_feed: Callable[[], "asyncio.Future[tuple[Feed[T], list[T]]]"],
    ) -> None:
        self._watch = FeedWatch(bridge, open_feed)

    def __aiter__(self) -> "BatchWatch[T]":
        return self

    async def __anext__(self) -> tuple[T, ...]:
        return await self._watch.take()
