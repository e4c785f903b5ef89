"""Ending turns: the one write of each end, and what follows if it cannot be made.

A turn ends exactly once. What the storage refuses for good is lost to its sender with
the reason, and the whole actor in memory is given up with it: the next request claims
the actor again, which interrupts what stayed open.
"""

import asyncio
import logging
from abc import abstractmethod
from typing import cast

from agent_runtime_nb._base.json_codec import describe_error, encode
from agent_runtime_nb._base.tasks import failed
from agent_runtime_nb.exceptions import (
    ActorStartFailed,
    AgentRuntimeError,
    DeadlineExceeded,
    OutcomeUnknown,
)
from agent_runtime_nb.runtime.activation import Staged
from agent_runtime_nb.runtime.commit import Commit, end_of_turn
from agent_runtime_nb.runtime.intake import Intake
from agent_runtime_nb.runtime.ownership import as_reported, interrupted_data
from agent_runtime_nb.runtime.tell import stored_tells
from agent_runtime_nb.runtime.turn import CancelReason, Turn
from agent_runtime_nb.runtime_abstractions import Encoded, JsonValue, RequestStatus
from agent_runtime_nb.storage_abstractions import ActorChange, TurnEnd

_log = logging.getLogger(__name__)

STAMPS: dict[CancelReason, RequestStatus] = {
    "cancelled": RequestStatus.CANCELLED,
    "deadline": RequestStatus.FAILED,
    "stopped": RequestStatus.INTERRUPTED,
    "stale": RequestStatus.INTERRUPTED,
}
_TRIM_EVERY = 100
_PENDING = RequestStatus.PENDING


