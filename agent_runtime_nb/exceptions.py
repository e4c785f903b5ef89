"""Every error of the package, as one tree.

    AgentRuntimeError
    ├── InvalidActorId              (ValueError)
    ├── InvalidRequest              (ValueError)
    ├── InvalidAgent                (TypeError)
    ├── AgentNameTaken              (ValueError)
    ├── UnknownActorType            (LookupError)
    ├── RequestNotFound             (LookupError)
    ├── MissingExtra                (ImportError)
    ├── NotRunning
    ├── RemoteError
    ├── ActorStartFailed
    ├── ActorOwnedElsewhere
    ├── ActorBeingDeleted
    ├── ActorBusy
    ├── ActorQuarantined
    ├── ConversationFull
    ├── DeadlockDetected
    ├── DeadLetter
    ├── MailboxFull
    ├── MessageIdReused
    ├── NotCompleted
    ├── OutsideTurn
    ├── MailboxDrained
    ├── NotJson                     (TypeError)
    ├── DeadlineExceeded            (TimeoutError)
    ├── LoopBlocked                 (TimeoutError)
    ├── TurnFailed
    └── StorageError
        ├── Conflict
        ├── StaleEpoch
        ├── Unavailable
        ├── Full
        ├── ReadOnly
        ├── Corrupt
        ├── StorageLost
        ├── TooLarge
        ├── SchemaTooNew
        ├── StorageClosed
        ├── OutcomeUnknown
        └── CopyFailed

A constructor takes facts and makes the message, so the wording lives here and is
tested here. `retryable` says whether the same call may succeed later, unchanged.
"""

import difflib
from collections.abc import Iterable

_LONGEST_REASON = 10_000


def reason_of(error: BaseException) -> str:
    """What an error says, as text that can always be stored: never fails itself."""
    try:
        text = str(error)
    except Exception:
        text = ""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text[:_LONGEST_REASON] or type(error).__name__


class AgentRuntimeError(Exception):
    """The root of all errors that this package raises on purpose."""

    retryable = False


class InvalidActorId(AgentRuntimeError, ValueError):
    """A type name or instance id that cannot name an actor."""

    def __init__(self, part: str, value: object, rule: str) -> None:
        shown = ascii(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{part} {shown} is not valid: {rule}")
        self.part = part
        self.value = value


class InvalidRequest(AgentRuntimeError, ValueError):
    """A request whose parameters have the wrong shape; `field` names the place."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InvalidAgent(AgentRuntimeError, TypeError):
    """An object that cannot be hosted as an agent."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what} cannot be hosted as an agent: {fix}")


class AgentNameTaken(AgentRuntimeError, ValueError):
    """Two different agents that ask for the same name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"two agents are named {name!r}: "
            f'give them names of your own, start({{"{name}-2": agent, ...}})'
        )
        self.name = name


class UnknownActorType(AgentRuntimeError, LookupError):
    """A type name that nobody registered; the message names the closest ones first."""

    def __init__(self, type_name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(type_name, names, n=3, cutoff=0.5)
        ordered = close + [name for name in names if name not in close]
        there = ", ".join(ordered) or "none yet, give one to start(agent)"
        super().__init__(
            f"no agent or actor type is named {type_name!r}; known: {there}"
        )
        self.type_name = type_name


class RequestNotFound(AgentRuntimeError, LookupError):
    """A message id that this actor never accepted; "": nothing is stored of it."""

    def __init__(self, actor_id: object, message_id: str) -> None:
        known = f"has never accepted a request {message_id!r}"
        super().__init__(
            f"{actor_id} {known if message_id else 'is not stored: nothing was said'}"
        )
        self.message_id = message_id


class MissingExtra(AgentRuntimeError, ImportError):
    """An optional part whose packages are not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"{module!r} is not installed; it comes with: "
            f'pip install "agent-runtime-nb[{extra}]"'
        )
        self.extra = extra


