"""A directory that can do nothing: fakes say what of it they can."""

from collections.abc import AsyncIterator, Sequence

from agent_runtime_nb.runtime_abstractions import ActorId, Page, TurnView
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


class NoDirectory(RuntimeDirectory):
    """Every method raises NotImplementedError."""

    async def actor_types(self) -> tuple[ActorTypeInfo, ...]:
        raise NotImplementedError

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorSummary]:
        raise NotImplementedError

    async def read_actor(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> ActorView:
        raise NotImplementedError

    async def delete_actor(self, actor_id: ActorId) -> bool:
        raise NotImplementedError

    async def withdraw(self, actor_id: ActorId, message_id: str) -> bool:
        raise NotImplementedError

    async def run_again(self, actor_id: ActorId, message_id: str) -> str:
        raise NotImplementedError

    async def discard(self, actor_id: ActorId, message_id: str) -> bool:
        raise NotImplementedError

    async def dead_letters(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[DeadLetterInfo]:
        raise NotImplementedError

    async def requeue(self, actor_id: ActorId, message_id: str) -> str:
        raise NotImplementedError

    async def revive(self, actor_id: ActorId) -> bool:
        raise NotImplementedError

    async def list_conversations(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ConversationInfo]:
        raise NotImplementedError

    async def rename(self, actor_id: ActorId, name: str | None) -> None:
        raise NotImplementedError

    async def disallow_tool(self, actor_id: ActorId, tool: str) -> bool:
        raise NotImplementedError

    async def fork(
        self,
        actor_id: ActorId,
        *,
        at: str | None = None,
        before: str | None = None,
        to: ActorId | None = None,
    ) -> ActorId:
        raise NotImplementedError

    async def import_turns(
        self,
        actor_id: ActorId,
        turns: Sequence[TurnView],
        name: str | None = None,
        discarded: Sequence[str] = (),
    ) -> None:
        raise NotImplementedError

    async def health(self) -> Health:
        raise NotImplementedError

    def watch_events(self) -> AsyncIterator[tuple[RuntimeEvent, ...]]:
        raise NotImplementedError
