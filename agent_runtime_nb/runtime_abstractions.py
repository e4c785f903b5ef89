"""The words of the runtime, and its first waist, standard library only.

An *actor* is one conversation: one identity (`ActorId`), one mailbox, one turn at a
time, state that survives. A *request* is one message to it, a *turn* its processing,
an *update* one numbered piece of progress of a turn.

Whoever writes an actor implements `IActor` and is given an `IActorRuntimeContext`;
whoever wants something of an actor holds an `IActorClient`, to talk. To look and manage
there is its companion in `runtime_directory`, to keep state the waist in
`storage_abstractions`. Everything else in the package is an adapter to one of these.

JSON values are what `json` can carry: None, bool, int, float (finite), str, list and
dict with str keys. Times are timezone-aware UTC, durations are seconds.
"""

import enum
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from agent_runtime_nb.exceptions import InvalidActorId

JsonValue: TypeAlias = Any
"""A value that JSON can carry; see the head of this module."""

Encoded: TypeAlias = bytes
"""A JSON value as UTF-8 text. Storages keep it as it is and never look inside."""

WhenBusy: TypeAlias = Literal["queue", "reject", "interrupt"]
"""What a request does while the actor is in a turn: wait, fail, or cancel that turn."""

RETRY_OF = "retry_of"
"""The metadata header of a request that takes the place of an earlier one."""

OWN_KEYS = "$"
"""State keys that start so are the runtime's own; actors may read, not write them."""

DISCARDED = f"{OWN_KEYS}discarded"
"""The state key of the ids of turns that were taken out of what the model sees."""

ALLOWED_TOOLS = "agent.allowed_tools"
"""The state key of the names of tools that a person allowed for the conversation.

An agent's actor keeps it; a fork takes it along, an export does not.
"""

T = TypeVar("T")

_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_CURSOR = re.compile(r"([0-9]+)\.(-1|[0-9]+)")
_NOT_IN_INSTANCE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class StoredId(NamedTuple):
    """The two parts of an actor's id as a storage has them, valid or not.

    What is not a valid `ActorId` was written by hand or by another version. It is named
    so that it can be deleted; nothing else takes it. Bytes that are no UTF-8 are lone
    surrogates, as `surrogateescape` makes them.
    """

    type_name: str
    instance_id: str

    def __str__(self) -> str:
        return f"{self.type_name}/{self.instance_id}"


class ActorId(StoredId):
    """The identity of an actor; `str()` is `type_name/instance_id`.

    Validated here once, so that everything behind may trust it. Two ids are equal if
    they are equal character by character. (A tuple, because it is the key of every
    look-up on the way of a request, and a tuple hashes in C.)

    Args:
        type_name: a letter or `_`, then up to 63 letters, digits or any of `_.:-`.
        instance_id: 1 to 512 characters, no control characters, no surrogates; of an
            agent it is the conversation id.

    Raises:
        InvalidActorId: if a part breaks its rule.
    """

    __slots__ = ()

    def __new__(cls, type_name: str, instance_id: str) -> "ActorId":
        """Make an id of its two parts."""
        parts: list[object] = [type_name, instance_id]
        if not isinstance(parts[0], str) or not _TYPE_NAME.fullmatch(type_name):
            rule = "a letter or _, then up to 63 letters, digits or any of _.:-"
            raise InvalidActorId("type name", type_name, rule)
        if (
            not isinstance(parts[1], str)
            or not 1 <= len(instance_id) <= 512
            or _NOT_IN_INSTANCE.search(instance_id)
        ):
            rule = "1 to 512 characters, no control characters, no surrogates"
            raise InvalidActorId("instance id", instance_id, rule)
        return super().__new__(cls, type_name, instance_id)

    @classmethod
    def parse(cls, text: str) -> "ActorId":
        """Read `type/instance`; the instance id may contain further slashes."""
        type_name, _, instance_id = text.partition("/")
        return cls(type_name, instance_id)

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> "ActorId":  # pyright: ignore[reportIncompatibleMethodOverride] - what is made must be checked
        # A named tuple makes it, and `_replace` with it, past `__new__`.
        return cls(*iterable)

    def __reduce__(self) -> "tuple[type[ActorId], tuple[str, str]]":
        # The oldest pickle protocols make a tuple past `__new__`, too.
        return type(self), (self.type_name, self.instance_id)


