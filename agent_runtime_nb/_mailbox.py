"""The accepted requests of one actor: their order, their bound, who waits for each."""

import asyncio
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from agent_runtime_nb._updates import TurnLog
from agent_runtime_nb._wire import decode
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    Encoded,
    RequestStatus,
    WhenBusy,
)
from agent_runtime_nb.storage_abstractions import (
    TurnRecord,
)

CancelReason: TypeAlias = Literal["cancelled", "deadline", "stopped", "stale"]


_TIDY_EVERY = 32


class Submission(NamedTuple):
    """A request that a client hands in, encoded where it was made.

    `own_id` says that the id comes from the caller and may be known already.
    """

    actor_id: ActorId
    message_id: str
    body: Encoded
    own_id: bool
    when_busy: WhenBusy
    timeout: float | None


class Turn:
    """One request in memory, from its acceptance to its end.

    Ends exactly once: with a status and a stored result, or with an `error` if what is
    stored cannot be told. Holds the result as text, so it can be given out many times.
    """

    __slots__ = (
        "_waiters",
        "accepted_at",
        "actor_id",
        "attempts",
        "body",
        "cancel_reason",
        "committing",
        "deadline",
        "ended_at",
        "error",
        "log",
        "message_id",
        "position",
        "result",
        "started_at",
        "status",
        "time_limit",
        "writing_since",
    )

    def __init__(
        self, actor_id: ActorId, position: int, message_id: str, body: Encoded
    ) -> None:
        self.actor_id = actor_id
        self.position = position
        self.message_id = message_id
        self.body = body
        self.attempts = 0
        self.accepted_at = 0.0  # POSIX
        self.started_at: float | None = None  # monotonic
        self.deadline = 0.0  # monotonic
        self.time_limit: float | None = None  # what the caller allowed
        self.committing = False
        self.cancel_reason: CancelReason | None = None
        self.writing_since: float | None = None  # monotonic, while the storage is asked
        self.log: TurnLog | None = None
        self.status = RequestStatus.PENDING
        self.result: Encoded | None = None
        self.ended_at = 0.0  # POSIX
        self.error: BaseException | None = None
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
        return self.status is not RequestStatus.PENDING or self.error is not None

    def end(self, status: RequestStatus, result: Encoded | None, at: float) -> None:
        """It has its final status, and that is stored."""
        # The status last: other threads look at it first.
        self.result, self.ended_at, self.status = result, at, status
        self._wake()

    def lose(self, error: BaseException) -> None:
        """What is stored cannot be told; whoever waits gets the error."""
        self.error = error
        self._wake()

    def _wake(self) -> None:
        if self.log is not None:
            self.log.end()
        waiters = self._waiters
        if waiters is not None:
            self._waiters = None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def wait(self) -> "asyncio.Future[None] | None":
        """A future of the end, one for each call; None if it has ended."""
        if self.status is not RequestStatus.PENDING or self.error is not None:
            return None
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiters is None:
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
        return ActorResponseMessage(
            message_id=self.message_id,
            timestamp=datetime.fromtimestamp(self.ended_at, UTC),
            sender_id=self.actor_id,
            status=self.status,
            data=None if self.result is None else decode(self.result),
        )


class Mailbox(list[Turn]):
    """The waiting turns of one actor, oldest first.

    A list: there are few (the mailbox is bounded), mostly one, and an empty deque takes
    600 bytes for each idle actor.
    """

    __slots__ = ()

    def peek(self) -> Turn | None:
        """The next turn, left where it is."""
        return self[0] if self else None

    def take(self) -> Turn | None:
        """The next turn, taken out."""
        return self.pop(0) if self else None

    def put_back(self, turn: Turn) -> None:
        """Put a turn that was taken in front of the others again."""
        self.insert(0, turn)

    def withdraw(self, turn: Turn) -> bool:
        """Take one turn out, wherever it stands; whether it was there."""
        if turn not in self:
            return False
        self.remove(turn)
        return True
