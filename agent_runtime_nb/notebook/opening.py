"""The client and the directory of a runtime that may still be opening its storage.

Everything waits until the runtime is ready and then goes straight through; if opening
failed, everything raises what went wrong. So panels, servers and cells may hold these
two from the first moment.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from concurrent.futures import Future

from agent_runtime_nb.exceptions import StorageError
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    Cursor,
    IActorClient,
    JsonValue,
    Page,
    TurnUpdate,
    TurnView,
    WhenBusy,
)
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

_log = logging.getLogger(__name__)


async def without_traceback(work: Awaitable[None]) -> None:
    """Await the opening of a storage; an error of it is what it says, without its way.

    A cell would show all of a driver's calls above the one sentence that helps.
    """
    try:
        await work
    except StorageError as error:
        _log.debug("opening failed", exc_info=True)
        raise error.with_traceback(None) from None


class StorageOpening:
    """The opening of a storage, for which any number of calls on any loop may wait."""

    def __init__(self, opened: "Future[None]") -> None:
        self._opened = opened

    @property
    def is_open(self) -> bool:
        """Whether nobody has to wait, and nothing went wrong."""
        return self._opened.done() and self._opened.exception() is None

    async def wait(self) -> None:
        """Wait; cancelling the wait leaves the opening alone."""
        if self._opened.done():
            self._opened.result()
        else:
            await asyncio.shield(asyncio.wrap_future(self._opened))


class OpeningClient(IActorClient):
    """A client whose calls wait until the storage is open, then go to the one it wraps."""

    def __init__(self, client: IActorClient, opening: StorageOpening) -> None:
        self._client = client
        self._opening = opening

    async def send_request(
        self,
        actor_id: ActorId,
        method: str,
        params: JsonValue = None,
        message_id: str | None = None,
        *,
        when_busy: WhenBusy = "queue",
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ActorResponseHandle:
        await self._opening.wait()
        return await self._client.send_request(
            actor_id,
            method,
            params,
            message_id,
            when_busy=when_busy,
            timeout=timeout,
            metadata=metadata,
        )

    async def get_response(
        self, actor_id: ActorId, message_id: str
    ) -> ActorResponseHandle:
        await self._opening.wait()
        return await self._client.get_response(actor_id, message_id)

    async def cancel(self, actor_id: ActorId, message_id: str) -> bool:
        await self._opening.wait()
        return await self._client.cancel(actor_id, message_id)

    def watch_actor(
        self, actor_id: ActorId, after: Cursor | None = None
    ) -> AsyncIterator[TurnUpdate]:
        if self._opening.is_open:
            return self._client.watch_actor(actor_id, after)
        return self._watch_later(actor_id, after)

    async def _watch_later(
        self, actor_id: ActorId, after: Cursor | None
    ) -> AsyncIterator[TurnUpdate]:
        await self._opening.wait()
        async for update in self._client.watch_actor(actor_id, after):
            yield update


class OpeningDirectory(RuntimeDirectory):
    """A directory whose calls wait until the storage is open, then go to the one it wraps."""

    def __init__(self, directory: RuntimeDirectory, opening: StorageOpening) -> None:
        self._directory = directory
        self._opening = opening

    async def actor_types(self) -> tuple[ActorTypeInfo, ...]:
        await self._opening.wait()
        return await self._directory.actor_types()

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorSummary]:
        await self._opening.wait()
        return await self._directory.list_actors(type_name, after=after, limit=limit)

    async def read_actor(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> ActorView:
        await self._opening.wait()
        return await self._directory.read_actor(actor_id, before=before, limit=limit)

    async def delete_actor(self, actor_id: ActorId) -> bool:
        await self._opening.wait()
        return await self._directory.delete_actor(actor_id)

    async def health(self) -> Health:
        await self._opening.wait()
        return await self._directory.health()

    async def withdraw(self, actor_id: ActorId, message_id: str) -> bool:
        await self._opening.wait()
        return await self._directory.withdraw(actor_id, message_id)

    async def run_again(self, actor_id: ActorId, message_id: str) -> str:
        await self._opening.wait()
        return await self._directory.run_again(actor_id, message_id)

    async def discard(self, actor_id: ActorId, message_id: str) -> bool:
        await self._opening.wait()
        return await self._directory.discard(actor_id, message_id)

    async def dead_letters(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[DeadLetterInfo]:
        await self._opening.wait()
        return await self._directory.dead_letters(type_name, after=after, limit=limit)

    async def requeue(self, actor_id: ActorId, message_id: str) -> str:
        await self._opening.wait()
        return await self._directory.requeue(actor_id, message_id)

    async def revive(self, actor_id: ActorId) -> bool:
        await self._opening.wait()
        return await self._directory.revive(actor_id)

    async def list_conversations(
        self,
        type_name: str | None = None,
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ConversationInfo]:
        await self._opening.wait()
        return await self._directory.list_conversations(
            type_name, after=after, limit=limit
        )

    async def rename(self, actor_id: ActorId, name: str | None) -> None:
        await self._opening.wait()
        await self._directory.rename(actor_id, name)

    async def disallow_tool(self, actor_id: ActorId, tool: str) -> bool:
        await self._opening.wait()
        return await self._directory.disallow_tool(actor_id, tool)

    async def fork(
        self,
        actor_id: ActorId,
        *,
        at: str | None = None,
        before: str | None = None,
        to: ActorId | None = None,
    ) -> ActorId:
        await self._opening.wait()
        return await self._directory.fork(actor_id, at=at, before=before, to=to)

    async def import_turns(
        self,
        actor_id: ActorId,
        turns: Sequence[TurnView],
        name: str | None = None,
        discarded: Sequence[str] = (),
    ) -> None:
        await self._opening.wait()
        await self._directory.import_turns(actor_id, turns, name, discarded)

    def watch_events(self) -> AsyncIterator[tuple[RuntimeEvent, ...]]:
        if self._opening.is_open:
            return self._directory.watch_events()
        return self._watch_later()

    async def _watch_later(self) -> AsyncIterator[tuple[RuntimeEvent, ...]]:
        await self._opening.wait()
        async for events in self._directory.watch_events():
            yield events
