"""One activation: an actor object in memory, and what it may do in a turn.

The context stages what the actor writes and hands it over as one commit. It knows
nothing of storages, hosts and supervision: those are the business of its cell.
"""

import asyncio
import types
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from agent_runtime_nb._base.json_codec import (
    decode,
    decode_body,
    encode,
    encode_body,
    request_message,
)
from agent_runtime_nb.exceptions import InvalidRequest, MailboxDrained, OutsideTurn
from agent_runtime_nb.runtime.listeners import Listeners
from agent_runtime_nb.runtime.mailbox import Mailbox
from agent_runtime_nb.runtime.tell import Tell
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime.wait_graph import ASKING, trace_headers
from agent_runtime_nb.runtime_abstractions import (
    OWN_KEYS,
    ActorId,
    ActorRequestMessage,
    ActorResponseHandle,
    ActorResponseMessage,
    Encoded,
    IActor,
    IActorClient,
    IActorRuntimeContext,
    JsonValue,
    RequestStatus,
    TurnView,
    WhenBusy,
)

_OWN = f'{{!r}} begins with "{OWN_KEYS}", as the runtime\'s own'
_BY_ACTOR = (RequestStatus.COMPLETED, RequestStatus.FAILED, RequestStatus.CANCELLED)


def forget_cancellations() -> None:
    """The running task's cancellations were dealt with: a later timeout must not see them."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


class Staged:
    """What a turn has written so far."""

    __slots__ = ("entries", "remove", "set", "tells")

    def __init__(self) -> None:
        self.set: dict[str, Encoded] = {}
        self.tells: list[Tell] | None = None
        self.remove: set[str] | None = None
        self.entries: list[Encoded] | None = None


class ActivationOwner(Protocol):
    """The actor's cell: hands out turns, knows its state, commits."""

    @property
    def actor_id(self) -> ActorId:
        """Who the actor is."""
        ...

    @property
    def values(self) -> dict[str, Encoded]:
        """The committed state; not to be changed."""
        ...

    @property
    def mailbox(self) -> Mailbox:
        """The waiting turns."""
        ...

    @property
    def client(self) -> IActorClient:
        """Who sends what the actor asks others."""
        ...

    def new_id(self) -> str:
        """An id for a message."""
        ...

    def now(self) -> float:
        """Monotonic seconds, as deadlines are."""
        ...

    def take_ready(self) -> Turn | None:
        """Take the next turn if it can be handed out without a write."""
        ...

    async def next_turn(self, context: "InProcessActorContext") -> Turn | None:
        """Take the next turn that runs; None: there is none, or none for `context`."""
        ...

    @property
    def listeners(self) -> Listeners:
        """Who may wrap turns."""
        ...

    def enter_scope(self, turn: Turn) -> AbstractContextManager[object]:
        """What wraps the turn, entered."""
        ...

    def end(
        self, turn: Turn, status: RequestStatus, result: Encoded, staged: Staged | None
    ) -> "asyncio.Future[None] | None":
        """Store the end of a turn; a future of that, None if it is done."""
        ...

    def not_completed(self, turn: Turn) -> "asyncio.Future[None] | None":
        """Fail a turn that the actor has left behind."""
        ...

    def publish(self, turn: Turn, sequence: int, data: Encoded) -> None:
        """Tell progress."""
        ...

    async def save_checkpoint(self, turn: Turn, data: Encoded) -> None:
        """Store partial progress."""
        ...

    async def read_turns(self, before: int | None, limit: int) -> list[TurnView]:
        """Stored turns."""
        ...

    def stamped(self, turn: Turn, data: JsonValue) -> tuple[RequestStatus, JsonValue]:
        """Status and data of the response of a turn that is being cancelled."""
        ...


