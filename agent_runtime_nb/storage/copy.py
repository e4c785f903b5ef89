"""Copying a storage: every conversation of one storage into another, whole and verified.

Works between any two backends, through nothing but their contract. An actor is claimed
on both sides, so that nobody writes to it meanwhile. One that takes several changes
has the mark `copying` until the last of them, which also brings its version: so a
second run knows what a killed one left behind, and goes on there.

What is compared is a digest of everything that is stored of an actor but its owner and
its epoch. Positions count by their distances: in a target that had an actor of that
name before, they are higher.
"""

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Conflict,
    CopyFailed,
    TooLarge,
)
from agent_runtime_nb.runtime_abstractions import ActorId, Encoded, StoredId
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)

T = TypeVar("T")

COPYING = frozenset({"copying"})
"""The marks of an actor that is in the target in part."""

_LIMIT = 40  # turns or values of one change, by the contract
_LIMIT_BYTES = 512 * 1024  # of one change; a larger turn or value goes alone
_AT_ONCE = 16  # actors; what is written at once is committed together
_PAGE = 1000


@dataclass(slots=True, kw_only=True)
class CopyReport:
    """What a copy came to; every actor that it counts is the same on both sides.

    Attributes:
        actors: conversations in the source that are in the target now.
        already_there: how many of these a former run had brought.
        turns: of all of these.
        values: of all of these.
        sha256: the digest of their content, the same for source and target.
        left_out: conversations with a value over the target's limit, and which; and
            what the source has under no valid id.
    """

    actors: int = 0
    already_there: int = 0
    turns: int = 0
    values: int = 0
    sha256: str = ""
    left_out: list[tuple[StoredId, str]] = field(
        default_factory=list[tuple[StoredId, str]]
    )


async def copy_storage(
    source: IActorStateStorage,
    target: IActorStateStorage,
    *,
    overwrite: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
) -> CopyReport:
    """Bring every actor of `source` into `target`; both are opened and closed here.

    Run it again after it was broken off: what is there already is compared, not
    written again.

    Args:
        source: it is not changed, but for the owners and epochs of its actors.
        target: may have what an earlier run brought.
        overwrite: replace actors of the target that differ and let those be that the
            source does not have; otherwise either is refused before anything is
            written.
        on_progress: called with the numbers of actors that are done, and of all.

    Raises:
        CopyFailed: if an actor of either side has a living owner, the target has other
            data, or what was written does not read back the same.
        StorageError: as the storages raise it; run it again.
    """
    if source is target or _is_same_place(source, target):
        raise CopyFailed(source.location, target.location, "they are the same")
    host = HostInfo(f"copy-{uuid.uuid4().hex}", f"storage copy, process {os.getpid()}")
    async with AsyncExitStack() as stack:
        for storage in (source, target):
            stack.push_async_callback(storage.close)
            await storage.open(host)
        return await _Copy(source, target, overwrite, on_progress).run()


def _is_same_place(one: IActorStateStorage, other: IActorStateStorage) -> bool:
    return one.durable and (type(one), one.location) == (type(other), other.location)


# --- what is stored of an actor -------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Content:
    """An actor as a storage has it, all but the turns themselves.

    `pages` are the `before` of each page of its turns, the newest page first.
    """

    claim: Claim
    pages: list[int | None]
    turns: int
    first: int
    last: int
    digest: bytes

    @property
    def is_empty(self) -> bool:
        return not self.turns and not self.claim.values


async def _content_of(storage: IActorStateStorage, actor_id: ActorId) -> _Content:
    """Claim and read an actor; a page of its turns is in memory at a time."""
    claim = await storage.claim(actor_id)
    values = sorted(claim.values.items())
    state = (claim.etag, sorted(claim.marks), values)
    digest = hashlib.sha256(repr((tuple(actor_id), state)).encode())
    pages: list[int | None] = []
    before: int | None = None
    turns = first = last = 0
    while True:
        page = await storage.read_turns(actor_id, before=before, limit=_LIMIT)
        for turn in reversed(page):
            digest.update(repr(_facts(turn, first)).encode())
            first = turn.position
            last = last or first
        turns += len(page)
        if page:
            pages.append(before)
        if len(page) < _LIMIT:
            break
        before = first
    return _Content(
        claim=claim,
        pages=pages,
        turns=turns,
        first=first,
        last=last,
        digest=digest.digest(),
    )