class ActorMessageType(enum.StrEnum):
    """What an `ActorMessage` is."""

    REQUEST = "request"
    RESPONSE = "response"


class RequestStatus(enum.StrEnum):
    """The state of a request; every status but PENDING and NOT_FOUND is final."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """A person or a program stopped it; a partial answer may be kept."""
    INTERRUPTED = "interrupted"
    """The host went away before it ended; nothing runs again by itself."""
    NOT_FOUND = "not_found"
    """The actor never accepted such a request."""

    @property
    def is_final(self) -> bool:
        """Whether the request has ended and will never change again."""
        return self is not RequestStatus.PENDING and self is not RequestStatus.NOT_FOUND


@dataclass(slots=True, init=False)
class ActorMessage:
    """What requests and responses share. Treat messages as values: never change one.

    `at` is when it was made, in POSIX seconds; now, unless `at` or `timestamp` is given.
    """

    message_id: str
    message_type: ActorMessageType
    at: float

    def __init__(
        self,
        message_id: str,
        message_type: ActorMessageType,
        at: float | None = None,
        *,
        timestamp: datetime | None = None,
    ) -> None:
        self.message_id = message_id
        self.message_type = message_type
        if at is None:
            at = time() if timestamp is None else timestamp.timestamp()
        self.at = at

    @property
    def timestamp(self) -> datetime:
        """When it was made, in UTC; made on demand, few ask and it is not cheap."""
        return datetime.fromtimestamp(self.at, UTC)


@dataclass(slots=True, init=False)
class ActorRequestMessage(ActorMessage):
    """One message to an actor.

    `params` is the actor's own copy. `metadata` carries headers (trace context, ...).
    """

    method: str
    params: JsonValue
    metadata: Mapping[str, str]

    def __init__(
        self,
        message_id: str,
        method: str,
        params: JsonValue = None,
        metadata: Mapping[str, str] | None = None,
        at: float | None = None,
        *,
        timestamp: datetime | None = None,
        message_type: ActorMessageType = ActorMessageType.REQUEST,
    ) -> None:
        self.message_id = message_id
        self.message_type = message_type
        if at is None:
            at = time() if timestamp is None else timestamp.timestamp()
        self.at = at
        self.method = method
        self.params = params
        self.metadata = {} if metadata is None else metadata


@dataclass(slots=True, init=False)
class ActorResponseMessage(ActorMessage):
    """An update (PENDING) or the final response of the request `message_id`.

    `data` of an update is `{"sequence": n, "progress": value}`. FAILED data is
    `{"error": {"type": str, "message": str, "retryable": bool}}`.
    """

    sender_id: ActorId
    status: RequestStatus
    data: JsonValue

    def __init__(
        self,
        message_id: str,
        sender_id: ActorId,
        status: RequestStatus,
        data: JsonValue = None,
        at: float | None = None,
        *,
        timestamp: datetime | None = None,
        message_type: ActorMessageType = ActorMessageType.RESPONSE,
    ) -> None:
        self.message_id = message_id
        self.message_type = message_type
        if at is None:
            at = time() if timestamp is None else timestamp.timestamp()
        self.at = at
        self.sender_id = sender_id
        self.status = status
        self.data = data


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn, for reading.

    `entries` are the conversation's entries that the turn added, `checkpoint` the
    partial progress saved while it ran, `data` the response's data.
    """

    message_id: str
    position: int
    status: RequestStatus
    attempts: int
    method: str
    params: JsonValue
    metadata: Mapping[str, str]
    data: JsonValue
    entries: Sequence[JsonValue]
    checkpoint: JsonValue
    accepted_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a sorted list; ask again with `after=next` unless it is None.

    `unreadable` are the stored ids that a storage passed over in this part of its list
    of actors, because they are no ids (see `StoredId`).
    """

    items: tuple[T, ...]
    next: str | None
    unreadable: tuple[StoredId, ...] = ()


# --- the actor's side -----------------------------------------------------------------


class IActorRuntimeContext(ABC):
    """What the runtime gives an actor. Use it on the runtime's loop only."""

    @property
    @abstractmethod
    def actor_id(self) -> ActorId:
        """Who the actor is."""

    @property
    @abstractmethod
    def cancel_reason(self) -> str | None:
        """Why the turn is being cancelled, None if it is not.

        "cancelled" (somebody asked), "deadline", "stopped" (the runtime stops) or
        "stale" (another host took the actor over). Set before CancelledError is raised
        in `run`; the actor then has 2 s to complete with what it has.
        """

    @abstractmethod
    def watch_messages(self) -> AsyncIterator[ActorRequestMessage]:
        """The waiting requests, one at a time, in acceptance order.

        Ends once the mailbox is empty; `run` should return then. The next request is
        handed out only after the commit of the previous one ended. Taking the next one
        with the previous not completed fails the previous one (NotCompleted).

        Raises:
            MailboxDrained: on iterating again after the end.
        """

    @abstractmethod
    async def read_state(self, key: str, default: JsonValue = None) -> JsonValue:
        """A copy of the value of `key`, as this turn has left it."""

    @abstractmethod
    async def write_state(self, key: str, value: JsonValue) -> None:
        """Stage a value; it is stored when the turn completes, together with it.

        Raises:
            OutsideTurn: if no request is being processed.
            NotJson: if the value is not JSON.
        """

    @abstractmethod
    async def remove_state(self, key: str) -> None:
        """Stage the removal of a key; removing a missing one does nothing."""

    @abstractmethod
    def append_entries(self, entries: Sequence[JsonValue]) -> None:
        """Stage entries of the conversation; they are stored when the turn completes.

        Entries of earlier turns are never rewritten: a turn costs what it adds.
        """

    @abstractmethod
    async def read_turns(
        self, *, before: int | None = None, limit: int = 50
    ) -> "list[TurnView]":
        """The last `limit` turns before position `before`, oldest first.

        Without `before` the newest ones, the running turn not among them.
        """

    @abstractmethod
    def on_progress_update(
        self, message_id: str, sequence_number: int, data: JsonValue
    ) -> None:
        """Publish progress of the running turn to whoever watches.

        Cheap when nobody does; never waits for a reader. Not durable.

        Args:
            message_id: of the request being processed.
            sequence_number: larger than the one before it in this turn.
            data: any JSON value; it becomes `data["progress"]` of the update.
        """

    @abstractmethod
    async def checkpoint(self, message_id: str, data: JsonValue) -> None:
        """Save partial progress now, shown if the host dies in this turn."""

    @abstractmethod
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
    ) -> "ActorResponseHandle":
        """Ask another actor, from inside a turn; await the handle's response.

        As `IActorClient.send_request`, and the turn's deadline and trace headers
        travel along. What the other actor did is not undone if this turn fails.

        Raises:
            DeadlockDetected: here, or where the response is awaited, if the other
                actor waits for this turn; a request that was accepted is taken back.
            OutsideTurn: if no request is being processed.
        """

    @abstractmethod
    def tell(
        self,
        actor_id: ActorId,
        method: str,
        params: JsonValue = None,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Stage a message to an actor, itself perhaps; it is sent after the commit.

        It is stored with the turn, sent until the other actor has accepted it, in the
        order of the tells to that actor, also by a later process. Nothing is sent if
        the turn is not committed. The receiver processes it once. One of a type that
        nobody has registered is told when somebody has; until then the log says so.

        Returns:
            The message id that it will have.

        Raises:
            OutsideTurn: if no request is being processed.
            NotJson: if the params are not JSON.
        """

    @abstractmethod
    def complete_request(self, message_id: str, response: ActorResponseMessage) -> None:
        """End the turn: encode the response now, start the one commit.

        Everything staged, the response and the status are stored together. Returns
        at once; the caller of the request sees the response after the commit ended.
        While the turn is being cancelled the runtime replaces the status.

        Raises:
            OutsideTurn: if `message_id` is not the request being processed.
            NotJson: if the response's data is not JSON; the turn goes on.
        """


class IActor(ABC):
    """The behaviour of one actor, made by the factory of its type when needed."""

    @abstractmethod
    async def run(self, context: IActorRuntimeContext) -> None:
        """Take the waiting requests from `context` and complete each.

        Started whenever there is work, many times on one object, never twice at
        once. Keep things on `self` or in state, not in locals of `run`. An exception
        fails the request being processed and drops this object; the next request gets
        a fresh one with the stored state.
        """

    @abstractmethod
    async def dispose(self) -> None:
        """Free resources; awaited once, bounded, before the object is dropped."""


# --- the caller's side ----------------------------------------------------------------


class Cursor(NamedTuple):
    """A place in the progress of an actor: the turn's position, the update's number."""

    turn: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.turn}.{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read `turn.sequence`; raises ValueError for anything else."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            problem = f"a cursor is turn.sequence, got {text!r}"
            raise ValueError(problem)
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class TurnUpdate:
    """One thing that happened in a turn, as `watch_actor` tells it.

    Attributes:
        cursor: where to go on after this (`sequence` is that of the last progress).
        kind: "accepted" (data: `method`, `params`, `metadata`, `accepted_at`),
            "started" (data None), "progress" (data: the progress), "ended" (data:
            `status`, the response's `data`, `ended_at`), or "lost" (data None: progress
            between the asked cursor and the next item is no longer kept). Times are
            POSIX seconds by the clock of the host.
        message_id: of the request.
        data: a JSON value as said under `kind`; its receiver must not change it.
    """

    cursor: Cursor
    kind: Literal["accepted", "started", "progress", "ended", "lost"]
    message_id: str
    data: JsonValue


class ActorResponseHandle(ABC):
    """A request that was accepted. Holds nothing alive; use it from any loop."""

    actor_id: ActorId
    message_id: str

    @abstractmethod
    async def get_response(self) -> ActorResponseMessage:
        """Wait for the final response; cancelling the wait leaves the turn alone.

        Every status is returned, none is raised: look at `status`.

        Raises:
            OutcomeUnknown: if a commit was sent and its fate cannot be learned.
            StorageError: if the answer can no longer be read.
        """

    @abstractmethod
    def watch_updates(
        self, after: int | None = None
    ) -> AsyncIterator[ActorResponseMessage]:
        """The PENDING updates with a sequence over `after`, then the final response.

        Any number of watchers, each from any place. Updates are kept for a while only
        (1,000 or 1 MB per turn, 60 s after its end): the sequence shows what is gone.
        """

    @abstractmethod
    async def cancel(self) -> bool:
        """As `IActorClient.cancel` for this request."""


class IActorClient(ABC):
    """Talk to actors; from any thread, from any loop.

    What is in flight when the runtime stops, a wait of a handle and a watch among it,
    ends: with its result if that is known by the end of the stop, else with NotRunning.
    Of a request that NotRunning was told of instead of a handle nothing was accepted;
    one that was accepted stays stored, and its end can be asked for after the next
    start. If the storage has still not said by the end of the stop whether it took
    what a request had to have written, whoever waits for that gets OutcomeUnknown.
    """

    @abstractmethod
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
        """Send a request; returns once it is accepted, that is, stored.

        Requests of one caller to one actor are processed in the order of the calls.

        Args:
            actor_id: the actor; made on its first message.
            method: what is asked, in the actor's own words ("run" for agents).
            params: any JSON value.
            message_id: the request's id, 1 to 200 characters; made if None. An id
                that the actor already knows attaches to that request; while its mailbox
                is full one that has ended is refused, too, and `get_response` has it.
            when_busy: see `WhenBusy`.
            timeout: seconds from now in which the request must end, else it becomes
                FAILED (DeadlineExceeded). None: 1 h of waiting, 10 min of running.
            metadata: headers that travel with the request.

        Raises:
            UnknownActorType, NotJson, TooLarge, MessageIdReused, MailboxFull,
            ActorBusy, ActorOwnedElsewhere, NotRunning, StorageError: nothing was
                accepted.
            OutcomeUnknown: ask again with the same message id.
        """

    @abstractmethod
    async def get_response(
        self, actor_id: ActorId, message_id: str
    ) -> ActorResponseHandle:
        """The handle of an earlier request, of this process or an earlier one.

        If the actor never accepted it, the handle's response has status NOT_FOUND.
        """

    @abstractmethod
    async def cancel(self, actor_id: ActorId, message_id: str) -> bool:
        """Cancel a waiting or running request.

        Returns:
            True if it will end as CANCELLED; False if it has ended, is just being
            committed, or is not known.
        """

    @abstractmethod
    def watch_actor(
        self, actor_id: ActorId, after: Cursor | None = None
    ) -> AsyncIterator[TurnUpdate]:
        """Follow every turn of an actor, whoever sent it, until the caller stops.

        Starts with what is known after the cursor (None: only what is open or comes
        from now on), turn by turn; of a turn that ended longer ago only that it ended.
        Progress is never repeated; "accepted", "started"
        and "ended" of turns after the cursor may come again when a watch is resumed:
        apply them by message id. Watching does not activate the actor.
        """
