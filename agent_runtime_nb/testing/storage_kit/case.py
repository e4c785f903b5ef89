"""What the cases of the storage contract are made of.

A case is a coroutine function that gets a `CaseKit`; its name is the sentence that
would be false. It checks with `same`, `holds` and `refused`, which say in facts what
was found, with or without pytest.
"""

import itertools
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from agent_runtime_nb.exceptions import StorageError
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
    RequestStatus,
    StoredId,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    IActorStateStorage,
    TurnEnd,
    TurnRecord,
)
from agent_runtime_nb.testing.storage_kit.subject import StorageUnderTest

E = TypeVar("E", bound=BaseException)

COMPLETED = RequestStatus.COMPLETED
INTERRUPTED = RequestStatus.INTERRUPTED
PENDING = RequestStatus.PENDING

_SHOWN = 300  # characters of a value in a message
_FEW = 8  # items of a list that are shown all


class ContractBroken(AssertionError):
    """A storage that does not do what `IActorStateStorage` promises."""


def same(found: Any, expected: Any, what: str) -> None:
    """Raise ContractBroken unless both are equal."""
    if found != expected:
        at, found, expected = _where_they_differ(found, expected)
        raise ContractBroken(
            f"{what}{at}: expected {_short(expected)}, got {_short(found)}"
        )


def holds(condition: object, what: str) -> None:
    """Raise ContractBroken, saying what does not hold, unless the condition does."""
    if not condition:
        raise ContractBroken(f"not so: {what}")


def _where_they_differ(found: Any, expected: Any) -> tuple[str, Any, Any]:
    """What to show of two values; of two long lists the first place is enough."""
    kinds: set[Any] = {type(found), type(expected)}
    if not kinds <= {list, tuple} or min(len(found), len(expected)) <= _FEW:
        return "", found, expected
    pairs = enumerate(zip(found, expected, strict=False))
    for index, (one, other) in pairs:
        if one != other:
            return f" at index {index}", one, other
    return ", how many there are", len(found), len(expected)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


