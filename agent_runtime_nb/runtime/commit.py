"""The one conditional write that ends a turn, and what follows if it is refused.

A turn's state, entries, response and status appear together or not at all. The etag of
the write is its id, so an answer that was lost on the way is found by one read, and a
write that is sent again cannot take effect twice.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol, TypeVar

from agent_runtime_nb._base.json_codec import describe_error, encode
from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    ActorQuarantined,
    AgentRuntimeError,
    Conflict,
    OutcomeUnknown,
    StorageClosed,
    StorageError,
    TooLarge,
)
from agent_runtime_nb.runtime.activation import InProcessActorContext, Staged
from agent_runtime_nb.runtime.admission import Admission
from agent_runtime_nb.runtime.health import StorageHealth
from agent_runtime_nb.runtime.mailbox import Mailbox
from agent_runtime_nb.runtime.reporter import ReportServices
from agent_runtime_nb.runtime.tell import OUTBOX_MARKS, tell_key
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    IActor,
    IActorClient,
    RequestStatus,
    WhenBusy,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    IActorStateStorage,
    TurnEnd,
    TurnRecord,
)
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy

T = TypeVar("T")


class Policy(NamedTuple):
    """What becomes of actors that fail and of requests whose host died."""

    on_interrupted: OnInterrupted = "ask"
    restart: RestartPolicy = RestartPolicy()


class CellServices(ReportServices, Protocol):
    """What a cell needs of its runtime.

    Attributes:
        admission: the bounds on what waits, of all actors together.
        quarantined: the actors that take no requests, and why.
        failures: when actors have failed of late, the latest actor last.
        storage_health: what fails about the storage.
    """

    admission: Admission
    quarantined: dict[ActorId, ActorQuarantined]
    failures: dict[ActorId, tuple[float, ...]]
    storage_health: StorageHealth

    @property
    def storage(self) -> IActorStateStorage:
        """Where turns and state are kept."""
        ...

    @property
    def tasks(self) -> TaskOwner:
        """Who starts tasks."""
        ...

    @property
    def client(self) -> IActorClient:
        """Who sends what actors ask each other."""
        ...

    @property
    def submit(self) -> "Callable[[Turn, WhenBusy], Turn | asyncio.Future[Turn]]":
        """What accepts a request of an actor to another."""
        ...

    def policy(self, actor_id: ActorId) -> Policy:
        """The policy of the actor's type."""
        ...

    async def store_dead_letter(
        self, turn: Turn, error: AgentRuntimeError, attempts: int
    ) -> None:
        """Store a request that no type here takes as a dead letter of its actor."""
        ...

    def answer(
        self, work: Callable[[], Coroutine[Any, Any, T]], name: str
    ) -> "asyncio.Future[T]":
        """Start work for a caller; a future of its result, which a stop ends, too."""
        ...

    async def make_actor(
        self, actor_id: ActorId, context: InProcessActorContext
    ) -> IActor:
        """Call the factory of the actor's type."""
        ...

    def dispose(self, actor: IActor, name: str) -> None:
        """Dispose of an actor object, in the background, bounded."""
        ...

    def kept_turn(self, actor_id: ActorId, message_id: str) -> Turn | None:
        """A turn that ended a moment ago."""
        ...

    def went_busy(self, cell: Any) -> None:
        """It has an open turn."""
        ...

    def went_idle(self, cell: Any) -> None:
        """It has no open turn and no task."""
        ...

    def left(self, cell: Any) -> None:
        """It no longer owns the actor."""
        ...


class CommitTarget(Protocol):
    """The actor in memory, as a commit sees it."""

    epoch: int
    etag: str | None
    values: dict[str, Encoded]
    mailbox: Mailbox
    gone: BaseException | None

    def committed(self, change: ActorChange, counted: Turn | None) -> None:
        """The change is stored."""
        ...

    def ended(self, turn: Turn, end: TurnEnd) -> None:
        """The turn's end is stored."""
        ...

    def lose(self, turn: Turn, error: BaseException) -> None:
        """The turn's end cannot be stored or told."""
        ...

    def drop_activation(self, error: BaseException | None = None) -> None:
        """Let the actor object go."""
        ...


def end_of_turn(
    cell: CommitTarget,
    turn: Turn,
    end: TurnEnd,
    commit_id: str,
    staged: Staged | None,
) -> tuple[ActorChange, Turn | None]:
    """The change that ends a turn, and the turn whose attempt it counts.

    The attempt of the next turn is counted in the same write, so that it can run
    without a write of its own.
    """
    if turn.started_at is None:  # it never ran: no state, no new version
        return ActorChange(epoch=cell.epoch, ended=(end,)), None
    change = ActorChange(cell.epoch, cell.etag, commit_id)
    change.ended = (end,)
    if staged is not None:
        if staged.tells:
            for number, tell in enumerate(staged.tells):
                staged.set[tell_key(turn.position, number)] = tell.value
            change.add_marks = OUTBOX_MARKS
        change.set, change.remove = staged.set, staged.remove or ()
        if staged.entries:
            end.entries = b"[" + b",".join(staged.entries) + b"]"
    if cell.mailbox:
        following = cell.mailbox[0]
        if not following.attempts:
            change.started = (following.position,)
            return change, following
    return change, None


