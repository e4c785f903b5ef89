"""`IActorStateStorage`: the waist to whatever keeps turns and state.

A turn is one row: its request, status, attempts, response, and the conversation entries
that it added. Accepting it is one write, ending it (with the state that it changed) is
one more. Values are JSON text, made by whoever writes them and never looked into.
"""

from abc import ABC, abstractmethod
from asyncio import Future
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from agent_runtime_nb.exceptions import InvalidActorId
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
    RequestStatus,
    StoredId,
)

MOST_STATES = 1000
"""How many actors one `read_states` is asked for, at most."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A process that runs a runtime; `name` is shown to people."""

    host_id: str
    name: str


@dataclass(slots=True)
class TurnRecord:
    """A turn as it is stored: one row.

    `body` (method, params and metadata) and `result` (the response's data) may be None
    in an old turn that was trimmed; `entries` is one JSON array. Times are POSIX
    seconds. Positions count from 1 in acceptance order and are never used twice.
    """

    position: int
    message_id: str
    status: RequestStatus = RequestStatus.PENDING
    attempts: int = 0
    body: Encoded | None = None
    result: Encoded | None = None
    entries: Encoded | None = None
    checkpoint: Encoded | None = None
    accepted_at: float = 0.0
    ended_at: float | None = None


@dataclass(slots=True)
class TurnEnd:
    """How a turn ended, part of an `ActorChange`."""

    position: int
    status: RequestStatus
    result: Encoded | None
    ended_at: float
    entries: Encoded | None = None


@dataclass(slots=True)
class ActorChange:
    """One atomic step of one actor; only what is given is changed.

    Handed over: whoever made it, and the records in it, does not change them after
    giving them to a storage.

    Attributes:
        epoch: the writer's epoch; must be the actor's. 0 is nobody's.
        etag: the version that the writer has read (None: never written); compared if
            `new_etag` is given, and only then.
        new_etag: the version from now on. It is the commit's id and never used twice.
        accepted: new turns, in order, at positions from the claim's `next_position`
            on; gaps are fine. One whose message id is known is left out. They may have
            ended already (a copy of a conversation is made of such).
        started: positions whose attempts go up by one; of turns that are not open (any
            more) they are no error and change nothing.
        ended: turns that end; each must be open, or be accepted by this change.
        checkpoint: position and partial progress of a running turn; as `started`.
        set: state keys and their values.
        remove: state keys that go; missing ones are no error.
        add_marks: words by which `list_actors` finds the actor from now on, beside those
            it has. 1 to 32 characters of a-z each.
        remove_marks: words by which it is no longer found; missing ones are no error.

    Its parts take effect in the order accepted, started, checkpoint, ended, values. A
    key is not in both `set` and `remove`, a mark not in both `add_marks` and
    `remove_marks`. A backend may refuse (TooLarge) a change of more than 40 turns or 40
    values.
    """

    epoch: int
    etag: str | None = None
    new_etag: str | None = None
    accepted: tuple[TurnRecord, ...] = ()
    started: tuple[int, ...] = ()
    ended: tuple[TurnEnd, ...] = ()
    checkpoint: tuple[int, Encoded] | None = None
    set: Mapping[str, Encoded] | None = None
    remove: Iterable[str] = ()
    add_marks: frozenset[str] = frozenset()
    remove_marks: frozenset[str] = frozenset()


@dataclass(slots=True)
class Claim:
    """What a host gets that became, or already was, the owner of an actor.

    `etag` is None if the actor was never written. `next_position` is over all positions
    that were ever used, those of deleted turns too. `open_turns` are the turns without
    a final status, in order: a former owner left them.
    """

    epoch: int
    etag: str | None
    values: dict[str, Encoded]
    next_position: int
    open_turns: list[TurnRecord]
    marks: frozenset[str] = frozenset()


@dataclass(slots=True)
class ActorState:
    """The state of an actor; `etag` None: never written, `epoch` 0: never claimed."""

    values: dict[str, Encoded]
    etag: str | None
    epoch: int


class ActorList:
    """Makes a page of `IActorStateStorage.list_actors` of ids as they are stored.

    A backend adds rows, in order, until it `is_full` or has no more; what cannot be
    read takes no room in the page. `next` is always an id that was read: of another
    one the text need not tell where the parts meet. So a backend goes on behind the
    last row, not behind the last item.

    Args:
        limit: of the page.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: list[ActorId] = []
        self._unreadable: list[StoredId] = []

    @property
    def missing(self) -> int:
        """How many rows to add next: with one more than the page, the list goes on."""
        return self._limit + 1 - len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether it is known what is in the page, and that the list goes on."""
        return self.missing <= 0

    def add(self, rows: Iterable[tuple[str, str]]) -> None:
        """Add types and instances."""
        for type_name, instance_id in rows:
            try:
                self._items.append(ActorId(type_name, instance_id))
            except InvalidActorId:
                self._unreadable.append(StoredId(type_name, instance_id))

    def page(self) -> Page[ActorId]:
        """The page."""
        items = tuple(self._items[: self._limit])
        last = str(items[-1]) if len(self._items) > self._limit else None
        return Page(items, last, tuple(self._unreadable))


