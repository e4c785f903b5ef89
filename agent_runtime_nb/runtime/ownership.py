"""Owning an actor: the claim, what an earlier owner left open, and losing the actor.

Every write of one actor is handed to the storage in the order in which it happens in
memory; the storage keeps that order.
"""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from agent_runtime_nb._base.json_codec import describe_error, encode
from agent_runtime_nb._base.tasks import failed, see
from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    DeadLetter,
    NotRunning,
    OutcomeUnknown,
    Unavailable,
)
from agent_runtime_nb.runtime.commit import CellServices, Policy
from agent_runtime_nb.runtime.mailbox import Mailbox
from agent_runtime_nb.runtime.outbox import Outbox
from agent_runtime_nb.runtime.reporter import Reporter
from agent_runtime_nb.runtime.tell import OUTBOX_MARK, stored_tells
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime_abstractions import (
    OWN_KEYS,
    ActorId,
    Encoded,
    JsonValue,
    RequestStatus,
    WhenBusy,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    TurnRecord,
)
from agent_runtime_nb.supervision import is_dead_letter

Written = asyncio.Future[tuple[TurnRecord, ...]]
Waiting = tuple[Turn, WhenBusy, asyncio.Future[Turn]]
FAILED = RequestStatus.FAILED
INTERRUPTED = RequestStatus.INTERRUPTED

DEAD = f"{OWN_KEYS}dead/"
"""What begins the state keys of the notes of dead letters; their message ids follow."""
DEAD_MARK = "dead"
DEAD_MARKS = frozenset({DEAD_MARK})


def interrupted_data(why: str) -> dict[str, JsonValue]:
    """The response's data of a turn whose host went away."""
    return {"error": {"type": "Interrupted", "message": why, "retryable": True}}


class LeftBehind(NamedTuple):
    """How a turn ends that a dead host left behind."""

    status: RequestStatus
    data: JsonValue
    is_dead_letter: bool = False


def end_left_behind(
    actor_id: ActorId, record: TurnRecord, policy: Policy
) -> LeftBehind | None:
    """How a turn ends that a dead host left behind; None: it runs again."""
    if policy.on_interrupted == "rerun":
        if not is_dead_letter(policy.restart, record.attempts):
            return None
        error = DeadLetter(actor_id, record.attempts)
        return LeftBehind(FAILED, {"error": describe_error(error)}, True)  # noqa: FBT003 - a field
    status = FAILED if policy.on_interrupted == "fail" else INTERRUPTED
    return LeftBehind(status, interrupted_data("its host went away before it ended"))