def _facts(turn: TurnRecord, newer: int) -> tuple[object, ...]:
    """What a digest sees of a turn; `newer` is the position of the turn after it."""
    return (
        newer and newer - turn.position,
        turn.message_id,
        turn.status.value,
        turn.attempts,
        turn.body,
        turn.result,
        turn.entries,
        turn.checkpoint,
        float(turn.accepted_at),  # a backend may have made 3.0 a 3
        None if turn.ended_at is None else float(turn.ended_at),
    )


def _size(turn: TurnRecord) -> int:
    parts = (turn.body, turn.result, turn.entries, turn.checkpoint)
    return sum(len(part) for part in parts if part is not None)


# --- the copy -------------------------------------------------------------------------


class _Copy:
    """One run, between two open storages."""

    def __init__(
        self,
        source: IActorStateStorage,
        target: IActorStateStorage,
        overwrite: bool,  # noqa: FBT001 - handed on
        on_progress: Callable[[int, int], object] | None,
    ) -> None:
        self._source = source
        self._target = target
        self._overwrite = overwrite
        self._on_progress = on_progress
        self._report = CopyReport()
        self._done = self._total = 0
        self._sum = 0  # of the actors' digests, whatever order they come in

    async def run(self) -> CopyReport:
        missing, shared, others = await self._look()
        self._total = len(missing) + len(shared)
        if others and not self._overwrite:
            raise self._failed(_other_data(others))
        differing: list[ActorId] = []
        for actor_id, is_there in await self._each(shared, self._compare):
            if not is_there:
                differing.append(actor_id)
        await self._each(missing + differing, self._bring)
        found = len(await _all_actors(self._target))
        if found != self._report.actors + len(others):
            expected = self._report.actors + len(others)
            raise self._failed(f"there are {found} conversations, not {expected}")
        self._report.sha256 = self._sum.to_bytes(32, "big").hex()
        return self._report

    async def _look(self) -> tuple[list[ActorId], list[ActorId], list[ActorId]]:
        """The actors that are missing in the target, on both sides, and only there."""
        there = set(await _all_actors(self._target))
        unreadable: set[StoredId] = set()
        actors = await _all_actors(self._source, unreadable)
        for one in sorted(unreadable):
            self._report.left_out.append((one, "it is stored under what is no id"))
        shared = [actor_id for actor_id in actors if actor_id in there]
        missing = [actor_id for actor_id in actors if actor_id not in there]
        return missing, shared, sorted(there.difference(shared))

    async def _each(
        self,
        actors: Iterable[ActorId],
        work: Callable[[ActorId], Awaitable[bool]],
    ) -> list[tuple[ActorId, bool]]:
        """Do something for all actors, some at once; the first error ends it."""
        outcomes: list[tuple[ActorId, bool]] = []
        for group in _chunks(actors, _AT_ONCE):
            found = await asyncio.gather(*map(work, group), return_exceptions=True)
            for actor_id, outcome in zip(group, found, strict=True):
                is_done = await self._judge(actor_id, outcome)
                outcomes.append((actor_id, is_done))
                self._done += is_done
            if self._on_progress is not None:
                self._on_progress(self._done, self._total)
        return outcomes

    async def _judge(self, actor_id: ActorId, outcome: bool | BaseException) -> bool:  # noqa: FBT001 - of an actor's work
        if isinstance(outcome, ActorOwnedElsewhere):
            raise self._failed(_in_use(outcome)) from outcome
        if isinstance(outcome, TooLarge):
            await self._target.delete_state(actor_id)
            self._report.left_out.append((actor_id, str(outcome)))
            return True
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _compare(self, actor_id: ActorId) -> bool:
        """Whether the target has the actor already; in part is no."""
        source = await _content_of(self._source, actor_id)
        target = await _content_of(self._target, actor_id)
        if source.digest == target.digest:
            self._report.already_there += 1
            self._count(source)
            return True
        if not self._overwrite and target.claim.marks != COPYING:
            raise self._failed(_other_data([actor_id]))
        return False

    async def _bring(self, actor_id: ActorId) -> bool:
        source = await _content_of(self._source, actor_id)
        target = await _content_of(self._target, actor_id)
        if target.claim.marks == COPYING:
            with suppress(Conflict):
                target = await self._write(actor_id, source, target)
        if source.digest != target.digest:
            # A part of something else, or what shall be overwritten.
            if not target.is_empty:
                await self._target.delete_state(actor_id, epoch=target.claim.epoch)
                target = await _content_of(self._target, actor_id)
            target = await self._write(actor_id, source, target)
        if source.digest != target.digest:
            raise self._failed(f"{actor_id} does not read back as it was written")
        self._count(source)
        return True

    async def _write(
        self, actor_id: ActorId, source: _Content, target: _Content
    ) -> _Content:
        """Write what the target does not have of an actor; what it has then."""
        if target.turns:
            shift = target.first - source.first
        else:
            shift = max(target.claim.next_position - source.first, 0)
        held = ActorChange(epoch=target.claim.epoch)
        after = target.last - shift
        async for turns in self._turns(actor_id, source, after=after):
            if held.accepted:
                _mark(held, target, COPYING)
                await self._target.apply(actor_id, held)
            shifted = [replace(turn, position=turn.position + shift) for turn in turns]
            held = ActorChange(epoch=held.epoch, accepted=tuple(shifted))
        for values in _value_chunks(source.claim.values):
            if held.set is not None:
                _mark(held, target, COPYING)
                await self._target.apply(actor_id, held)
                held = ActorChange(epoch=held.epoch)
            held.set = values
        held.etag, held.new_etag = target.claim.etag, source.claim.etag
        _mark(held, target, source.claim.marks)
        await self._target.apply(actor_id, held)
        return await _content_of(self._target, actor_id)

    async def _turns(
        self, actor_id: ActorId, source: _Content, *, after: int
    ) -> AsyncIterator[list[TurnRecord]]:
        """The turns after a position, oldest first, as one change can take them."""
        for before in reversed(source.pages):
            page = await self._source.read_turns(actor_id, before=before, limit=_LIMIT)
            new = (turn for turn in page if turn.position > after)
            for chunk in _chunks(new, _LIMIT, size=_size):
                yield chunk

    def _count(self, content: _Content) -> None:
        self._report.actors += 1
        self._report.turns += content.turns
        self._report.values += len(content.claim.values)
        self._sum = (self._sum + int.from_bytes(content.digest, "big")) % 2**256

    def _failed(self, why: str) -> CopyFailed:
        return CopyFailed(self._source.location, self._target.location, why)