class NotRunning(AgentRuntimeError):
    """The runtime was not started yet, or was stopped."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the runtime is {state}; call start() first")
        self.state = state


class RemoteError(AgentRuntimeError):
    """A server that cannot be reached, or that did not answer as agreed."""

    def __init__(self, where: str, problem: str, *, retryable: bool = False) -> None:
        super().__init__(f"the server {where}: {problem}")
        self.where = where
        self.problem = problem
        self.retryable = retryable


class ActorStartFailed(AgentRuntimeError):
    """The factory of an actor type raised; the cause is chained."""

    def __init__(self, actor_id: object, cause: BaseException) -> None:
        super().__init__(
            f"the factory of {actor_id} raised "
            f"{type(cause).__name__}: {reason_of(cause)}"
        )
        self.__cause__ = cause
        self.actor_id = actor_id


class ActorOwnedElsewhere(AgentRuntimeError):
    """Another living host owns the actor; `owner` describes it."""

    retryable = True

    def __init__(self, actor_id: object, owner: str) -> None:
        super().__init__(
            f"{actor_id} is owned by {owner}, which is alive; use another "
            "conversation, stop that host, or take it over: start(take_over=True)"
        )
        self.actor_id = actor_id
        self.owner = owner


class ActorBeingDeleted(AgentRuntimeError):
    """The actor and what it has stored are being deleted."""

    retryable = True

    def __init__(self, actor_id: object) -> None:
        super().__init__(f"{actor_id} is being deleted; send again when it is gone")
        self.actor_id = actor_id


class ActorBusy(AgentRuntimeError):
    """The actor is in a turn and the request asked not to wait."""

    retryable = True

    def __init__(self, actor_id: object) -> None:
        super().__init__(f'{actor_id} is in a turn and when_busy="reject" was asked')
        self.actor_id = actor_id


class ActorQuarantined(AgentRuntimeError):
    """An actor that failed too often in a short time; it alone takes no requests."""

    def __init__(self, actor_id: object, failures: int, last: str) -> None:
        agent, _, conversation = str(actor_id).partition("/")
        super().__init__(
            f"{actor_id} is in quarantine: it failed {failures} times in a row, last "
            f"with {last}; mend the cause, then revive it: "
            f"await rt.revive({agent!r}, conversation={conversation!r})"
        )
        self.actor_id = actor_id
        self.failures = failures
        self.last = last


class ConversationFull(AgentRuntimeError):
    """A conversation that has as many turns as it may have; nothing was accepted."""

    def __init__(self, actor_id: object, limit: int) -> None:
        super().__init__(
            f"{actor_id} has {limit} turns, which is the limit; "
            "begin a new conversation, or fork this one before some of them"
        )
        self.actor_id = actor_id
        self.limit = limit


class DeadlockDetected(AgentRuntimeError):
    """Asks that wait for each other; `actors` in the order in which they wait."""

    def __init__(self, actors: Iterable[object]) -> None:
        self.actors = tuple(map(str, actors))
        super().__init__(
            f"{' -> '.join(self.actors)}: these asks would wait for each other for "
            "ever; use tell(), which does not wait, or ask from outside the turn"
        )


class DeadLetter(AgentRuntimeError):
    """A request whose host died each time it was begun; it is not begun again."""

    def __init__(self, actor_id: object, attempts: int) -> None:
        super().__init__(
            f"{actor_id} was begun {attempts} times with this request and its host died "
            "each time; requeue() sends it again"
        )
        self.actor_id = actor_id
        self.attempts = attempts


class MailboxFull(AgentRuntimeError):
    """There are as many waiting requests as there may be; nothing was accepted.

    `who` is the actor, or the runtime with all its actors together.
    """

    retryable = True

    def __init__(self, who: object, limit: int, retry_after: float) -> None:
        super().__init__(
            f"{who} has {limit} requests waiting; "
            f"try again in {retry_after:.0f} s or withdraw one"
        )
        self.actor_id = who
        self.limit = limit
        self.retry_after = retry_after


class MessageIdReused(AgentRuntimeError):
    """A message id that this actor knows with another body."""

    def __init__(self, actor_id: object, message_id: str) -> None:
        super().__init__(
            f"{actor_id} already has a request {message_id!r} with another body; "
            "use a new message id"
        )
        self.message_id = message_id


class NotCompleted(AgentRuntimeError):
    """An actor that left a request without completing it."""

    def __init__(self, actor_id: object, how: str) -> None:
        super().__init__(f"{actor_id} {how} without completing the request")


class OutsideTurn(AgentRuntimeError):
    """A call that is only allowed while the actor processes a request."""

    def __init__(self, actor_id: object, call: str) -> None:
        super().__init__(
            f"{call} of {actor_id} was called outside a turn: take a message from "
            "watch_messages() first, and do not use it after complete_request()"
        )


class MailboxDrained(AgentRuntimeError):
    """An actor that asks for messages again after `watch_messages` has ended."""

    def __init__(self, actor_id: object) -> None:
        super().__init__(
            f"{actor_id} asked for messages after watch_messages() had ended: return "
            "from run(); it is started again when there is work"
        )


class NotJson(AgentRuntimeError, TypeError):
    """A value that cannot be stored as JSON; `what` names the value."""

    def __init__(self, what: str, reason: object) -> None:
        super().__init__(f"{what} cannot be stored as JSON: {reason}")
        self.what = what


class DeadlineExceeded(AgentRuntimeError, TimeoutError):
    """A request that was not finished in time."""

    retryable = True

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what} did not finish within {seconds:g} s")
        self.seconds = seconds


class LoopBlocked(AgentRuntimeError, TimeoutError):
    """The runtime's event loop did not answer: a cell or an agent blocks it."""

    retryable = True

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the runtime's event loop has not answered for {seconds:g} s: blocking "
            'code runs on it; wait for that cell, or use start(..., loop="thread")'
        )
        self.seconds = seconds


