"""The actor types of one runtime and its actors in memory.

Keeps the actors by id, drops the idle ones (after a time, or the longest idle first
above a number), enforces deadlines once a second, and keeps the update logs of turns
that ended a moment ago.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast
from weakref import WeakSet, WeakValueDictionary

from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.exceptions import (
    ActorQuarantined,
    AgentRuntimeError,
    NotRunning,
    StorageClosed,
    StorageError,
    Unavailable,
    UnknownActorType,
)
from agent_runtime_nb.runtime.activation import InProcessActorContext
from agent_runtime_nb.runtime.admission import Admission
from agent_runtime_nb.runtime.cell import ActorCell
from agent_runtime_nb.runtime.commit import Policy
from agent_runtime_nb.runtime.feed import Feed
from agent_runtime_nb.runtime.health import StorageHealth, unreadable
from agent_runtime_nb.runtime.listeners import Listeners
from agent_runtime_nb.runtime.reporter import ActorFeeds
from agent_runtime_nb.runtime.turn import CancelReason, Turn
from agent_runtime_nb.runtime.wait_graph import WaitGraph
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActor,
    IActorClient,
    IActorRuntimeContext,
    Page,
    StoredId,
    TurnUpdate,
    WhenBusy,
)
from agent_runtime_nb.runtime_events import ActorRevived, RuntimeEvent
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)

_FAILURES_OF = 10_000  # actors whose failures are remembered

ActorFactory: TypeAlias = Callable[[IActorRuntimeContext], IActor | Awaitable[IActor]]


class ActorType(NamedTuple):
    """A registered type."""

    factory: ActorFactory
    description: str
    policy: Policy = Policy()


class Catalog:
    """What a runtime has in memory."""

    def __init__(
        self,
        storage: IActorStateStorage,
        settings: RuntimeSettings,
        environment: Environment,
    ) -> None:
        self.storage = storage
        self.settings = settings
        self.environment = environment
        self.since = environment.wall_clock()
        self.take_over = False
        self.client: IActorClient  # the runtime's own, for what actors ask each other
        self.submit: Callable[[Turn, WhenBusy], Turn | asyncio.Future[Turn]]
        self.listeners = Listeners()
        self.feeds: ActorFeeds = {}
        self.event_feeds: WeakSet[Feed[RuntimeEvent]] = WeakSet()
        self.tasks = TaskOwner("runtime")
        self.disposals = TaskOwner("disposals")
        self.types: dict[str, ActorType] = {}
        self.quarantined: dict[ActorId, ActorQuarantined] = {}
        self.failures: dict[ActorId, tuple[float, ...]] = {}
        # To be claimed again: with something to tell, or to resume, but not owned.
        self.undelivered = set[ActorId]()
        self.storage_health = StorageHealth(environment.clock)
        self.unreadable: dict[
            StoredId, None
        ] = {}  # what lists have met since the start
        self._answers: set[asyncio.Future[Any]] = set()  # that callers wait for
        self._feeds_closed = False
        self.admission = Admission(settings)
        self.waits = WaitGraph()
        self._note_locks: WeakValueDictionary[ActorId, asyncio.Lock] = (
            WeakValueDictionary()
        )
        self.cells: dict[ActorId, ActorCell] = {}
        self._busy: dict[ActorCell, None] = {}  # in the order in which they became so
        self._idle: dict[ActorCell, float] = {}  # since when; longest idle first
        self._kept: dict[tuple[ActorId, str], tuple[float, Turn]] = {}
        self._kept_bytes = 0
        self._all_idle: asyncio.Future[None] | None = None

    # --- types

    def register(self, type_name: str, actor_type: ActorType) -> None:
        """Add a type, or replace it; call `renew` on the runtime's loop then."""
        ActorId(type_name, "x")  # a type name must be able to name actors
        self.types[type_name] = actor_type

    def renew(self, type_name: str) -> None:
        """Let the type's present factory serve from the next turn on."""
        for cell in list(self.cells.values()):
            if cell.actor_id.type_name == type_name:
                cell.renew()

    def policy(self, actor_id: ActorId) -> Policy:
        """The policy of the actor's type; of an unknown one, the default."""
        known = self.types.get(actor_id.type_name)
        return Policy() if known is None else known.policy

    async def make_actor(
        self, actor_id: ActorId, context: InProcessActorContext
    ) -> IActor:
        """Call the factory of the actor's type."""
        made = self.types[actor_id.type_name].factory(context)
        actor = await made if inspect.isawaitable(made) else made
        if not isinstance(cast("object", actor), IActor):
            problem = f"the factory gave {type(actor).__name__}, which is no IActor"
            raise TypeError(problem)
        return actor

    # --- actors in memory

    def find(self, actor_id: ActorId) -> ActorCell | None:
        """The actor, if it is in memory."""
        return self.cells.get(actor_id)

    def get(self, actor_id: ActorId) -> ActorCell:
        """The actor; brought into memory and claimed if it is not.

        Raises:
            UnknownActorType: if its type is not registered.
        """
        if actor_id[0] not in self.types:
            raise UnknownActorType(actor_id.type_name, self.types)
        cell = self.cells.get(actor_id)
        if cell is None:
            if (reason := self.quarantined.get(actor_id)) is not None:
                raise reason.with_traceback(None)
            cell = self.adopt(actor_id)
        return cell

    def adopt(self, actor_id: ActorId, *, take_over: bool | None = None) -> ActorCell:
        """The actor, brought into memory and claimed, whatever its type.

        One in quarantine is brought in for its caller alone: it takes no requests, and
        what is open of it stays so.
        `take_over` None: as the runtime has it.
        """
        cell = self.cells.get(actor_id)
        if cell is not None:
            return cell
        if len(self.cells) >= self.settings.max_resident:
            self._evict_longest_idle()
        cell = ActorCell(actor_id, self)
        if actor_id not in self.quarantined:
            self.cells[actor_id] = cell
        cell.claim(self.take_over if take_over is None else take_over)
        return cell

    async def store_dead_letter(
        self, turn: Turn, error: AgentRuntimeError, attempts: int
    ) -> None:
        """Store a request that no type here takes as a dead letter of its actor.

        Raises:
            ActorOwnedElsewhere, StorageError: if this host cannot.
        """
        async with self.note_lock(turn.actor_id):
            cell = self.adopt(turn.actor_id)
            await self.bounded(cell.ready())
            await self.bounded(cell.store_dead_letter(turn, error, attempts))
        self._passivate(cell)  # or it would be taken for one that can run

    def note_lock(self, actor_id: ActorId) -> asyncio.Lock:
        """Held by whoever reads what is noted of an actor and changes it."""
        return self._note_locks.setdefault(actor_id, asyncio.Lock())

    def __iter__(self) -> Iterator[ActorCell]:
        return iter(list(self.cells.values()))

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def busy(self) -> list[ActorCell]:
        """The actors that have open turns."""
        return list(self._busy)

    def went_busy(self, cell: ActorCell) -> None:
        """It has an open turn."""
        self._idle.pop(cell, None)
        self._busy[cell] = None

    def went_idle(self, cell: ActorCell) -> None:
        """It has no open turn and no task."""
        self._busy.pop(cell, None)
        if self.cells.get(cell.actor_id) is cell:
            self._idle[cell] = self.environment.clock()
        if self._all_idle is not None:
            self._tell_all_idle()

    def left(self, cell: ActorCell) -> None:
        """It no longer owns the actor; it is busy until its commits have ended."""
        if not cell.open:
            self._busy.pop(cell, None)
        self._idle.pop(cell, None)
        if self.cells.get(cell.actor_id) is cell:
            del self.cells[cell.actor_id]
        lost = isinstance(cell.gone, StorageError)
        if lost and cell.has_tells:
            self.undelivered.add(cell.actor_id)
        self._tell_all_idle()

    def _tell_all_idle(self) -> None:
        waiter = self._all_idle
        if waiter is not None and not self._busy and not waiter.done():
            waiter.set_result(None)

    async def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing is open; whether that came in time."""
        if not self._busy:
            return True
        self._all_idle = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([self._all_idle], timeout=timeout)
        self._all_idle = None
        return bool(done)

    def cancel_all(self, reason: CancelReason) -> None:
        """Cancel every open turn that can still be cancelled.

        Requests that wait for a claim are refused: nothing is stored of them.
        """
        for cell in self.busy:
            if not cell.is_claimed:
                cell.refuse_senders(NotRunning("stopped"))
            for turn in list(cell.open.values()):
                cell.cancel(turn, reason)

    def revive(self, actor_id: ActorId) -> bool:
        """End the quarantine of an actor; whether it was in quarantine."""
        self.failures.pop(actor_id, None)
        if self.quarantined.pop(actor_id, None) is None:
            return False
        if self.listeners.wants(ActorRevived):
            self.listeners.tell(
                ActorRevived(
                    type_name=actor_id.type_name,
                    instance_id=actor_id.instance_id,
                    at=self.environment.wall_clock(),
                )
            )
        return True

    # --- passivation

    def _evict_longest_idle(self) -> None:
        for cell in self._idle:
            self._passivate(cell)
            return

    def _passivate(self, cell: ActorCell) -> None:
        self._idle.pop(cell, None)
        if cell.is_idle and self.cells.get(cell.actor_id) is cell:
            del self.cells[cell.actor_id]
            cell.drop_activation()

    def passivate_all(self) -> None:
        """Drop every actor object."""
        for cell in {*self, *self._busy}:
            cell.abandon(NotRunning("stopped"))
        self.cells.clear()
        self._busy.clear()
        self._idle.clear()

    # --- watchers

    def add_feed(self, actor_id: ActorId, feed: Feed[TurnUpdate]) -> None:
        """Tell a feed of one actor, as long as somebody else holds it."""
        self.feeds.setdefault(actor_id, WeakSet()).add(feed)
        if self._feeds_closed:
            feed.close(NotRunning("stopped"))

    def add_event_feed(self, feed: Feed[RuntimeEvent]) -> None:
        """Tell a feed of all events when the runtime stops."""
        self.event_feeds.add(feed)
        if self._feeds_closed:
            feed.close(NotRunning("stopped"))

    def close_feeds(self) -> None:
        """Tell every watcher that nothing will come any more."""
        self._feeds_closed = True
        for feeds in [*self.feeds.values(), self.event_feeds]:
            for feed in list(feeds):
                feed.close(NotRunning("stopped"))

    def dispose(self, actor: IActor, name: str) -> None:
        """Dispose of an actor object, in the background, bounded."""
        self.disposals.spawn(
            self._dispose(actor, name), name=f"dispose {name}", context=Context()
        )

    async def _dispose(self, actor: IActor, name: str) -> None:
        try:
            async with asyncio.timeout(self.settings.dispose_timeout):
                await actor.dispose()
        except Exception:
            _log.exception("%s failed to dispose", name)

    # --- once a second

    def sweep(self) -> None:
        """Enforce deadlines; drop what was idle or kept for long enough."""
        now = self.environment.clock()
        if self.storage_health.needs_check:
            looking = self.storage_health.look(self._ask_storage)
            self.tasks.spawn(looking, name="look at the storage")
        for cell in self.busy:
            cell.sweep(now)
        oldest = now - self.settings.idle_timeout
        for cell, since in list(self._idle.items()):
            if since > oldest:
                break
            self._passivate(cell)
        for key, (until, _) in list(self._kept.items()):
            if until > now:
                break
            self._drop_log(key)
        for actor_id in [one for one, feeds in self.feeds.items() if not feeds]:
            del self.feeds[actor_id]
        if self.failures:
            self._forget_failures(now)

    def _forget_failures(self, now: float) -> None:
        """Drop what counts no longer, and the oldest above a number."""
        too_many = len(self.failures) - _FAILURES_OF
        for number, (actor_id, failures) in enumerate(list(self.failures.items())):
            within = self.policy(actor_id).restart.within
            if number < too_many or now - failures[-1] >= within:
                del self.failures[actor_id]

    # --- logs of ended turns

    def keep_log(self, turn: Turn) -> None:
        """Keep an ended turn and its update log for a while."""
        key = turn.actor_id, turn.message_id
        until = self.environment.clock() + self.settings.update_linger
        self._kept[key] = until, turn
        self._kept_bytes += 0 if turn.log is None else turn.log.size
        while self._kept_bytes > self.settings.update_memory and len(self._kept) > 1:
            self._drop_log(next(iter(self._kept)))

    def _drop_log(self, key: tuple[ActorId, str]) -> None:
        _, turn = self._kept.pop(key)
        self._kept_bytes -= 0 if turn.log is None else turn.log.size

    def drop_logs(self, actor_id: ActorId) -> None:
        """Drop what is kept of an actor."""
        for key in [key for key in self._kept if key[0] == actor_id]:
            self._drop_log(key)

    def kept_turn(self, actor_id: ActorId, message_id: str) -> Turn | None:
        """A turn that ended a moment ago."""
        found = self._kept.get((actor_id, message_id))
        return None if found is None else found[1]

    # --- what callers wait for

    def answer(
        self, work: Callable[[], Coroutine[Any, Any, T]], name: str
    ) -> "asyncio.Future[T]":
        """Start work for a caller; a future of its result, which a stop ends, too.

        All that is asked of the storage for a caller goes through here, so this is the
        one place that decides what a stop answers: NotRunning to whoever has no result
        by then, also if the work hears no cancellation, or fails because the storage
        is closed.

        Raises:
            NotRunning: if the runtime has ended its tasks already.
        """
        if self.tasks.closed:
            raise NotRunning("stopped")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._answers.add(answer)
        task = self.tasks.spawn(work(), name=name, awaited=True)
        task.add_done_callback(partial(self._answer, answer))
        return answer

    def _answer(self, answer: "asyncio.Future[T]", task: "asyncio.Task[T]") -> None:
        self._answers.discard(answer)
        error = None if task.cancelled() else task.exception()
        if answer.done():  # by the stop
            return
        too_late = isinstance(error, StorageClosed) and self.tasks.closed
        if task.cancelled() or too_late:
            answer.set_exception(NotRunning("stopped"))
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())

    def end_answers(self) -> None:
        """Tell whoever waits for work that goes on although the tasks were ended."""
        for answer in self._answers:
            answer.set_exception(NotRunning("stopped"))
        self._answers.clear()

    # --- the storage

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        open_only: bool = False,
        mark: str | None = None,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorId]:
        """As the storage lists them; of what is unreadable the log tells once."""
        page = await self.storage.list_actors(
            type_name, open_only=open_only, mark=mark, after=after, limit=limit
        )
        new = [one for one in page.unreadable if one not in self.unreadable]
        if new:
            self.unreadable.update(dict.fromkeys(new))
            _log.warning("%s: %s", self.storage.location, unreadable(new))
        return page

    async def _ask_storage(self) -> None:
        await self.bounded(self.storage.list_actors(limit=1))

    async def within_bounds(self, work: Callable[[], Awaitable[T]]) -> T:
        """As `bounded`, of work that is begun here: for a task of its own."""
        return await self.bounded(work())

    async def bounded(self, answer: Awaitable[T]) -> T:
        """What the storage answers, if it does so in time.

        Raises:
            Unavailable: if it does not.
        """
        try:
            async with asyncio.timeout(self.settings.storage_timeout):
                return await answer
        except AgentRuntimeError as error:  # some are TimeoutErrors, too
            self.storage_health.note(error)
            raise
        except TimeoutError:
            silent = Unavailable(self.storage.location, "no answer")
            self.storage_health.note(silent)
            raise silent from None
