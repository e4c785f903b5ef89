"""Storages that are wrong on purpose, each in one way.

They go through the verbs of a memory storage, whose futures are done when it returns.
"""

import asyncio
import logging
import re
from asyncio import Future
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from agent_runtime_nb.exceptions import Conflict, StaleEpoch
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Page,
    RequestStatus,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    Claim,
    HostInfo,
    TurnRecord,
)
from tests.contracts.wrapped_storage import SECRET, WrappedStorage

T = TypeVar("T")
Known = tuple[TurnRecord, ...]
EVERYTHING = 1_000_000
ADDRESS = f"server://user:{SECRET}@there"


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine comes to that does not wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def done(value: T) -> "Future[T]":
    future: Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


# --- versions and epochs


class NoVersionCheck(WrappedStorage):
    """The last writer wins."""

    def write_state(self, actor_id: ActorId, **options: Any) -> "Future[str]":
        future = super().write_state(actor_id, **options)
        if isinstance(found := future.exception(), Conflict):
            options["etag"] = found.actual
            return super().write_state(actor_id, **options)
        return future


class NoVersionCheckInTurns(WrappedStorage):
    """A commit does not look at the version."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        if change.new_etag is not None:
            etag = now(self.inner.read_state(actor_id, ())).etag
            change = replace(change, etag=etag)
        return super().apply(actor_id, change)


class HalfBatch(WrappedStorage):
    """State first, then the rest: two steps instead of one."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        first = ActorChange(epoch=change.epoch, set=change.set, remove=change.remove)
        self.inner.apply(actor_id, first).exception()
        return super().apply(actor_id, replace(change, set=None, remove=()))


class ReusedVersions(WrappedStorage):
    """Versions count from 1 for each actor, and again after a delete."""

    def write_state(
        self, actor_id: ActorId, *, etag: str | None = None, **options: Any
    ) -> "Future[str]":
        names: dict[str | None, str] = self.shared.setdefault(actor_id, {})
        real = names.get(etag, etag)
        future = super().write_state(actor_id, etag=real, **options)
        if future.exception() is not None:
            return future
        name = f"v{len(names) + 1}"
        names[name] = future.result()
        return done(name)

    async def read_states(
        self, actor_ids: Sequence[ActorId], *args: Any, **options: Any
    ) -> list[ActorState]:
        states = await super().read_states(actor_ids, *args, **options)
        return list(map(self._renamed, actor_ids, states))

    def _renamed(self, actor_id: ActorId, state: ActorState) -> ActorState:
        names = self.shared.get(actor_id, {})
        etags = {real: name for name, real in names.items()}
        return replace(state, etag=etags.get(state.etag, state.etag))

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        self.shared.pop(actor_id, None)
        return super().delete_state(actor_id, epoch=epoch)


class NoEpochCheckOnAccept(WrappedStorage):
    """Whoever was the owner once may still accept."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        epoch = now(self.inner.read_state(actor_id, ())).epoch
        if change.accepted and not change.ended and 0 < change.epoch < epoch:
            change = replace(change, epoch=epoch)
        return super().apply(actor_id, change)


class NoEpochCheckOnDelete(WrappedStorage):
    """Whoever asks may delete."""

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        return super().delete_state(actor_id)


class NoTombstone(WrappedStorage):
    """After a delete the former owner goes on, without any epoch in between."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        future = super().apply(actor_id, change)
        if isinstance(future.exception(), StaleEpoch) and actor_id in self.shared:
            epoch = self.inner.claim(actor_id).result().epoch
            return super().apply(actor_id, replace(change, epoch=epoch))
        return future

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        self.shared[actor_id] = True
        return super().delete_state(actor_id, epoch=epoch)


class NobodyLives(WrappedStorage):
    """Each claim takes over."""

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        return super().claim(actor_id, take_over=True)


# --- turns


class PositionsReusedAfterDelete(WrappedStorage):
    """The next position is the one after the last turn that is still there."""

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        future = super().claim(actor_id, take_over=take_over)
        if future.exception() is None:
            last = now(self.inner.read_turns(actor_id, limit=1))
            future.result().next_position = last[0].position + 1 if last else 1
        return future


class AcceptsTwice(WrappedStorage):
    """A known message id becomes one more turn."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        accepted = tuple(
            replace(turn, message_id=f"{turn.message_id} again")
            if now(self.inner.find_turn(actor_id, turn.message_id))
            else turn
            for turn in change.accepted
        )
        return super().apply(actor_id, replace(change, accepted=accepted))


class EndedArriveOpen(WrappedStorage):
    """What is accepted is open, whatever its status says."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        accepted = tuple(
            replace(turn, status=RequestStatus.PENDING) for turn in change.accepted
        )
        return super().apply(actor_id, replace(change, accepted=accepted))


class TrimDropsOpenTurns(WrappedStorage):
    """Old is old, ended or not."""

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        turns = await self.inner.read_turns(actor_id, limit=EVERYTHING)
        dropped = {turn.position for turn in turns[: max(len(turns) - keep, 0)]}
        self.shared.setdefault(actor_id, set()).update(dropped)
        await super().trim(actor_id, keep)

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        turns = await super().read_turns(actor_id, before=before, limit=limit)
        dropped = self.shared.get(actor_id, set())
        return [
            replace(turn, body=None) if turn.position in dropped else turn
            for turn in turns
        ]