class TurnFailed(AgentRuntimeError):
    """A turn that ended otherwise than COMPLETED, for callers who want the answer.

    `status` is the final status in lower case, `error_type` and `detail` are the
    reason as the turn recorded it, `response` is the recorded response.
    """

    def __init__(
        self,
        status: str,
        error_type: str,
        detail: str,
        *,
        retryable: bool = False,
        response: object = None,
    ) -> None:
        reason = ": ".join(part for part in (error_type, detail) if part)
        ended = "failed" if status == "failed" else f"was {status}"
        super().__init__(f"the turn {ended}" + (f": {reason}" if reason else ""))
        self.status = status
        self.error_type = error_type
        self.detail = detail
        self.retryable = retryable
        self.response = response


class StorageError(AgentRuntimeError):
    """The root of what a storage raises, whatever is behind it."""


class Conflict(StorageError):
    """The stored version is not the expected one; nothing was written."""

    retryable = True

    def __init__(self, actor_id: object, expected: object, actual: object) -> None:
        super().__init__(
            f"{actor_id} was changed by somebody else: "
            f"expected version {expected}, found {actual}"
        )
        self.expected = expected
        self.actual = actual


class StaleEpoch(StorageError):
    """The writer no longer owns the actor; nothing was written."""

    def __init__(self, actor_id: object, epoch: int | None, owner: str) -> None:
        super().__init__(
            f"{actor_id} is owned by {owner} now; a write with the old epoch "
            f"{epoch} was refused"
        )
        self.actor_id = actor_id
        self.owner = owner


class Unavailable(StorageError):
    """The storage cannot be reached; `retry_after` is in seconds."""

    retryable = True

    def __init__(self, where: str, reason: object, retry_after: float = 5.0) -> None:
        super().__init__(f"the storage {where} cannot be reached: {reason}")
        self.retry_after = retry_after


class Full(StorageError):
    """There is no space left; nothing was written, reading still works."""

    retryable = True

    def __init__(self, where: str) -> None:
        super().__init__(f"the storage {where} has no space left; free some")


class ReadOnly(StorageError):
    """The storage can be read but not written."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"the storage {where} is read-only; choose a writable place with "
            "start(storage=...) or AGENT_RUNTIME_STORAGE"
        )


class Corrupt(StorageError):
    """What is stored cannot be trusted; it was left as it is."""

    def __init__(self, where: str, finding: str) -> None:
        super().__init__(
            f"the storage {where} is damaged ({finding}); it was left untouched: "
            "move it away to start afresh, or restore a backup"
        )


class StorageLost(StorageError):
    """The files of an open storage were deleted, moved or replaced under it.

    No write is acknowledged any more, and nothing is read. What is found under that
    name at the next start counts; a write that failed so may or may not be in it.
    """

    def __init__(self, where: str, finding: str) -> None:
        super().__init__(
            f"the storage {where} was taken away while it was open ({finding}); nothing "
            "is stored any more: put it right, then stop and start again"
        )


class TooLarge(StorageError):
    """A value over the storage's limit; sizes are in bytes, unless `unit` says else."""

    def __init__(
        self, what: str, size: int, limit: int, *, unit: str = "bytes"
    ) -> None:
        super().__init__(f"{what} has {size:,} {unit}; the limit is {limit:,}")
        self.size = size
        self.limit = limit


class SchemaTooNew(StorageError):
    """A newer version of this package wrote the storage; it was left untouched."""

    def __init__(self, where: str, found: int, known: int) -> None:
        super().__init__(
            f"the storage {where} has schema {found}, this version knows up to "
            f"{known}; upgrade agent-runtime-nb"
        )
        self.found = found
        self.known = known


class StorageClosed(StorageError):
    """The storage is not open: open() was not called, or close() was."""

    def __init__(self, where: str) -> None:
        super().__init__(f"the storage {where} is not open")


class OutcomeUnknown(StorageError):
    """A write was sent and no answer came: it may or may not have happened."""

    def __init__(self, actor_id: object, commit: str) -> None:
        super().__init__(
            f"it is not known whether commit {commit} of {actor_id} took effect; "
            "ask for the request again with its message id"
        )


class CopyFailed(StorageError):
    """A copy of a storage that stopped; what was copied so far is whole."""

    def __init__(self, source: str, target: str, why: str) -> None:
        super().__init__(f"the copy of {source} to {target} stopped: {why}")
