"""What happens inside a runtime, as frozen values, and who may listen.

Listeners get values, never live actors. An event of a kind is made only if somebody
listens to that kind, so watching costs nothing while nobody watches. Events of one
actor are in order. `at` is POSIX seconds, durations are seconds.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class _ActorEvent:
    type_name: str
    instance_id: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorActivated(_ActorEvent):
    """An actor object was made; `duration` includes reading its state."""

    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorPassivated(_ActorEvent):
    """An idle actor object was dropped; its state stays stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRestarted(_ActorEvent):
    """An actor object was dropped after an error; the next request makes a new one."""

    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorQuarantineBegan(_ActorEvent):
    """An actor failed too often and takes no requests until it is revived."""

    failures: int
    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRevived(_ActorEvent):
    """Somebody ended an actor's quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorDeleted(_ActorEvent):
    """An actor and all it had stored were deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAccepted(_ActorEvent):
    """A request was stored; `waiting` counts the requests not yet started."""

    message_id: str
    position: int
    method: str
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStarted(_ActorEvent):
    """A turn begins; `waited` is the time since its acceptance."""

    message_id: str
    position: int
    method: str
    metadata: Mapping[str, str]
    waited: float
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnProgressed(_ActorEvent):
    """One update; `data` is the progress itself and must not be changed."""

    message_id: str
    position: int
    sequence: int
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded(_ActorEvent):
    """A turn has its final status, stored; `duration` is None if it never started."""

    message_id: str
    position: int
    status: str
    duration: float | None
    waiting: int
    error_type: str | None = None


RuntimeEvent: TypeAlias = (
    ActorActivated
    | ActorPassivated
    | ActorRestarted
    | ActorQuarantineBegan
    | ActorRevived
    | ActorDeleted
    | RequestAccepted
    | TurnStarted
    | TurnProgressed
    | TurnEnded
)

EVENT_KINDS: tuple[type[RuntimeEvent], ...] = (
    ActorActivated,
    ActorPassivated,
    ActorRestarted,
    ActorQuarantineBegan,
    ActorRevived,
    ActorDeleted,
    RequestAccepted,
    TurnStarted,
    TurnProgressed,
    TurnEnded,
)


class RuntimeListener(Protocol):
    """Somebody who is told what happens, on the runtime's loop.

    A listener must be quick and must not wait. One that raises is logged and never
    hurts a turn.
    """

    @property
    def kinds(self) -> frozenset[type[RuntimeEvent]]:
        """The kinds it wants; asked once, when it is added."""
        ...

    def on_event(self, event: RuntimeEvent) -> None:
        """Something happened."""
        ...


class TurnScope(Protocol):
    """A listener that wraps turns, for trace contexts.

    Attaching a context from an event fails, because events are made in other contexts
    than the one that the turn runs in; so the runtime enters the scope itself.
    """

    def outgoing_headers(self) -> Mapping[str, str]:
        """Headers for a request that is being sent, from the sender's context."""
        ...

    def turn_scope(self, started: TurnStarted) -> AbstractContextManager[None]:
        """Entered and left inside the task that runs the turn."""
        ...