class Refusal(Generic[E]):
    """A block that has to raise one of some errors; see `refused`."""

    error: E
    """What was raised, once the block has ended."""

    def __init__(self, what: str, expected: tuple[type[E], ...]) -> None:
        self._what = what
        self._expected = expected

    def __enter__(self) -> Self:
        """Begin the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """End the block."""
        names = " or ".join(expected.__name__ for expected in self._expected)
        if error is None:
            raise ContractBroken(f"{self._what}: {names} was not raised")
        if isinstance(error, self._expected):
            self.error = error
            return True
        if isinstance(error, Exception):
            raise ContractBroken(
                f"{self._what}: {names} was expected, {error!r} was raised"
            ) from error
        return False


def refused(what: str, *expected: type[E]) -> Refusal[E]:
    """A block that must raise one of some errors, kept as `error` of what it gives."""
    return Refusal(what, expected)


class CaseKit:
    """What one case works with: storages on shared data, and actors nobody else has."""

    def __init__(self, subject: StorageUnderTest) -> None:
        self.subject = subject
        self.namespace = f"kit{uuid.uuid4().hex[:8]}"
        self._numbers = itertools.count(1)
        self._opened: list[IActorStateStorage] = []

    def actor(self, instance_id: str = "c1", type_name: str = "echo") -> ActorId:
        """An actor of this case; types sort as the names given."""
        return ActorId(self.type_name(type_name), instance_id)

    def type_name(self, name: str) -> str:
        """A type of this case."""
        return f"{self.namespace}.{name}"

    def host(self, name: str = "host") -> HostInfo:
        """A host that was never open before."""
        return HostInfo(f"{self.namespace}-{next(self._numbers)}", name)

    async def open(self, name: str = "host") -> IActorStateStorage:
        """A storage on the data, open for a new host; closed when the case ends."""
        return await self.opened(self.subject.make(), name)

    async def opened(
        self, storage: IActorStateStorage, name: str = "host"
    ) -> IActorStateStorage:
        """Open a storage for a new host; it is closed when the case ends."""
        await self.opened_for(storage, self.host(name))
        return storage

    async def opened_for(self, storage: IActorStateStorage, host: HostInfo) -> None:
        """Open a storage for a host; it is closed when the case ends."""
        self._opened.append(storage)
        await storage.open(host)

    async def kill(self, storage: IActorStateStorage) -> None:
        """See `StorageUnderTest.kill`."""
        await self.subject.kill(storage)

    async def actors(
        self, storage: IActorStateStorage, *, limit: int = 200, mark: str | None = None
    ) -> list[ActorId]:
        """The listed actors of this case, of all its types, in the listed order."""
        pages = self.pages(storage, limit=limit, mark=mark)
        return [actor_id async for page in pages for actor_id in page.items]

    async def pages(
        self, storage: IActorStateStorage, **options: Any
    ) -> AsyncGenerator[Page[ActorId]]:
        """The pages of a list, with no more in them than what is of this case."""
        after: str | None = f"{self.namespace}/-"
        while after is not None:
            page = await storage.list_actors(after=after, **options)
            items = tuple(filter(self._is_own, page.items))
            yield replace(
                page,
                items=items,
                unreadable=tuple(filter(self._is_own, page.unreadable)),
            )
            after = page.next if len(items) == len(page.items) else None

    def _is_own(self, stored: StoredId) -> bool:
        return stored.type_name.startswith(f"{self.namespace}.")

    async def close(self) -> None:
        """Delete what the case has made and close what it has opened."""
        try:
            await self._delete_all()
        finally:
            for storage in self._opened:
                await storage.close()

    async def _delete_all(self) -> None:
        if not self._opened:
            return
        cleaner = self.subject.make()
        try:
            await cleaner.open(self.host("the cleaner"))
        except StorageError:  # the case has told what there is to tell
            return
        try:
            async for page in self.pages(cleaner):
                for actor_id in page.items:
                    await cleaner.delete_state(actor_id)
                for stored in page.unreadable:
                    await cleaner.delete_unreadable(stored)
        finally:
            await cleaner.close()


CaseFunction = Callable[[CaseKit], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One promise of the contract, as something that can be run.

    Attributes:
        number: the promise in the list of the contract's documentation.
        name: the sentence that would be false.
        sentence: what is promised, in one line.
        call: runs it.
        timeout: seconds after which it has failed.
    """

    number: int
    name: str
    sentence: str
    call: CaseFunction
    timeout: float


def case(number: int, *, timeout: float = 60.0) -> Callable[[CaseFunction], Case]:
    """Make a `Case` of a coroutine function; its docstring is the sentence."""

    def make(call: CaseFunction) -> Case:
        name: str = getattr(call, "__name__", "")
        sentence = (call.__doc__ or "").partition("\n")[0]
        return Case(number, name, sentence, call, timeout)

    return make


# --- changes, as a runtime would make them --------------------------------------------


def accept(
    epoch: int,
    *turns: tuple[int, str],
    body: Encoded = b"{}",
    started: Sequence[int] = (),
) -> ActorChange:
    """Accept turns, given as (position, message id)."""
    records = tuple(
        TurnRecord(position=position, message_id=message_id, body=body, accepted_at=1.5)
        for position, message_id in turns
    )
    return ActorChange(epoch=epoch, accepted=records, started=tuple(started))


def end(
    position: int,
    status: RequestStatus = COMPLETED,
    result: Encoded | None = b'"done"',
    entries: Encoded | None = None,
) -> TurnEnd:
    """The end of a turn."""
    return TurnEnd(
        position=position, status=status, result=result, ended_at=2.5, entries=entries
    )


async def run_turns(
    storage: IActorStateStorage, actor_id: ActorId, *statuses: RequestStatus
) -> int:
    """Accept and end one turn for each status (PENDING: leave it open).

    Message ids are m1, m2, ... by position. Returns the epoch.
    """
    claim = await storage.claim(actor_id)
    for position, status in enumerate(statuses, claim.next_position):
        await storage.apply(actor_id, accept(claim.epoch, (position, f"m{position}")))
        if status.is_final:
            change = ActorChange(
                epoch=claim.epoch,
                ended=(end(position, status, entries=b"[%d]" % position),),
            )
            await storage.apply(actor_id, change)
    return claim.epoch
