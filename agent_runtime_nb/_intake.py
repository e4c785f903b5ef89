"""How requests get in: their bounds, the accept.

Requests that come before the claim has ended wait for it, in the order of their calls.
"""

import asyncio
from functools import partial

from agent_runtime_nb._mailbox import Turn
from agent_runtime_nb._ownership import (
    Ownership,
    Waiting,
    Written,
    forward,
)
from agent_runtime_nb._tasks import failed
from agent_runtime_nb._wire import same_request
from agent_runtime_nb.exceptions import (
    ActorBusy,
    ConversationFull,
    MailboxFull,
    MessageIdReused,
    StaleEpoch,
)
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
        around = self._around
        limit = around.settings.turn_limit
        if limit is not None and self.position >= limit:
            return around.tasks.spawn(
                self._only_known(turn, limit), name=self.name, awaited=True
            )
        if opened:
            self._check_room(turn, when_busy)
        else:
            turn.attempts = 1  # it runs at once: that counts in the same write
            if self._task is None:
                around.went_busy(self)
        self.position = turn.position = position = self.position + 1
        turn.accepted_at = accepted_at = self._wall_clock()
        now, limit = self._clock(), turn.time_limit
        turn.deadline = now + (
            around.settings.waiting_timeout if limit is None else limit
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

    async def _only_known(self, asked: Turn, limit: int) -> Turn:
        """The turn that is stored under this id; there is no room for a new one."""
        record = await self._storage.find_turn(self.actor_id, asked.message_id)
        if record is None:
            raise ConversationFull(self.actor_id, limit)
        known = self.open.get(record.message_id)
        return self._attach(known, asked.body) if known else self._stored(asked, record)

    def _submit_later(
        self, turn: Turn, when_busy: WhenBusy, waiting: list[Waiting]
    ) -> "asyncio.Future[Turn]":
        future: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        waiting.append((turn, when_busy, future))
        self._around.went_busy(self)
        return future

    def _accepted_later(
        self, turn: Turn, when_busy: WhenBusy, written: Written
    ) -> "asyncio.Future[Turn]":
        future: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._accepting[turn] = future

        def answer(done: Written) -> None:
            self._accepting.pop(turn, None)
            turn.writing_since = None
            forward(partial(self._accepted, turn, when_busy, done), future)

        written.add_done_callback(answer)
        return future

    def _check_room(self, turn: Turn, when_busy: WhenBusy) -> None:
        if when_busy == "reject":
            raise ActorBusy(self.actor_id)
        around, settings = self._around, self._around.settings
        waiting = len(self.open) - 1  # one of them runs, or is about to
        if waiting >= settings.mailbox_limit:
            retry_after = self.report.retry_after()
            raise MailboxFull(self.actor_id, settings.mailbox_limit, retry_after)
        size = len(turn.body)
        if (
            around.waiting >= settings.waiting_limit
            or around.waiting_bytes + size > settings.waiting_bytes
        ):
            raise MailboxFull("the runtime", around.waiting, self.report.retry_after())
        turn.had_to_wait = True
        around.waiting += 1
        around.waiting_bytes += size

    def _attach(self, known: Turn, body: Encoded) -> Turn:
        if known.body and not same_request(known.body, body):
            raise MessageIdReused(self.actor_id, known.message_id)
        return known

    def _accepted(self, turn: Turn, when_busy: WhenBusy, written: Written) -> Turn:
        try:
            known = written.result()
        except BaseException as error:
            self._around.trouble.note(error)
            self.forget(turn)
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
        kept = self._around.kept_turn(self.actor_id, record.message_id)
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
