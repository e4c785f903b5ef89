"""What the driver of a kill loop and the host it kills say to each other."""

from typing import Any, NamedTuple, TypeAlias

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)

# --- to the host


class Ask(NamedTuple):
    """Send a request, and tell what becomes of it."""

    actor_id: ActorId
    message_id: str
    params: Any


class Look(NamedTuple):
    """Tell the answer of an earlier request."""

    actor_id: ActorId
    message_id: str


class Release(NamedTuple):
    """Let the turns go on that hold."""


class Stop(NamedTuple):
    """Stop in peace."""


Order: TypeAlias = Ask | Look | Release | Stop

# --- from the host


class Ready(NamedTuple):
    """The runtime is running."""


class Accepted(NamedTuple):
    """The client gave a handle: the request is acknowledged."""

    actor_id: ActorId
    message_id: str


class Ran(NamedTuple):
    """An actor has begun to process a request."""

    actor_id: ActorId
    message_id: str


class Answered(NamedTuple):
    """The client gave a response."""

    actor_id: ActorId
    message_id: str
    status: RequestStatus
    data: Any


class Refused(NamedTuple):
    """The client raised an error."""

    actor_id: ActorId
    message_id: str
    error: str


Report: TypeAlias = Ready | Accepted | Ran | Answered | Refused