class Ownership(ABC):
    """The part of an actor in memory that claims it."""

    # There may be many, and what is near in memory is quick to reach.
    __slots__ = (
        "_accepting",
        "_before_claim",
        "_claiming",
        "_claiming_since",
        "_clock",
        "_feeds",
        "_is_confined",
        "_new_id",
        "_outbox",
        "_services",
        "_storage",
        "_task",
        "_wall_clock",
        "actor_id",
        "epoch",
        "etag",
        "gone",
        "listeners",
        "mailbox",
        "name",
        "open",
        "position",
        "report",
        "running",
        "values",
    )

    def __init__(self, actor_id: ActorId, services: CellServices) -> None:
        self.actor_id = actor_id
        self.name = f"actor {actor_id}"
        self.values: dict[str, Encoded] = {}
        self.epoch = 0
        self.etag: str | None = None
        self.position = 0  # the last one given
        self.open: dict[str, Turn] = {}  # accepted or being accepted, not ended
        self.running: Turn | None = None
        self.mailbox = Mailbox()
        self.report = Reporter(actor_id, services, self.mailbox)
        self.gone: BaseException | None = None  # why it no longer owns the actor
        self._task: asyncio.Task[None] | None = None  # what runs the actor
        self._services = services
        self._storage = services.storage
        self._clock = services.environment.clock
        self._wall_clock = services.environment.wall_clock
        self._new_id = services.environment.new_id
        self.listeners = services.listeners
        self._feeds = services.feeds
        self._before_claim: list[Waiting] | None = []
        self._claiming: asyncio.Future[Claim] | None = None
        self._claiming_since = 0.0
        self._accepting: dict[Turn, asyncio.Future[Turn]] = {}  # who waits for it
        self._outbox: Outbox | None = None
        # In quarantine when it was made: nothing runs here. Several cells of one actor
        # may be so at once, as each is its maker's alone.
        self._is_confined = actor_id in services.quarantined

    @abstractmethod
    def submit(self, turn: Turn, when_busy: WhenBusy) -> "Turn | asyncio.Future[Turn]":
        """Accept a request."""

    @abstractmethod
    def received(self, turn: Turn, *, interrupt: bool) -> None:
        """A turn is stored and in the mailbox."""

    @abstractmethod
    def forget(self, turn: Turn) -> None:
        """A turn is no longer open."""

    @abstractmethod
    def end(
        self, turn: Turn, status: RequestStatus, result: Encoded, staged: None
    ) -> object:
        """Store the end of a turn."""

    @abstractmethod
    def lose(self, turn: Turn, error: BaseException) -> None:
        """What is stored of a turn can no longer be told."""

    @abstractmethod
    def lose_everything(self, error: BaseException) -> None:
        """This host no longer knows what is stored of the actor."""

    def being_accepted(self, turn: Turn) -> "asyncio.Future[Turn] | None":
        """A future of its acceptance, None if that has ended."""
        return self._accepting.get(turn)

    @property
    def waiting(self) -> int:
        """Requests that wait: for the claim, to be stored, for the turns before them."""
        before_claim = self._before_claim or ()
        return len(self.mailbox) + len(self._accepting) + len(before_claim)

    @property
    def is_claimed(self) -> bool:
        """Whether its claim has ended, well or not."""
        return self._before_claim is None

    def open_turns(self) -> list[Turn]:
        """The accepted turns, the running one first, then in order."""
        running = [] if self.running is None else [self.running]
        return running + list(self.mailbox)

    def write(self, change: ActorChange) -> Written:
        """Hand a change to the storage, in order; a storage that raises has refused."""
        try:
            return self._storage.apply(self.actor_id, change)
        except BaseException as error:
            return failed(error)

    def note(self, change: ActorChange) -> Written:
        """Write values of the runtime's own, beside whatever turn is on its way.

        Memory has them from the call on, as whoever looks next writes after this. What
        is refused is taken back; of what may be stored or not, memory has the more:
        the value that was set, and the one that was removed.
        """
        values, before = self.values, dict[str, Encoded | None]()
        for key in (*(change.set or ()), *change.remove):
            before[key] = values.pop(key, None)
        values.update(change.set or {})
        written = self.write(change)
        if written.done():
            self._noted(change, before, written)
        else:
            written.add_done_callback(partial(self._noted, change, before))
        return written

    def _noted(
        self, change: ActorChange, before: dict[str, Encoded | None], written: Written
    ) -> None:
        error = None if written.cancelled() else written.exception()
        unknown = written.cancelled() or isinstance(error, OutcomeUnknown)
        if error is None and not unknown:
            return
        for key, value in before.items():
            given = None if change.set is None else change.set.get(key)
            if self.values.get(key) is not given:
                continue  # somebody has written it since
            if value is not None and not (unknown and given is not None):
                self.values[key] = value
            elif not unknown:
                self.values.pop(key, None)

    # --- claim

    def claim(self, take_over: bool) -> None:  # noqa: FBT001 - as of the storage's verb
        """Become the actor's owner."""
        try:
            claimed = self._storage.claim(self.actor_id, take_over=take_over)
        except BaseException as error:
            claimed = failed(error)
        self._claiming, self._claiming_since = claimed, self._clock()
        if claimed.done():
            self._claimed(claimed)
        else:
            claimed.add_done_callback(self._claimed)

    async def ready(self) -> None:
        """Wait until the claim has ended.

        Raises:
            ActorOwnedElsewhere, StorageError: if this host is not the owner.
        """
        if self._before_claim is not None and self._claiming is not None:
            await asyncio.wait([self._claiming])
        if self.gone is not None:
            raise self.gone

    def _claimed(self, claimed: "asyncio.Future[Claim]") -> None:
        waiting = self._end_wait_for_claim()
        self._claiming = None
        try:
            claim = claimed.result()
        except BaseException as error:  # it belongs to the senders
            self._services.storage_health.note(error)
            self.leave(error)
            for _, _, future in waiting:
                fail_sender(future, error)
            return
        if self.gone is not None:  # nobody waits any more
            return
        self.epoch, self.etag = claim.epoch, claim.etag
        self.values, self.position = claim.values, claim.next_position - 1
        if tells := stored_tells(claim.values):
            self.outbox.add(tells)
        elif OUTBOX_MARK in claim.marks:  # its last owner went before the mark did
            self.outbox.unmark()
        if not self._is_confined:  # else they stay open until it is revived
            for record in claim.open_turns:
                self._left_behind(record)
        self._submit_waiting(waiting)

    def hold_requests(self) -> None:
        """Let requests wait as before the claim, until `release_requests`: it is being written."""
        self._before_claim, self._claiming_since = [], math.inf
        self._services.went_busy(self)

    def release_requests(self) -> None:
        """Take up the requests that came since `hold_requests`."""
        waiting, self._before_claim = self._before_claim or [], None
        self._submit_waiting(waiting)

    def _submit_waiting(self, waiting: list[Waiting]) -> None:
        for turn, when_busy, future in waiting:
            forward(partial(self.submit, turn, when_busy), future)
        if not self.open:
            self._services.went_idle(self)

    def _end_wait_for_claim(self) -> list[Waiting]:
        waiting, self._before_claim = self._before_claim or [], None
        for turn, _, _ in waiting:  # what each is now, is seen next
            self._services.admission.release(turn)
        return waiting

    @property
    def has_tells(self) -> bool:
        """Whether it has something to tell, or may have."""
        return self._outbox is not None and not self._outbox.is_empty

    @property
    def outbox(self) -> Outbox:
        """What this actor tells others."""
        if self._outbox is None:
            self._outbox = Outbox(self, self._services, self._outbox_emptied)
        return self._outbox

    def _outbox_emptied(self) -> None:
        if self.gone is None and not self.open and self._task is None:
            self._services.went_idle(self)

    def _left_behind(self, record: TurnRecord) -> None:
        """A dead host left a turn: it ends, or it waits for its next run."""
        turn = Turn.of_record(self.actor_id, record)
        self.open[turn.message_id] = turn  # whoever sends it again, attaches
        end = end_left_behind(
            self.actor_id, record, self._services.policy(self.actor_id)
        )
        if end is None:
            turn.earlier_attempts, turn.attempts = record.attempts, 0
            turn.deadline = self._clock() + self._services.settings.waiting_timeout
            self._services.went_busy(self)
            self.mailbox.append(turn)
            self.received(turn, interrupt=False)
            return
        status, data, is_dead = end
        if is_dead:
            self._note_dead_letter(record)
        self._services.went_busy(self)
        self.end(turn, status, encode(data), None)

    def _note_dead_letter(self, record: TurnRecord) -> None:
        # Before its end is written: were it after, a dead host could lose the note.
        error = DeadLetter(self.actor_id, record.attempts)
        see(self.note(self._dead_letter(record, error)))

    def _dead_letter(self, record: TurnRecord, error: AgentRuntimeError) -> ActorChange:
        note = {"attempts": record.attempts, "at": self._wall_clock()}
        values = {DEAD + record.message_id: encode({**note, "reason": str(error)})}
        return ActorChange(self.epoch, set=values, add_marks=DEAD_MARKS)

    async def store_dead_letter(
        self, turn: Turn, error: AgentRuntimeError, attempts: int
    ) -> None:
        """Store a request that nobody takes: it has failed, and is a dead letter."""
        self.position = position = self.position + 1
        now, result = self._wall_clock(), encode({"error": describe_error(error)})
        record = TurnRecord(position, turn.message_id, FAILED, attempts, turn.body)
        record.result, record.accepted_at, record.ended_at = result, now, now
        change = self._dead_letter(record, error)
        change.accepted = (record,)
        await self.note(change)

    def leave(self, error: BaseException) -> None:
        """Own the actor no longer; requests are refused with the error."""
        self.refuse_requests(error)
        self._services.left(self)

    def refuse_requests(self, error: BaseException) -> None:
        """Accept no requests any more; they are refused with the error."""
        if self.gone is None:
            self.gone = as_reported(error)

    def enforce_storage_timeout(self, now: float, limit: float) -> None:
        """A claim or an accept that the storage never answers has an unknown fate."""
        if self._before_claim is not None and now - self._claiming_since > limit:
            silent = Unavailable(self._storage.location, "no answer")
            self._services.storage_health.note(silent)
            self.refuse_senders(silent)
        oldest = min(
            (
                since
                for turn in self.open.values()
                if (since := turn.writing_since) is not None
            ),
            default=now,
        )
        if now - oldest > limit:
            silent = Unavailable(self._storage.location, "no answer")
            self._services.storage_health.note(silent)
            # Whatever else is on its way waits for the same silent storage.
            for turn in list(self.open.values()):
                if not turn.ended:
                    self.lose(turn, OutcomeUnknown(self.actor_id, turn.message_id))

    def refuse_senders(self, error: BaseException) -> None:
        """Answer those who wait for the claim, and let no one else in."""
        waiting = self._end_wait_for_claim()
        self.leave(error)
        for _, _, future in waiting:
            fail_sender(future, error)


def as_reported(error: BaseException) -> BaseException:
    """What others are told of an error: a task that was cancelled, a stop has ended."""
    return NotRunning("stopped") if isinstance(error, asyncio.CancelledError) else error


def fail_sender(future: "asyncio.Future[Turn]", error: BaseException) -> None:
    """Tell a sender that waits, if it still does."""
    if not future.done():
        future.set_exception(as_reported(error))
        future.exception()  # seen, even if the sender has gone away


def forward(
    make: "Callable[[], Turn | asyncio.Future[Turn]]", future: "asyncio.Future[Turn]"
) -> None:
    """Give a future what `make` gives, now or later, or its error."""
    try:
        turn = make()
    except BaseException as error:  # it belongs to who waits
        fail_sender(future, error)
        return
    if not isinstance(turn, Turn):
        turn.add_done_callback(lambda done: forward(done.result, future))
    elif not future.done():
        future.set_result(turn)