# --- lists


class PrefixIsAPattern(WrappedStorage):
    """The prefix is put into LIKE as it is."""

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        every = await super().list_keys(actor_id, limit=EVERYTHING)
        escaped = re.escape(prefix).replace("%", ".*").replace("_", ".")
        found = [key for key in every.items if re.match(escaped, key, re.DOTALL)]
        rest = [key for key in found if after is None or key > after]
        return Page(tuple(rest[:limit]), rest[limit - 1] if rest[limit:] else None)


class PagesOverlap(WrappedStorage):
    """Each page begins with the last actor of the page before."""

    async def list_actors(
        self, type_name: str | None = None, **options: Any
    ) -> Page[ActorId]:
        page = await super().list_actors(type_name, **options)
        if page.next is None or len(page.items) < 2:
            return page
        return Page(page.items, str(page.items[-2]))


class PagesByOffset(WrappedStorage):
    """The token says how many actors were listed, not which."""

    async def list_actors(
        self, type_name: str | None = None, *, limit: int = 200, **options: Any
    ) -> Page[ActorId]:
        after = options.pop("after", None)
        start = self.shared.get(after, 0) if after else 0
        page = await super().list_actors(
            type_name, limit=start + limit, after=None if start else after, **options
        )
        if page.next is None:
            return Page(page.items[start:], None)
        self.shared[page.next] = start + limit
        return Page(page.items[start:], page.next)


class UnreadableEndsAList(WrappedStorage):
    """What cannot be read takes the place of an actor in its page."""

    async def list_actors(
        self, type_name: str | None = None, *, limit: int = 200, **options: Any
    ) -> Page[ActorId]:
        page = await super().list_actors(type_name, limit=limit, **options)
        items = page.items[: max(limit - len(page.unreadable), 0)]
        return Page(items, str(items[-1]) if items else None, page.unreadable)


class UnreadableIsHidden(WrappedStorage):
    """What cannot be read is passed over without a word."""

    async def list_actors(self, *args: Any, **options: Any) -> Page[ActorId]:
        return replace(await super().list_actors(*args, **options), unreadable=())


class MarksAreSearched(WrappedStorage):
    """`mark` finds every actor with a mark that contains it."""

    async def list_actors(
        self, type_name: str | None = None, *, mark: str | None = None, **options: Any
    ) -> Page[ActorId]:
        mark = "outbox" if mark == "out" else mark
        return await super().list_actors(type_name, mark=mark, **options)


class MarksAreReplaced(WrappedStorage):
    """The marks that a change adds are from then on the only ones."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        if change.add_marks:
            others = frozenset({"dead", "outbox"}) - change.add_marks
            change = replace(change, remove_marks=change.remove_marks | others)
        return super().apply(actor_id, change)


class MarksAreRemembered(WrappedStorage):
    """Writes all marks that an actor had when it was claimed, and what is changed."""

    def claim(self, actor_id: ActorId, **options: Any) -> "Future[Claim]":
        claim = super().claim(actor_id, **options)
        self.shared[actor_id] = claim.result().marks
        return claim

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        if change.add_marks or change.remove_marks:
            marks = (self.shared[actor_id] | change.add_marks) - change.remove_marks
            others = frozenset({"dead", "outbox"}) - marks
            change = replace(change, add_marks=marks, remove_marks=others)
        return super().apply(actor_id, change)


class NamesAreFolded(WrappedStorage):
    """Capital letters are small letters."""

    def write_state(self, actor_id: ActorId, **options: Any) -> "Future[str]":
        return super().write_state(self._folded(actor_id), **options)

    async def read_states(
        self, actor_ids: Sequence[ActorId], *args: Any, **options: Any
    ) -> list[ActorState]:
        folded = [self._folded(one) for one in actor_ids]
        return await super().read_states(folded, *args, **options)

    @staticmethod
    def _folded(actor_id: ActorId) -> ActorId:
        return ActorId(actor_id.type_name, actor_id.instance_id.lower())


# --- other people's eyes


class Pickles(WrappedStorage):
    """Another process gets a copy that looks as if it worked."""

    def __reduce__(self) -> Any:
        return (Pickles, ())


class LogsThePassword(WrappedStorage):
    """It says where it connects to, exactly."""

    async def open(self, host: HostInfo) -> None:
        logging.getLogger(__name__).debug("connecting to %s", ADDRESS)
        await super().open(host)


class TellsThePassword(WrappedStorage):
    """The cause of an error quotes the address."""

    def write_state(self, actor_id: ActorId, **options: Any) -> "Future[str]":
        future = super().write_state(actor_id, **options)
        if (error := future.exception()) is not None:
            error.__cause__ = ValueError(ADDRESS)
        return future


class ShowsThePassword(WrappedStorage):
    """As a dataclass would."""

    def __repr__(self) -> str:
        return f"ShowsThePassword({ADDRESS!r})"
