"""`RuntimeDirectory`: what views are told of a runtime's actors, and what they may do.

The companion of `IActorClient`: that one talks to actors, this one looks at them and
manages them. One object may be both.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
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
    """

    actor_id: ActorId
    turns: tuple[TurnView, ...]
    running: TurnView | None
    waiting: tuple[TurnView, ...]
    cursor: Cursor
    more: bool


@dataclass(frozen=True, slots=True)
class ActorSummary:
    """An actor, as a list shows it.

    `activity` is "running", "waiting" (accepted, not started), "idle" (in memory) or
    "stored"; `turns` counts accepted turns; durations are seconds.
    """

    actor_id: ActorId
    activity: Literal["running", "waiting", "idle", "stored"]
    waiting: int = 0
    turns: int | None = None
    message_id: str | None = None
    running_for: float | None = None
    last_latency: float | None = None
    last_status: RequestStatus | None = None


@dataclass(frozen=True, slots=True)
class ActorTypeInfo:
    """A registered actor type."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """How the runtime is; `status` is "ok", "degraded" or "stopped"."""

    status: Literal["ok", "degraded", "stopped"]
    storage: str
    loop_lag: float
    resident: int
    running: int
    waiting: int
    detail: str = ""


class RuntimeDirectory(ABC):
    """Look at actors and manage them; never waits for a turn. Any thread, any loop."""

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

    @abstractmethod
    async def health(self) -> Health:
        """How the runtime is."""

    @abstractmethod
    def watch_events(self) -> AsyncIterator[tuple[RuntimeEvent, ...]]:
        """What happens in the runtime from now on, in order, in batches."""
