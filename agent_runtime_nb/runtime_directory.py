"""`RuntimeDirectory`: what views are told of a runtime's actors, and what they may do.

The companion of `IActorClient`: that one talks to actors, this one looks at them and
manages them. One object may be both.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Cursor,
    Page,
    RequestStatus,
    TurnView,
)
from agent_runtime_nb.runtime_events import RuntimeEvent


@dataclass(frozen=True, slots=True)
class ActorView:
    """What a view of an actor starts from.

    Attributes:
        actor_id: the actor.
        turns: ended turns, oldest first, the newest page or the one asked for.
        running: the turn being processed, if any.
        waiting: the accepted turns behind it, in order.
        cursor: pass it to `watch_actor` to go on from here without a gap.
        more: whether there are older turns than the first of `turns`.
        info: the conversation's name and parent; only with the newest page.
    """

    actor_id: ActorId
    turns: tuple[TurnView, ...]
    running: TurnView | None
    waiting: tuple[TurnView, ...]
    cursor: Cursor
    more: bool
    info: "ConversationInfo | None" = None


@dataclass(frozen=True, slots=True)
class ActorSummary:
    """An actor, as a list shows it.

    `activity` is "running", "waiting" (accepted, not started), "idle" (in memory),
    "stored", or "quarantined" (it failed too often and takes no requests); `turns` counts accepted turns; durations are seconds.
    """

    actor_id: ActorId
    activity: Literal["running", "waiting", "idle", "stored", "quarantined"]
    waiting: int = 0
    turns: int | None = None
    message_id: str | None = None
    running_for: float | None = None
    last_latency: float | None = None
    last_status: RequestStatus | None = None


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """A stored conversation, as a menu shows it.

    Attributes:
        actor_id: its actor.
        name: what people call it; None: nobody gave it a name.
        parent: the conversation that it was forked from, if any.
        forked_at: the last request that it has in common with its parent.
        forked_on: when it was forked, if that is known.
        discarded: the requests whose turns were taken out of what the model sees.
        allowed_tools: the tools that need no approval any more in this conversation.
    """

    actor_id: ActorId
    name: str | None = None
    parent: ActorId | None = None
    forked_at: str | None = None
    forked_on: datetime | None = None
    discarded: tuple[str, ...] = ()
    allowed_tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetterInfo:
    """A request that is not begun again, and why.

    Its hosts died on it too often, or it was told to an actor of a type that nobody
    registers.
    """

    actor_id: ActorId
    message_id: str
    attempts: int
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ActorTypeInfo:
    """A registered actor type."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """How the runtime is; `status` is "ok", "degraded" or "stopped".

    "degraded" while the storage fails, the event loop is late by more than 2 s, or an
    actor is in quarantine, and once a list has met a stored id that is none (it is
    passed over); `detail` says in plain words which.
    `resident` counts the actors in memory, `running` the turns that run, `waiting` the
    requests that wait for theirs; `loop_lag` is in seconds.
    `since` is when it was made: what is older was stored by an earlier one.
    """

    status: Literal["ok", "degraded", "stopped"]
    storage: str
    loop_lag: float
    resident: int
    running: int
    waiting: int
    detail: str = ""
    since: datetime | None = None


class RuntimeDirectory(ABC):
    """Look at actors and manage them; never waits for a turn. Any thread, any loop.

    What is in flight when the runtime stops, a watch among it, ends: with its result if
    that is known by the end of the stop, else with NotRunning. What the verb had begun
    to write may then be stored or not: look after the next start before it is repeated.
    """

    @abstractmethod
    async def actor_types(self) -> tuple[ActorTypeInfo, ...]:
        """The registered types, by name."""

    @abstractmethod
    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorSummary]:
        """Actors in memory or in the storage, in the order of their ids, in pages."""

    @abstractmethod
    async def read_actor(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> ActorView:
        """The newest turns of an actor, or those before the position `before`.

        An actor that never had a request gives an empty view.
        """

    @abstractmethod
    async def delete_actor(self, actor_id: ActorId) -> bool:
        """Cancel what runs or waits, drop the actor and delete all it has stored.

        Returns:
            Whether there was anything.
        """

    # --- requests

    @abstractmethod
    async def withdraw(self, actor_id: ActorId, message_id: str) -> bool:
        """Cancel a request that still waits; whether it did.

        It ends as CANCELLED and was never begun, so the model never sees it.
        """

    @abstractmethod
    async def run_again(self, actor_id: ActorId, message_id: str) -> str:
        """Send a request that has ended once more, as a new one in its place.

        The old record stays as it is; what the model sees has the new turn instead
        of it (metadata `retry_of`). Asked twice for the same request, it is sent once;
        to run the new one again, name the new one.

        Returns:
            The new request's message id.

        Raises:
            RequestNotFound: if it was never accepted.
            InvalidRequest: if it has not ended, or its text is no longer kept.
        """

    @abstractmethod
    async def discard(self, actor_id: ActorId, message_id: str) -> bool:
        """Take a turn that did not complete out of what the model sees.

        The record stays, readable. Returns False if that was done before.

        Raises:
            RequestNotFound: if it was never accepted.
            InvalidRequest: if it has not ended, or has completed.
        """

    @abstractmethod
    async def dead_letters(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[DeadLetterInfo]:
        """Requests that are not begun again, actor by actor.

        Pages are of actors, at most 1,000.
        """

    @abstractmethod
    async def requeue(self, actor_id: ActorId, message_id: str) -> str:
        """As `run_again` for a dead letter, which then is none any more.

        Raises:
            RequestNotFound: if there is no such dead letter.
        """

    @abstractmethod
    async def revive(self, actor_id: ActorId) -> bool:
        """End the quarantine of an actor; whether it was in quarantine."""

    # --- conversations

    @abstractmethod
    async def list_conversations(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ConversationInfo]:
        """Stored conversations with their names, in the order of their ids.

        A page has at most 1,000.
        """

    @abstractmethod
    async def rename(self, actor_id: ActorId, name: str | None) -> None:
        """Give a conversation a name for people (1 to 200 characters), or none.

        Raises:
            RequestNotFound: if nothing is stored of it.
        """

    @abstractmethod
    async def disallow_tool(self, actor_id: ActorId, tool: str) -> bool:
        """Ask again before a tool runs that was allowed for the whole conversation.

        It holds from the next turn on. False: the tool was not allowed.
        """

    @abstractmethod
    async def fork(
        self,
        actor_id: ActorId,
        *,
        at: str | None = None,
        before: str | None = None,
        to: ActorId | None = None,
    ) -> ActorId:
        """Make a new conversation that begins as this one; its parent is noted.

        It has the name (else the id) of this one with " (fork)" behind it.

        Args:
            actor_id: the conversation; it stays as it is.
            at: the last request that is copied; None: all that have ended.
            before: the first request that is not copied, instead of `at`.
            to: the new conversation; named by itself if None.

        Raises:
            RequestNotFound: if the request is none of this conversation.
            InvalidRequest: if `to` exists, the model's service keeps the
                conversation, or the actor's state of then is not known.
        """

    @abstractmethod
    async def import_turns(
        self,
        actor_id: ActorId,
        turns: Sequence[TurnView],
        name: str | None = None,
        discarded: Sequence[str] = (),
    ) -> None:
        """Make a new conversation of ended turns, in their order.

        Args:
            actor_id: the new conversation.
            turns: its turns.
            name: what people call it.
            discarded: the message ids of those that the model does not see.

        Raises:
            InvalidRequest: if it exists, a turn has not ended, or one that is
                discarded is not among them.
        """

    @abstractmethod
    async def health(self) -> Health:
        """How the runtime is."""

    @abstractmethod
    def watch_events(self) -> AsyncIterator[tuple[RuntimeEvent, ...]]:
        """What happens in the runtime from now on, in order, in batches."""
