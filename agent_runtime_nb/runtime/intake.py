"""Accepting requests: their bounds, and the write that stores them.

Requests that come before the claim has ended wait for it, in the order of their calls
and within the same bounds.
"""

import asyncio
from functools import partial

from agent_runtime_nb._base.json_codec import same_request
from agent_runtime_nb._base.tasks import failed
from agent_runtime_nb.exceptions import (
    ActorBusy,
    ConversationFull,
    MessageIdReused,
    StaleEpoch,
)
from agent_runtime_nb.runtime.ownership import (
    Ownership,
    Waiting,
    Written,
    forward,
)
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime_abstractions import Encoded, RequestStatus, WhenBusy
from agent_runtime_nb.storage_abstractions import ActorChange, TurnRecord

_PENDING = RequestStatus.PENDING


class Intake(Ownership):
    """The part of an actor in memory that accepts requests."""

    __slots__ = ()

    def submit(self, turn: Turn, when_busy: WhenBusy) -> "Turn | asyncio.Future[Turn]":
        """Accept a request; the turn once it is stored, or a future of that.

        Raises:
            MailboxFull, ActorBusy, ConversationFull, MessageIdReused, StorageError:
                nothing was accepted.
        """
        if self.gone is not None:
            raise self.gone.with_traceback(None)
        if self._before_claim is not None:
            return self._submit_later(turn, when_busy, self._before_claim)
        message_id, opened = turn.message_id, self.open
        if message_id in opened:
            known = self._attach(opened[message_id], turn.body)
            return self._accepting.get(known) or known
        services = self._services
        limit = services.settings.turn_limit
        if limit is not None and self.position >= limit:
            return self._only_known(turn, limit)
        if opened:
            if when_busy == "reject":
                raise ActorBusy(self.actor_id)
            # One of them runs, or is about to.
            services.admission.admit(turn, len(opened) - 1, self.report.retry_after())
        else:
            turn.attempts = 1  # it runs at once: that counts in the same write
            if self._task is None:
                services.went_busy(self)
        self.position = turn.position = position = self.position + 1
        turn.accepted_at = accepted_at = self._wall_clock()
        now, limit = self._clock(), turn.time_limit
        turn.deadline = now + (
            services.settings.waiting_timeout if limit is None else limit
        )
        opened[message_id] = turn
        record = TurnRecord(position, message_id, _PENDING, turn.attempts, turn.body)
        record.accepted_at = accepted_at
        change = ActorChange(self.epoch)
        change.accepted = (record,)
        try:  # as write() does, without its frame
            written = self._storage.apply(self.actor_id, change)
        except BaseException as error:
            written = failed(error)
        if written.done():
            return self._accepted(turn, when_busy, written)
        turn.writing_since = now
        return self._accepted_later(turn, when_busy, written)

    def _only_known(self, asked: Turn, limit: int) -> "asyncio.Future[Turn]":
        """The turn that is stored under this id; there is no room for a new one."""
        admission = self._services.admission
        admission.admit(asked, 0, self.report.retry_after())
        find = partial(self._find_known, asked, limit)
        looking = self._services.answer(find, self.name)
        looking.add_done_callback(lambda _: admission.release(asked))
        return looking

    async def _find_known(self, asked: Turn, limit: int) -> Turn:
        record = await self._storage.find_turn(self.actor_id, asked.message_id)
        if record is None:
            raise ConversationFull(self.actor_id, limit)
        known = self.open.get(record.message_id)
        return self._attach(known, asked.body) if known else self._stored(asked, record)

    def _submit_later(
        self, turn: Turn, when_busy: WhenBusy, waiting: list[Waiting]
    ) -> "asyncio.Future[Turn]":
        for known, its_when_busy, its_future in waiting:
            if known.message_id == turn.message_id and its_when_busy == when_busy:
                self._attach(known, turn.body)
                return its_future
        # As behind open turns: one of them runs once the claim has ended.
        ahead = len(waiting) - 1
        self._services.admission.admit(turn, ahead, self.report.retry_after())
        future: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        waiting.append((turn, when_busy, future))
        self._services.went_busy(self)
        return future

    def _accepted_later(
        self, turn: Turn, when_busy: WhenBusy, written: Written
    ) -> "asyncio.Future[Turn]":
        future: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._accepting[turn] = future
        admission, runs_at_once = self._services.admission, not turn.waits
        admission.count(turn)

        def answer(done: Written) -> None:
            self._accepting.pop(turn, None)
            turn.writing_since = None
            if runs_at_once:
                admission.release(turn)
            forward(partial(self._accepted, turn, when_busy, done), future)

        written.add_done_callback(answer)
        return future

    def _attach(self, known: Turn, body: Encoded) -> Turn:
        if known.body and not same_request(known.body, body):
            raise MessageIdReused(self.actor_id, known.message_id)
        return known

    def _accepted(self, turn: Turn, when_busy: WhenBusy, written: Written) -> Turn:
        try:
            known = written.result()
        except BaseException as error:
            self._services.storage_health.note(error)
            self.forget(turn)
            if turn.error is not None:  # given up before, which was told
                raise turn.error.with_traceback(None) from None
            turn.lose(error)
            if isinstance(error, StaleEpoch):
                self.lose_everything(error)
            raise
        if known:
            earlier = self._stored_turn(turn, known[0])
            if earlier.ended:
                return earlier
            # Stored before, but the answer was lost: nobody runs it yet.
            turn.position, turn.attempts = earlier.position, earlier.attempts
            turn.accepted_at = earlier.accepted_at
        if self.gone is not None:
            turn.lose(self.gone)
        if turn.error is not None:  # given up before the storage answered
            self.forget(turn)
            raise turn.error.with_traceback(None)
        self.mailbox.append(turn)
        self.received(turn, interrupt=when_busy == "interrupt")
        return turn

    def _stored(self, asked: Turn, record: TurnRecord) -> Turn:
        # One that ended a moment ago still has its update log.
        kept = self._services.kept_turn(self.actor_id, record.message_id)
        return self._attach(kept or Turn.of_record(self.actor_id, record), asked.body)

    def _stored_turn(self, asked: Turn, record: TurnRecord) -> Turn:
        """The turn that is stored under the id of the one that is being accepted."""
        try:
            known = self._stored(asked, record)
        except MessageIdReused as error:
            self.forget(asked)
            asked.lose(error)
            raise
        if known.ended:
            self.forget(asked)
            # Whoever asked with the same id meanwhile holds `asked`.
            asked.end(known.status, known.result, known.ended_at)
        return known