class IActorStateStorage(ABC):
    """Where turns and state are kept.

    Each verb is one atomic step: it happens whole or not at all. `claim`, `apply`,
    `write_state` and `delete_state` start when they are called, on the running loop,
    and steps of one actor that one storage is given take effect in call order. Their
    errors come from the future, never from the call. Cancelling it, or the end of its
    loop, does not undo the step. One refused step never fails a step of another actor,
    whatever is grouped. A read sees every step that had returned, on whichever host.
    What is returned is the caller's own copy. Safe for every id that `ActorId` lets
    through and for every text as key or message id, compared exactly. One storage may
    be used from several loops in several threads.

    Every verb raises Unavailable, Full, ReadOnly, Corrupt, StorageClosed or, if its
    fate cannot be learned, OutcomeUnknown (see `exceptions`), all in bounded time. What
    became of a commit is then told by one read: the etag is its `new_etag`, or still
    the one before. No error, log line or repr has a password of the address.
    `agent_runtime_nb.testing` has all this as cases to run; docs/storage-contract.md
    lists them.
    """

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: what it holds belongs to its process."""
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled or copied; "
            "make and open one in each process"
        )

    @property
    @abstractmethod
    def location(self) -> str:
        """Where it is, for people; without secrets."""

    @property
    @abstractmethod
    def durable(self) -> bool:
        """Whether what was written survives the process."""

    @abstractmethod
    async def open(self, host: HostInfo) -> None:
        """Connect and make the schema; from now on `host` counts as alive.

        Twice for one host is once. An older schema is migrated, whole or not at all.
        After an error it may be called again.

        Raises:
            SchemaTooNew: and leaves the storage as it is.
        """

    @abstractmethod
    async def close(self) -> None:
        """Write what was called, then disconnect; `host` is dead. Twice is once."""

    @abstractmethod
    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        """Make this host the actor's owner, with a higher epoch if it was not.

        Writes only if the owner changes; the first epoch is 1. That a host lives (a
        lock, a lease) decides only whether `take_over` is needed; what keeps a former
        owner from writing is the epoch.

        Raises:
            ActorOwnedElsewhere: if a living host owns it, unless `take_over`.
        """

    @abstractmethod
    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        """Write a change; returns the turns of `accepted` that were known already.

        Raises:
            StaleEpoch: if the epoch is not the actor's.
            Conflict: if the etag is not the actor's, a turn of `ended` is not open, or
                a position of `accepted` is taken. Nothing was written.
            TooLarge: if a value is over the backend's limit. Nothing was written.
        """

    @abstractmethod
    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        """The states of several actors, in the order of `actor_ids`.

        Each state is of one moment; those of two actors need not be of the same one.
        An id may come twice; one that was never written reads as empty. All of the
        answer is in memory at once: name what is needed.

        Args:
            actor_ids: at most `MOST_STATES`; a caller with more asks again.
            keys: which values; a missing key is left out. None: all.
            prefix: only values whose keys start with it; it has no wildcards.
        """

    async def read_state(
        self, actor_id: ActorId, keys: Iterable[str] | None = None
    ) -> ActorState:
        """The state of one actor, as `read_states` gives it."""
        (state,) = await self.read_states((actor_id,), keys)
        return state

    @abstractmethod
    def write_state(
        self,
        actor_id: ActorId,
        *,
        set: Mapping[str, Encoded],
        remove: Iterable[str] = (),
        etag: str | None = None,
    ) -> "Future[str]":
        """Compare and set outside turns; returns the new etag, never used before.

        The epoch, the owner and the marks stay as they are.

        Raises:
            Conflict: if `etag` is not the stored one (None: never written).
        """

    @abstractmethod
    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        """Delete values, turns and marks; returns whether there were values or turns.

        A tombstone stays: the epoch goes up and nobody owns the actor, so no old owner
        writes; positions go on. Of an actor that nobody ever wrote or claimed nothing
        stays.

        Raises:
            StaleEpoch: if `epoch` is given and is not the actor's, or is 0.
        """

    def delete_unreadable(self, stored: StoredId) -> "Future[bool]":
        """Delete what `list_actors` named as `unreadable`.

        By `delete_state`, which therefore takes any two texts for an id.
        """
        return self.delete_state(cast("ActorId", stored))

    @abstractmethod
    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        """One turn."""

    @abstractmethod
    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        """The last `limit` turns before position `before` (None: of all), oldest first."""

    @abstractmethod
    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        """State keys that start with `prefix`, sorted by code point.

        `prefix` has no wildcards. `after`: as for `list_actors`.
        """

    @abstractmethod
    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        open_only: bool = False,
        mark: str | None = None,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorId]:
        """Actors that have turns or values, sorted by `(type, instance)` code points.

        `open_only`: those with a turn that has no final status. `mark`: those that
        have this mark. `after` is the `next` of an earlier page (`str` of its last
        id): a place in the order, whether or not something is there (any more), and on
        any host. Each actor that stays is in exactly one page.

        A stored id that is none is passed over and named in the page's `unreadable`;
        it never ends a list (see `ActorList`).
        """

    @abstractmethod
    async def trim(self, actor_id: ActorId, keep: int) -> None:
        """Drop body and result of ended turns but the newest `keep`.

        Entries, open turns, and the body of an INTERRUPTED turn (its entries are made
        from it) stay.
        """