def _mark(change: ActorChange, target: _Content, marks: frozenset[str]) -> None:
    """Let these be the marks of an actor in the target, and no others."""
    change.add_marks = marks
    change.remove_marks = (target.claim.marks | COPYING) - marks


async def _all_actors(
    storage: IActorStateStorage, unreadable: set[StoredId] | None = None
) -> list[ActorId]:
    """All actors of a storage; adds to `unreadable` what the storage passes over."""
    actors: list[ActorId] = []
    after: str | None = None
    while True:
        page = await storage.list_actors(after=after, limit=_PAGE)
        actors += page.items
        if unreadable is not None:
            unreadable.update(page.unreadable)
        after = page.next
        if after is None:
            return actors


def _other_data(actors: list[ActorId]) -> str:
    some = ", ".join(map(str, actors[:3])) + (", ..." if len(actors) > 3 else "")
    return (
        f"the target has other data, {some}; choose an empty one, or overwrite what "
        "differs"
    )


def _in_use(error: ActorOwnedElsewhere) -> str:
    return f"{error.actor_id} is in use by {error.owner}, which is alive: stop it first"


def _chunks(
    items: Iterable[T], most: int, *, size: Callable[[T], int] = lambda _: 0
) -> Iterator[list[T]]:
    """Items in lists of at most so many, and of bytes while there is more than one."""
    chunk: list[T] = []
    total = 0
    for item in items:
        total += size(item)
        if chunk and (len(chunk) >= most or total > _LIMIT_BYTES):
            yield chunk
            chunk, total = [], size(item)
        chunk.append(item)
    if chunk:
        yield chunk


def _value_chunks(values: dict[str, Encoded]) -> Iterator[dict[str, Encoded]]:
    items = sorted(values.items())
    for chunk in _chunks(items, _LIMIT, size=lambda item: len(item[1])):
        yield dict(chunk)
