"""`FaultyStorage`: any storage, with the faults that real ones have.

A *fault* is what happens to one step. Which step has which one is decided by a *plan*,
a function that is asked for each step: write it by hand, or let `RandomFaults` draw
them from a seed. On top of that `down()` refuses everything for a while, and `hold()`
keeps answers back until `let_go()`.

The contract of the waist holds whatever the plan says: steps of one actor take effect,
and are answered, in the order of their calls; a step that failed "before" has changed
nothing; one whose answer is lost has taken effect.
"""

import asyncio
from asyncio import Future
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.exceptions import Unavailable
from agent_runtime_nb.runtime_abstractions import ActorId, Encoded, Page
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep, Plan, Verb, fails

T = TypeVar("T")

_PATIENCE = 60.0


class FaultyStorage(IActorStateStorage):
    """Hands every step to another storage, as `plan` says.

    Args:
        inner: the storage that does the work; opened and closed with this one.
        plan: asked for each step; may be changed at any time.

    Attributes:
        applied: every change that came by `apply`, also those that failed.
        held_back: the changes whose answers are held, as they come; None for a claim.
    """

    def __init__(self, inner: IActorStateStorage, plan: Plan | None = None) -> None:
        self.inner = inner
        self.plan = plan
        self.applied: list[ActorChange] = []
        self.held_back: asyncio.Queue[ActorChange | None] = asyncio.Queue()
        self._down: Exception | None = None
        self._held: list[tuple[Future[Any], Future[Any]]] | None = None
        self._holds: Callable[[ActorChange], bool] | None = None
        self._tails: dict[ActorId | None, Future[None]] = {}
        self._tasks = TaskOwner("faulty storage")

    # --- faults by hand

    @contextmanager
    def down(self, error: Exception | None = None) -> Generator[None]:
        """Nothing works inside the block; Unavailable if no error is given."""
        self._down = error or Unavailable(self.location, "down")
        try:
            yield
        finally:
            self._down = None

    def script(self, faults: Iterable[Fault | None], verb: Verb = "apply") -> None:
        """The next steps of a verb have these faults, None: that one works."""
        left, otherwise = list(faults), self.plan

        def plan(step: FaultStep) -> Fault | None:
            if step.verb == verb and left:
                return left.pop(0)
            return None if otherwise is None else otherwise(step)

        self.plan = plan

    def hold(self, only: Callable[[ActorChange], bool] | None = None) -> None:
        """Do, but answer nothing until `let_go`; or such changes only."""
        self._held, self._holds = [], only

    def let_go(self) -> None:
        """Answer what was held back."""
        held, self._held = self._held or [], None
        for inner, outer in held:
            _pass_on(inner, outer)

    # --- the waist

    @property
    def location(self) -> str:
        """Where the other one is."""
        return self.inner.location

    @property
    def durable(self) -> bool:
        """Whether the other one is."""
        return self.inner.durable

    async def open(self, host: HostInfo) -> None:
        """See `IActorStateStorage.open`."""
        if self._down is not None:
            raise self._down
        await self.inner.open(host)

    async def close(self) -> None:
        """See `IActorStateStorage.close`; works even when down.

        What is late still takes effect, and is answered, before.
        """
        while len(self._tasks):
            await self._tasks.wait(_PATIENCE)
        await self.inner.close()

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        """See `IActorStateStorage.claim`."""
        step = FaultStep("claim", actor_id)
        return self._do(step, partial(self.inner.claim, actor_id, take_over=take_over))

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        """See `IActorStateStorage.apply`."""
        self.applied.append(change)
        step = FaultStep("apply", actor_id, change)
        return self._do(step, partial(self.inner.apply, actor_id, change))

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        """See `IActorStateStorage.read_states`; a fault is that of the whole answer."""
        ids, wanted = tuple(actor_ids), None if keys is None else tuple(keys)
        read = partial(self.inner.read_states, ids, wanted, prefix=prefix)
        return await self._read(ids[0] if len(ids) == 1 else None, read)

    def write_state(
        self,
        actor_id: ActorId,
        *,
        set: Mapping[str, Encoded],
        remove: Iterable[str] = (),
        etag: str | None = None,
    ) -> "Future[str]":
        """See `IActorStateStorage.write_state`."""
        # Copies: it may happen later, when the caller has changed his own.
        values, keys = dict(set), tuple(remove)
        write = partial(self.inner.write_state, actor_id, set=values, remove=keys)
        return self._do(FaultStep("write_state", actor_id), lambda: write(etag=etag))

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        """See `IActorStateStorage.delete_state`."""
        step = FaultStep("delete_state", actor_id)
        return self._do(step, partial(self.inner.delete_state, actor_id, epoch=epoch))

    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        """See `IActorStateStorage.find_turn`."""
        find = partial(self.inner.find_turn, actor_id, message_id)
        return await self._read(actor_id, find)

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        """See `IActorStateStorage.read_turns`."""
        read = partial(self.inner.read_turns, actor_id, before=before, limit=limit)
        return await self._read(actor_id, read)

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        """See `IActorStateStorage.list_keys`."""
        keys = partial(self.inner.list_keys, actor_id, prefix, after=after, limit=limit)
        return await self._read(actor_id, keys)

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        open_only: bool = False,
        mark: str | None = None,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorId]:
        """See `IActorStateStorage.list_actors`."""
        listing = partial(
            self.inner.list_actors,
            type_name,
            open_only=open_only,
            mark=mark,
            after=after,
            limit=limit,
        )
        return await self._read(None, listing)

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        """See `IActorStateStorage.trim`."""
        await self._read(actor_id, lambda: self.inner.trim(actor_id, keep))

    # --- how a step is done

    def _fault_of(self, step: FaultStep) -> Fault | None:
        if self._down is not None:
            return fails(self._down)
        return None if self.plan is None else self.plan(step)

    async def _read(
        self, actor_id: ActorId | None, work: Callable[[], Awaitable[T]]
    ) -> T:
        fault = self._fault_of(FaultStep("read", actor_id))
        if fault is None:
            return await work()
        await _pause(fault.delay)
        if fault.silent:
            await _forever()
        if fault.error is not None:
            raise fault.error
        answer = await work()
        await _pause(fault.answer_delay)
        return answer

    def _do(self, step: FaultStep, work: "Callable[[], Future[T]]") -> "Future[T]":
        fault = self._fault_of(step)
        if fault is not None and fault.raised and fault.error is not None:
            if fault.takes_effect:
                _unheard(work())
            raise fault.error
        before = self._tails.get(step.actor_id)
        if before is None and (fault is None or not _takes_time(fault)):
            return self._at_once(step, work, fault)
        loop = asyncio.get_running_loop()
        outer: Future[T] = loop.create_future()
        done = self._tails[step.actor_id] = loop.create_future()
        self._spawn(self._later(work, fault or Fault(), outer, before), done)
        return self._holding(step, outer)

    def _at_once(
        self, step: FaultStep, work: "Callable[[], Future[T]]", fault: Fault | None
    ) -> "Future[T]":
        if fault is None:
            return self._holding(step, work())
        outer: Future[T] = asyncio.get_running_loop().create_future()
        inner = work() if fault.takes_effect else None
        if inner is not None:
            _unheard(inner)
        if fault.error is not None and not fault.silent:
            outer.set_exception(fault.error)
        elif inner is not None and not fault.silent:
            return inner
        return self._holding(step, outer)

    async def _later(
        self,
        work: "Callable[[], Future[T]]",
        fault: Fault,
        outer: "Future[T]",
        before: "Future[None] | None",
    ) -> None:
        if before is not None:
            await before
        await _pause(fault.delay)
        inner = work() if fault.takes_effect else None
        if inner is not None:
            _unheard(inner)
            await asyncio.wait([inner])
        await _pause(fault.answer_delay)
        if fault.silent:
            return
        if fault.error is not None and not outer.done():
            outer.set_exception(fault.error)
        elif inner is not None:
            _pass_on(inner, outer)

    def _spawn(self, work: Coroutine[Any, Any, None], done: "Future[None]") -> None:
        task = self._tasks.spawn(work, name="faulty step")
        task.add_done_callback(lambda _: self._ended(done))

    def _ended(self, done: "Future[None]") -> None:
        for actor_id in [key for key, tail in self._tails.items() if tail is done]:
            del self._tails[actor_id]
        if not done.done():
            done.set_result(None)

    def _holding(self, step: FaultStep, inner: "Future[T]") -> "Future[T]":
        only = self._holds
        held_one = only is None or (step.change is not None and only(step.change))
        if self._held is None or not held_one:
            return inner
        outer: Future[T] = asyncio.get_running_loop().create_future()
        self._held.append((inner, outer))
        self.held_back.put_nowait(step.change)
        return outer


def _takes_time(fault: Fault) -> bool:
    return bool(fault.delay or fault.answer_delay)


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


def _unheard(inner: "Future[Any]") -> None:
    """Its error may reach nobody, and that is no mistake of the caller."""
    inner.add_done_callback(lambda done: done.cancelled() or done.exception())


def _pass_on(inner: "Future[Any]", outer: "Future[Any]") -> None:
    if outer.done():
        return
    if not inner.done():  # let go before a slow step has taken effect
        inner.add_done_callback(lambda done: _pass_on(done, outer))
        return
    if inner.cancelled():
        outer.cancel()
    elif (error := inner.exception()) is not None:
        outer.set_exception(error)
    else:
        outer.set_result(inner.result())
