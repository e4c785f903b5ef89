"""A request on its way through an actor, from its acceptance to its end."""

import asyncio
from typing import Literal, TypeAlias

from agent_runtime_nb._base.json_codec import decode
from agent_runtime_nb.runtime.turn_log import TurnLog
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage_abstractions import (
    TurnRecord,
)

CancelReason: TypeAlias = Literal["cancelled", "deadline", "stopped", "stale"]
_TIDY_EVERY = 32
_PENDING = RequestStatus.PENDING


class Turn:
    """One request in memory, from its sender to its end.

    Made by whoever sends it, where it is sent; its position is 0 until an actor takes
    it in. Ends exactly once: with a status and a stored result, or with an `error` if what is
    stored cannot be told. Holds the result as text, so it can be given out many times.
    """

    __slots__ = (
        "_waiter",
        "_waiters",
        "accepted_at",
        "actor_id",
        "attempts",
        "body",
        "cancel_reason",
        "committing",
        "deadline",
        "earlier_attempts",
        "ended_at",
        "error",
        "log",
        "message_id",
        "position",
        "result",
        "started_at",
        "status",
        "time_limit",
        "waits",
        "writing_since",
    )

    def __init__(
        self,
        actor_id: ActorId,
        position: int,
        message_id: str,
        body: Encoded,
        time_limit: float | None = None,
    ) -> None:
        self.actor_id = actor_id
        self.position = position
        self.message_id = message_id
        self.body = body
        self.attempts = 0  # of this process; 0: the next run is still to be counted
        self.earlier_attempts = 0
        self.accepted_at = 0.0  # POSIX
        self.started_at: float | None = None  # monotonic
        self.deadline = 0.0  # monotonic
        self.time_limit = time_limit  # seconds, what the caller allowed
        self.waits = False  # it counts for the runtime's bounds; see `Admission`
        self.committing = False
        self.cancel_reason: CancelReason | None = None
        self.writing_since: float | None = None  # monotonic, while the storage is asked
        self.log: TurnLog | None = None
        self.status: RequestStatus = _PENDING
        self.result: Encoded | None = None
        self.ended_at = 0.0  # POSIX
        self.error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None  # nearly always the only one
        self._waiters: list[asyncio.Future[None]] | None = None

    @classmethod
    def of_record(cls, actor_id: ActorId, record: TurnRecord) -> "Turn":
        """A turn as it is stored."""
        turn = cls(actor_id, record.position, record.message_id, record.body or b"")
        turn.attempts = record.attempts
        turn.accepted_at = record.accepted_at
        turn.status = record.status
        turn.result = record.result
        turn.ended_at = record.ended_at or 0.0
        return turn

    def __repr__(self) -> str:
        return f"<turn {self.position} {self.message_id}: {self.status.value}>"

    @property
    def ended(self) -> bool:
        """Whether it has its final status, or an error instead of it."""
        return self.status is not _PENDING or self.error is not None

    def end(self, status: RequestStatus, result: Encoded | None, at: float) -> None:
        """It has its final status, and that is stored."""
        # The status last: other threads look at it first.
        self.result, self.ended_at, self.status = result, at, status
        waiter = self._waiter
        if self.log is not None or self._waiters is not None:
            self._wake()
        elif waiter is not None:  # nearly always
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def lose(self, error: BaseException) -> None:
        """What is stored cannot be told; whoever waits gets the error."""
        self.error = error
        self._wake()

    def _wake(self) -> None:
        if self.log is not None:
            self.log.end()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if self._waiters is not None:
            waiters, self._waiters = self._waiters, None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def wait(
        self, loop: asyncio.AbstractEventLoop | None = None
    ) -> "asyncio.Future[None] | None":
        """A future of the end, one for each call; None if it has ended.

        `loop` is the running one, for whoever has it at hand: looking it up costs a
        system call.
        """
        if self.status is not _PENDING or self.error is not None:
            return None
        loop = loop or asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        if self._waiter is None:
            self._waiter = waiter
        elif self._waiters is None:
            self._waiters = [waiter]
        else:
            if len(self._waiters) % _TIDY_EVERY == 0:  # of those who left
                self._waiters = [one for one in self._waiters if not one.done()]
            self._waiters.append(waiter)
        return waiter

    def response(self) -> ActorResponseMessage:
        """The final response, a new one each time.

        Raises:
            BaseException: the `error`, if there is one.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)
        result = self.result
        data = None if result is None else decode(result)
        return ActorResponseMessage(
            self.message_id, self.actor_id, self.status, data, self.ended_at
        )