class Commit:
    """A write that ends a turn and did not succeed at once."""

    __slots__ = ("_cell", "_change", "_counted", "_services", "_turn")

    def __init__(
        self,
        cell: CommitTarget,
        services: CellServices,
        turn: Turn,
        change: ActorChange,
        counted: Turn | None,
    ) -> None:
        self._cell = cell
        self._services = services
        self._turn = turn
        self._change = change
        self._counted = counted

    def follow(
        self, written: "asyncio.Future[tuple[TurnRecord, ...]]"
    ) -> "asyncio.Future[None] | None":
        """Tell the cell how it went; a future of the turn's end, which never fails."""
        written.add_done_callback(self._written)
        return self._turn.wait()

    def _succeeded(self) -> None:
        self._cell.committed(self._change, self._counted)
        self._cell.ended(self._turn, self._change.ended[0])

    def _written(self, written: "asyncio.Future[tuple[TurnRecord, ...]]") -> None:
        if written.cancelled():
            error: BaseException | None = StorageClosed(self._services.storage.location)
        else:
            error = written.exception()
        if self._turn.ended:
            return  # given up before the storage answered
        if error is None:
            self._succeeded()
            return
        self._services.storage_health.note(error)
        resolving = self._resolve(error)
        task = self._services.tasks.spawn(
            resolving, name=f"commit {self._turn.actor_id}"
        )
        # Also if the task was cancelled before its first step.
        task.add_done_callback(self._resolved)

    def _resolved(self, _: "asyncio.Task[None]") -> None:
        turn = self._turn
        if not turn.ended:  # the sender must not wait for ever
            unknown = OutcomeUnknown(turn.actor_id, turn.message_id)
            self._cell.lose(turn, unknown)

    async def _resolve(self, refused: BaseException) -> None:
        """Decide what a refused or unanswered write means for the turn."""
        error = await self._retry(refused)
        if self._turn.error is not None:
            return  # given up meanwhile
        stored = await self._stored_end() if isinstance(error, Conflict) else None
        if error is None:
            self._succeeded()
        elif stored is not None:  # it has ended already, and that is final
            self._cell.ended(self._turn, stored)
        elif isinstance(error, TooLarge | Conflict):
            await self._fail_instead(error)
        else:
            self._cell.lose(self._turn, error)

    async def _retry(self, error: BaseException) -> BaseException | None:
        """Send it again while that may help; None as soon as it is in the store.

        What comes back else says how it was refused, or that its fate is not known:
        no look into the storage succeeded, or a write may still be on its way there.
        """
        on_its_way = False
        for delay in self._services.settings.commit_retries:
            found = await self._took_effect(error)
            if found:
                return None
            if not may_pass(error):
                return error
            on_its_way = on_its_way or isinstance(error, OutcomeUnknown)
            await self._services.environment.sleep(delay)
            if self._cell.gone is not None:
                # Another cell owns the actor, with the same epoch: it
                # has seen the turn open, and may run it by now.
                return self._unknown(error) if found is None or on_its_way else error
            try:
                await self._services.storage.apply(self._turn.actor_id, self._change)
            except StorageError as again:
                self._services.storage_health.note(again)
                error = again
            else:
                return None
        found = await self._took_effect(error)
        if found:
            return None
        doubtful = may_pass(error) and (found is None or on_its_way)
        return self._unknown(error) if doubtful else error

    def _unknown(self, error: BaseException) -> OutcomeUnknown:
        if isinstance(error, OutcomeUnknown):
            return error
        unknown = OutcomeUnknown(self._turn.actor_id, self._turn.message_id)
        unknown.__cause__ = error
        return unknown

    async def _took_effect(self, error: BaseException) -> bool | None:
        """Whether the write is in the store although an error came back.

        None: the storage does not say.
        """
        if not isinstance(error, StorageError):
            return False
        try:
            if self._change.new_etag is not None:
                storage = self._services.storage
                state = await storage.read_state(self._turn.actor_id, ())
                return state.etag == self._change.new_etag
            stored = await self._stored_end()
        except StorageError:
            return None
        # Another host may have ended it too, with the same status.
        return stored == self._change.ended[0]

    async def _stored_end(self) -> TurnEnd | None:
        """The turn's end as it is in the store, None while it is open there."""
        turn = self._turn
        record = await self._services.storage.find_turn(turn.actor_id, turn.message_id)
        if record is None or not record.status.is_final:
            return None
        return TurnEnd(
            position=record.position,
            status=record.status,
            result=record.result,
            ended_at=record.ended_at or 0.0,
            entries=record.entries,
        )

    async def _fail_instead(self, error: StorageError) -> None:
        # What the turn wrote cannot be stored, but that it failed can.
        cell, turn = self._cell, self._turn
        if cell.gone is not None:
            cell.lose(turn, error)
            return
        end = TurnEnd(
            position=turn.position,
            status=RequestStatus.FAILED,
            result=encode({"error": describe_error(error)}),
            ended_at=self._services.environment.wall_clock(),
        )
        change = ActorChange(epoch=cell.epoch, ended=(end,))
        try:
            await self._services.storage.apply(turn.actor_id, change)
            if isinstance(error, Conflict):  # somebody wrote the state beside us
                claim = await self._services.storage.claim(turn.actor_id)
                cell.epoch, cell.etag = claim.epoch, claim.etag
                cell.values = _rebased(cell.values, claim.values)
        except (StorageError, ActorOwnedElsewhere) as refused:
            cell.lose(turn, self._unknown(refused) if may_pass(refused) else refused)
            return
        cell.drop_activation(error)
        cell.ended(turn, end)


def _rebased(
    known: dict[str, Encoded], stored: dict[str, Encoded]
) -> dict[str, Encoded]:
    """The stored values, but the runtime's own as this host knows them.

    Nobody else writes those, and some may have been written after the claim was called.
    """
    others = {key: value for key, value in stored.items() if key[:1] != "$"}
    return others | {key: value for key, value in known.items() if key[:1] == "$"}


def may_pass(error: BaseException) -> bool:
    """Whether the same write may succeed a moment later; sending it twice is safe."""
    if isinstance(error, OutcomeUnknown):
        return True
    transient = isinstance(error, StorageError) and error.retryable
    return transient and not isinstance(error, Conflict)
