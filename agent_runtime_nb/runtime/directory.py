"""`LocalDirectory`: shows and manages the actors of a runtime in this process.

Works from any thread and any loop; the work itself is done on the runtime's loop.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

from agent_runtime_nb._base.loop_bridge import LoopBridge
from agent_runtime_nb.runtime import forks, requests, views
from agent_runtime_nb.runtime.catalog import Catalog
from agent_runtime_nb.runtime.client import BatchWatch
from agent_runtime_nb.runtime.health import problems
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime_abstractions import ActorId, Page, TurnView, WhenBusy
from agent_runtime_nb.runtime_directory import (
    ActorSummary,
    ActorTypeInfo,
    ActorView,
    ConversationInfo,
    DeadLetterInfo,
    Health,
    RuntimeDirectory,
)
from agent_runtime_nb.runtime_events import RuntimeEvent

T = TypeVar("T")


class LocalDirectory(RuntimeDirectory):
    """The directory part of a runtime; see `RuntimeDirectory` for its methods."""

    _actors: Catalog
    _lag: float  # seconds by which the loop was late at the last look

    @property
    @abstractmethod
    def state(self) -> str:
        """Where the runtime is in its life."""

    @property
    @abstractmethod
    def bridge(self) -> LoopBridge:
        """The way to the runtime's loop."""

    @abstractmethod
    def check_running(self) -> None:
        """Raise NotRunning unless it runs; on its loop."""

    @abstractmethod
    def submit(self, turn: Turn, when_busy: WhenBusy) -> "Turn | asyncio.Future[Turn]":
        """Accept a request."""

    async def _on_loop(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        name: str,
        *,
        is_long: bool = False,  # then it bounds its own steps
    ) -> T:
        actors = self._actors
        bounded = work if is_long else partial(actors.within_bounds, work)

        def begin() -> "asyncio.Future[T]":
            self.check_running()
            return actors.answer(bounded, name)

        return await self.bridge.call(begin)

    async def _at_once(self, work: Callable[[], T]) -> T:
        def do() -> T:
            self.check_running()
            return work()

        return await self.bridge.call(do)

    # --- look

    async def actor_types(self) -> tuple[ActorTypeInfo, ...]:
        types = self._actors.types
        return tuple(
            ActorTypeInfo(name, types[name].description) for name in sorted(types)
        )

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorSummary]:
        return await self._on_loop(
            lambda: views.list_actors(self._actors, type_name, after, limit),
            "list actors",
        )

    async def read_actor(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> ActorView:
        return await self._on_loop(
            lambda: views.read_actor(self._actors, actor_id, before, limit),
            "read actor",
        )

    async def health(self) -> Health:
        if self.state == "not started":
            return self._health()
        return await self.bridge.call(self._health)

    def _health(self) -> Health:
        actors = self._actors
        busy, running = actors.busy, self.state == "running"
        wrong = problems(
            actors.storage_health, self._lag, actors.quarantined, actors.unreadable
        )
        return Health(
            status="stopped" if not running else "degraded" if wrong else "ok",
            storage=actors.storage.location,
            loop_lag=self._lag,
            resident=len(actors),
            running=sum(1 for cell in busy if cell.running is not None),
            waiting=sum(cell.waiting for cell in busy),
            detail=wrong if running else f"the runtime is {self.state}",
            since=datetime.fromtimestamp(actors.since, UTC),
        )

    def watch_events(self) -> AsyncIterator[tuple[RuntimeEvent, ...]]:
        return BatchWatch(
            self.bridge, lambda: cast("Any", views.open_event_feed(self._actors))
        )

    # --- requests

    async def withdraw(self, actor_id: ActorId, message_id: str) -> bool:
        return await self._at_once(
            lambda: requests.withdraw(self._actors, actor_id, message_id)
        )

    async def run_again(self, actor_id: ActorId, message_id: str) -> str:
        return await self._on_loop(
            lambda: requests.run_again(self._actors, self.submit, actor_id, message_id),
            "run again",
        )

    async def discard(self, actor_id: ActorId, message_id: str) -> bool:
        return await self._on_loop(
            lambda: requests.discard(self._actors, actor_id, message_id),
            "discard",
        )

    async def dead_letters(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[DeadLetterInfo]:
        return await self._on_loop(
            lambda: requests.dead_letters(self._actors, type_name, after, limit),
            "dead letters",
        )

    async def requeue(self, actor_id: ActorId, message_id: str) -> str:
        return await self._on_loop(
            lambda: requests.requeue(self._actors, self.submit, actor_id, message_id),
            "requeue",
        )

    async def revive(self, actor_id: ActorId) -> bool:
        return await self._at_once(lambda: self._actors.revive(actor_id))

    # --- conversations

    async def delete_actor(self, actor_id: ActorId) -> bool:
        return await self._on_loop(
            lambda: views.delete_actor(self._actors, actor_id), "delete actor"
        )

    async def list_conversations(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ConversationInfo]:
        return await self._on_loop(
            lambda: forks.list_conversations(self._actors, type_name, after, limit),
            "list conversations",
        )

    async def rename(self, actor_id: ActorId, name: str | None) -> None:
        await self._on_loop(
            lambda: forks.rename(self._actors, actor_id, name), "rename"
        )

    async def disallow_tool(self, actor_id: ActorId, tool: str) -> bool:
        return await self._on_loop(
            lambda: forks.disallow_tool(self._actors, actor_id, tool),
            "disallow tool",
        )

    async def fork(
        self,
        actor_id: ActorId,
        *,
        at: str | None = None,
        before: str | None = None,
        to: ActorId | None = None,
    ) -> ActorId:
        return await self._on_loop(
            lambda: forks.fork(self._actors, actor_id, at, before, to),
            "fork",
            is_long=True,
        )

    async def import_turns(
        self,
        actor_id: ActorId,
        turns: Sequence[TurnView],
        name: str | None = None,
        discarded: Sequence[str] = (),
    ) -> None:
        await self._on_loop(
            lambda: forks.import_turns(self._actors, actor_id, turns, name, discarded),
            "import turns",
            is_long=True,
        )