class InProcessActorContext(IActorRuntimeContext):
    """The context of one actor object."""

    __slots__ = (
        "_staged",
        "actor",
        "commit",
        "dead",
        "drained",
        "last_turn",
        "owner",
        "scope",
        "taken",
        "turn",
        "unsettled",
        "was_cancelled",
    )

    actor: IActor

    def __init__(self, owner: ActivationOwner) -> None:
        self.owner = owner
        self._staged: Staged | None = None
        self.commit: asyncio.Future[None] | None = None
        self.scope: AbstractContextManager[object] | None = None
        self.drained = False
        self.unsettled = False  # there is more to do than to take the next turn
        self.turn: Turn | None = None
        self.last_turn: Turn | None = None
        self.taken = 0
        self.dead = False
        self.was_cancelled = False  # a turn of the present run

    # --- for the cell

    def begin(self) -> int:
        """`run` is about to be called; returns how many turns were taken before."""
        self.drained = self.was_cancelled = self.unsettled = False
        return self.taken

    def is_clean(self, taken: int) -> bool:
        """Whether `run` took something since then and left nothing to do."""
        return (
            self.taken != taken
            and self.turn is None
            and self.commit is None
            and self.scope is None
            and not self.dead
        )

    async def settle(self) -> None:
        """Wait until the commit in flight has ended and leave the turn's scope."""
        self.leave_scope()
        commit = self.commit
        if commit is not None:
            # Kept until it ended: a cancelled wait must not lose it.
            await asyncio.shield(commit)
            self.commit = None

    def leave_scope(self) -> None:
        """Leave what wraps the turn; only from the task that runs the actor."""
        scope, self.scope = self.scope, None
        if scope is not None:
            scope.__exit__(None, None, None)

    def discard(self) -> Turn | None:
        """Forget what was staged; returns the turn that was being processed."""
        turn, self.turn, self._staged = self.turn, None, None
        self.last_turn = None
        return turn

    def kill(self) -> None:
        """This activation was given up; nothing that it still does has any effect."""
        self.dead = self.unsettled = True
        self.last_turn = self.discard()  # it may still ask why it is being cancelled

    def end(self) -> StopAsyncIteration:
        """There is no message for this run any more."""
        self.drained = self.unsettled = True
        return StopAsyncIteration()

    async def between_turns(self) -> bool:
        """Settle the previous turn; whether another one may be handed out."""
        if self.dead or self.drained:
            raise MailboxDrained(self.actor_id)
        forget_cancellations()
        self.was_cancelled = False
        left = self.discard()
        if left is not None:
            self.commit = self.owner.not_completed(left)
        await self.settle()
        self.unsettled = self.dead  # what was written may have been refused
        return not self.dead

    # --- for the actor

    @property
    def actor_id(self) -> ActorId:
        return self.owner.actor_id

    @property
    def cancel_reason(self) -> str | None:
        return None if self.last_turn is None else self.last_turn.cancel_reason

    def watch_messages(self) -> AsyncIterator[ActorRequestMessage]:
        return _Messages(self)

    async def read_state(self, key: str, default: JsonValue = None) -> JsonValue:
        staged = self._staged
        if staged is not None:
            if key in staged.set:
                return decode(staged.set[key])
            if staged.remove and key in staged.remove:
                return default
        stored = self.owner.values.get(key)
        return default if stored is None else decode(stored)

    async def write_state(self, key: str, value: JsonValue) -> None:
        staged = self._staging("write_state()")
        if key[:1] == OWN_KEYS:
            raise InvalidRequest("key", _OWN.format(key))
        staged.set[key] = encode(value, "the value", key)
        if staged.remove:
            staged.remove.discard(key)

    async def remove_state(self, key: str) -> None:
        staged = self._staging("remove_state()")
        if key[:1] == OWN_KEYS:
            raise InvalidRequest("key", _OWN.format(key))
        staged.set.pop(key, None)
        staged.remove = {*(staged.remove or ()), key}

    def append_entries(self, entries: Sequence[JsonValue]) -> None:
        staged = self._staging("append_entries()")
        encoded = [encode(entry, "an entry") for entry in entries]
        if staged.entries is None:
            staged.entries = encoded
        else:
            staged.entries += encoded

    async def read_turns(
        self, *, before: int | None = None, limit: int = 50
    ) -> list[TurnView]:
        if before is None and self.turn is not None:
            before = self.turn.position
        return await self.owner.read_turns(before, limit)

    def on_progress_update(
        self, message_id: str, sequence_number: int, data: JsonValue
    ) -> None:
        turn = self._running(message_id, "on_progress_update()")
        self.owner.publish(turn, sequence_number, encode(data, "the progress"))

    async def checkpoint(self, message_id: str, data: JsonValue) -> None:
        turn = self._running(message_id, "checkpoint()")
        await self.owner.save_checkpoint(turn, encode(data, "the checkpoint"))

    def complete_request(self, message_id: str, response: ActorResponseMessage) -> None:
        turn = self.turn
        if turn is None or turn.message_id != message_id:
            raise OutsideTurn(self.actor_id, "complete_request()")
        status, data = response.status, response.data
        if status not in _BY_ACTOR:
            problem = f"must be completed, failed or cancelled, got {status!r}"
            raise InvalidRequest("response.status", problem)
        if turn.cancel_reason is not None:
            status, data = self.owner.stamped(turn, data)
            self.was_cancelled = True
        result = encode(data, "the response's data")
        staged, self._staged = self._staged, None
        self.turn = self.last_turn = None
        self.commit = self.owner.end(turn, status, result, staged)
        self.unsettled = (
            self.commit is not None
            or self.scope is not None
            or self.was_cancelled
            or self.dead
        )

    # --- to other actors

    @property
    def is_asking(self) -> bool:
        """Whether a turn is being processed, on whose behalf something may be asked."""
        return self.turn is not None

    @property
    def metadata(self) -> Mapping[str, str]:
        """The headers of the request being processed."""
        return {} if self.turn is None else decode_body(self.turn.body)[2]

    def time_left(self) -> float:
        """Seconds until the turn must end."""
        deadline = self.owner.now() if self.turn is None else self.turn.deadline
        return max(deadline - self.owner.now(), 0.001)

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
        if self.turn is None:
            raise OutsideTurn(self.actor_id, "send_request()")
        token = ASKING.set(self)  # the caller's task may be one of its own making
        try:
            return await self.owner.client.send_request(
                actor_id,
                method,
                params,
                message_id,
                when_busy=when_busy,
                timeout=timeout,
                metadata=metadata,
            )
        finally:
            ASKING.reset(token)

    def tell(
        self,
        actor_id: ActorId,
        method: str,
        params: JsonValue = None,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        staged, owner = self._staging("tell()"), self.owner
        headers = trace_headers(self.metadata)
        if owner.listeners.has_scopes:
            headers |= owner.listeners.outgoing_headers()
        body = encode_body(method, params, headers | dict(metadata or {}))
        tell = Tell(owner.new_id(), actor_id, body)
        staged.tells = [*(staged.tells or ()), tell]
        return tell.message_id

    def _running(self, message_id: str, call: str) -> Turn:
        turn = self.turn
        if turn is None or turn.message_id != message_id:
            raise OutsideTurn(self.actor_id, call)
        return turn

    def _staging(self, call: str) -> Staged:
        if self.turn is None:
            raise OutsideTurn(self.actor_id, call)
        if self._staged is None:
            self._staged = Staged()
        return self._staged


@types.coroutine
def _one_loop_turn() -> Generator[None]:
    """As `asyncio.sleep(0)`, in half the steps."""
    yield


class _Messages:
    # An object and not an async generator: a generator that `run` leaves by `break`
    # would be closed late, by the garbage collector, in another task.
    __slots__ = ("_context",)

    def __init__(self, context: InProcessActorContext) -> None:
        self._context = context

    def __aiter__(self) -> "_Messages":
        return self

    async def __anext__(self) -> ActorRequestMessage:
        context = self._context
        if context.unsettled and not await context.between_turns():
            raise context.end()
        owner = context.owner
        if not owner.mailbox:
            # Whoever got the last answer may send the next request at once. One loop
            # turn for that saves the start of a task, half the cost of an ask.
            await _one_loop_turn()
        turn = owner.take_ready()
        if turn is None and owner.mailbox:
            turn = await owner.next_turn(context)
        if turn is None:
            raise context.end()
        context.unsettled = True
        context.turn = context.last_turn = turn
        context.taken += 1
        if owner.listeners.has_scopes:
            context.scope = owner.enter_scope(turn)
        return request_message(turn.message_id, turn.body, turn.accepted_at)