class Ending(Intake):
    """The part of an actor in memory that ends turns."""

    __slots__ = ()

    etag: str | None  # said again, or the assignments here would narrow it

    @abstractmethod
    def drop_activation(self, error: BaseException | None = None) -> None:
        """Let the actor object go."""

    @abstractmethod
    def stop_run(self) -> None:
        """Cancel the task that runs the actor, unless that is the present one."""

    def _final_data(self, turn: Turn, data: JsonValue) -> JsonValue:
        """What a cancelled turn answers: the reason, beside what the actor gave."""
        settings = self._services.settings
        if turn.cancel_reason == "deadline":
            never_ran = turn.started_at is None
            limit = settings.waiting_timeout if never_ran else settings.turn_timeout
            error = DeadlineExceeded("the request", turn.time_limit or limit)
            said: dict[str, JsonValue] = {"error": describe_error(error)}
        elif turn.cancel_reason in ("stopped", "stale"):
            said = interrupted_data("its host stopped before it ended")
        else:
            return data
        if isinstance(data, dict):
            return {**cast("dict[str, JsonValue]", data), **said}
        return said

    def stamped(self, turn: Turn, data: JsonValue) -> tuple[RequestStatus, JsonValue]:
        """Status and data of a turn that was cancelled, for the reason it has."""
        status = STAMPS[turn.cancel_reason or "cancelled"]
        return status, self._final_data(turn, data)

    def end_cancelled(self, turn: Turn) -> "asyncio.Future[None] | None":
        """Store that a turn was cancelled."""
        status, data = self.stamped(turn, None)
        return self.end(turn, status, encode(data), None)

    def fail(self, turn: Turn, error: BaseException) -> "asyncio.Future[None] | None":
        """Store that a turn failed."""
        # Our own errors say all there is to know, those of user code have a place.
        ours = isinstance(error, AgentRuntimeError)
        if not ours or isinstance(error, ActorStartFailed):
            _log.error("%s failed in %s", self.name, turn.message_id, exc_info=error)
        result = encode({"error": describe_error(error)})
        return self.end(turn, RequestStatus.FAILED, result, None)

    def end(
        self, turn: Turn, status: RequestStatus, result: Encoded, staged: Staged | None
    ) -> "asyncio.Future[None] | None":
        """Store the end of a turn, once; a future of that, None if it is done."""
        if turn.committing or turn.status is not _PENDING or turn.error is not None:
            return None
        turn.committing = True
        turn.writing_since = None
        end = TurnEnd(turn.position, status, result, self._wall_clock())
        commit_id = self._new_id()
        change, counted = end_of_turn(self, turn, end, commit_id, staged)
        if change.add_marks:
            # At once: until it is known what became of them, the mark must stay.
            self.outbox.on_their_way.add(turn.position)
        try:  # as write() does, without its frame
            written = self._storage.apply(self.actor_id, change)
        except BaseException as error:
            written = failed(error)
        if written.done() and written.exception() is None:
            if change.new_etag is not None or counted is not None:
                self.committed(change, counted)
            self.ended(turn, end)
            return None
        turn.writing_since = self._clock()
        return Commit(self, self._services, turn, change, counted).follow(written)

    def committed(self, change: ActorChange, counted: Turn | None) -> None:
        """A change of the state is stored."""
        if change.new_etag is not None:
            self.etag = change.new_etag
            if change.set:
                self.values.update(change.set)
            for key in change.remove:
                self.values.pop(key, None)
            if change.add_marks and change.set is not None:
                self.outbox.add(stored_tells(change.set))
        if counted is not None:
            counted.attempts = 1

    def ended(self, turn: Turn, end: TurnEnd) -> None:
        """The turn's end is stored."""
        self.forget(turn)
        turn.writing_since = None
        if self._outbox is not None:
            self._outbox.settled(turn.position)
        report, started = self.report, turn.started_at
        if started is not None:
            report.latency = self._clock() - started
        report.last_status = end.status
        turn.end(end.status, end.result, end.ended_at)
        if turn.log is not None or self.listeners.any or self._feeds:
            report.ended(turn)
        if turn.position % _TRIM_EVERY == 0:
            self._trim(turn.position)

    def _trim(self, position: int) -> None:
        keep = self._services.settings.keep_results
        if position > keep:
            trimming = self._storage.trim(self.actor_id, keep)
            self._services.tasks.spawn(trimming, name=f"trim {self.actor_id}")

    def lose(self, turn: Turn, error: BaseException) -> None:
        """The turn's end could not be stored: it stays open for a later claim."""
        _log.error("%s: %s is lost to its sender: %s", self.name, turn, error)
        self.lose_everything(error)  # first: it stops the task if the turn runs
        if not turn.ended:
            self._lose(turn, error)

    def _lose(self, turn: Turn, error: BaseException) -> None:
        self.forget(turn)
        turn.lose(error)
        sender = self._accepting.pop(turn, None)
        if sender is not None and not sender.done():
            sender.set_exception(error)
            sender.exception()  # seen, even if the sender has gone away
        self.report.lost(turn, error)

    def lose_everything(self, error: BaseException) -> None:
        """What is in memory no longer follows what is stored: give it all up.

        Whoever comes next makes a new cell, which claims the actor again.
        """
        self.leave(error)
        running = self.running
        if running is not None and not running.committing:
            running.cancel_reason = "stale"
            self.stop_run()
        self.drop_activation(error)
        for turn in list(self.open.values()):
            self.mailbox.withdraw(turn)
            if not turn.committing:  # else its own write will say how it ended
                self._lose(turn, error)

    def forget(self, turn: Turn) -> None:
        """A turn is no longer open."""
        self.open.pop(turn.message_id, None)
        if self.running is turn:
            self.running = None
        if turn.waits:
            self._services.admission.release(turn)
        if not self.open:
            if self.gone is not None:
                self._services.left(self)
            elif self._task is None:
                self._services.went_idle(self)

    def abandon(self, error: BaseException) -> None:
        """Own the actor no longer; whoever still waits gets the error."""
        self.refuse_senders(error)
        self.drop_activation()
        for turn in list(self.open.values()):
            self.mailbox.withdraw(turn)
            unknown = OutcomeUnknown(self.actor_id, turn.message_id)
            on_its_way = turn.committing or turn in self._accepting
            self._lose(turn, unknown if on_its_way else as_reported(error))
