"""Deletes conversations that nobody has used for a given time."""

import logging
from collections.abc import Iterable, Sequence

from agent_runtime_nb._base.tasks import in_groups
from agent_runtime_nb.exceptions import AgentRuntimeError, StorageError, Unavailable
from agent_runtime_nb.runtime import views
from agent_runtime_nb.runtime.catalog import Catalog
from agent_runtime_nb.runtime.forks import made_at
from agent_runtime_nb.runtime.ownership import DEAD
from agent_runtime_nb.runtime.tell import OUTBOX
from agent_runtime_nb.runtime_abstractions import OWN_KEYS, ActorId
from agent_runtime_nb.storage_abstractions import TurnRecord

_EVERY = 3600.0  # seconds from one sweep to the next
_SOON = 60.0  # seconds, if the last one has left some
_AT_ONCE = 16  # turns that are read

_log = logging.getLogger(__name__)


class Expiry:
    """Looks for old conversations once an hour; never twice at once.

    Args:
        actors: whose conversations they are.
        most: how many one sweep deletes; the next one goes on there, soon.
    """

    def __init__(self, actors: Catalog, most: int = 1000) -> None:
        self._actors = actors
        self._most = most
        self._due = 0.0
        self._after: str | None = None  # where the next sweep begins
        self._sweeping = False

    def sweep(self) -> None:
        """Begin a sweep if that is wanted, one is due and none is under way."""
        actors = self._actors
        ttl, now = actors.settings.conversation_ttl, actors.environment.clock()
        if ttl is not None and not self._sweeping and now >= self._due:
            self._sweeping = True
            actors.tasks.spawn(self._sweep(ttl), name="expire")

    async def _sweep(self, ttl: float) -> None:
        pause = _EVERY
        try:
            if await self.expire(ttl) >= self._most:
                pause = _SOON
        except StorageError as error:
            _log.warning("old conversations are not deleted for now: %s", error)
        finally:
            self._due = self._actors.environment.clock() + pause
            self._sweeping = False

    async def expire(self, ttl: float) -> int:
        """Delete conversations whose last turn ended over `ttl` seconds ago.

        A fork or an import counts from when it was made.

        Those of other living hosts, with an open turn, or with something to be told or
        dead letters are left alone.

        Returns:
            How many were deleted.

        Raises:
            StorageError: if the storage fails or is silent; some may be deleted.
        """
        actors, deleted = self._actors, 0
        while True:
            page = await actors.bounded(actors.list_actors(after=self._after))
            for actor_id, last in await self._expired(page.items, ttl):
                if deleted >= self._most:
                    return deleted
                deleted += await self._delete(actor_id, last)
            self._after = page.next
            if self._after is None:
                return deleted

    async def _expired(
        self, page: Sequence[ActorId], ttl: float
    ) -> list[tuple[ActorId, int]]:
        """Those that look old enough, each with the position of its last turn."""
        actors = self._actors
        reading = actors.storage.read_states(page, prefix=OWN_KEYS)
        states = await actors.bounded(reading)
        oldest = actors.environment.wall_clock() - ttl
        # The turns of a fork or an import are as old as where they come from.
        idle = [
            actor_id
            for actor_id, state in zip(page, states, strict=True)
            if not self._is_busy(actor_id)
            and not _is_needed(state.values)
            and made_at(state.values) < oldest
        ]
        last_turns = await in_groups(self._last_turn, idle, _AT_ONCE)
        return [
            (actor_id, last.position)
            for actor_id, last in zip(idle, last_turns, strict=True)
            if last is not None and last.ended_at is not None and last.ended_at < oldest
        ]

    def _is_busy(self, actor_id: ActorId) -> bool:
        cell = self._actors.find(actor_id)
        return cell is not None and not cell.is_idle

    async def _last_turn(self, actor_id: ActorId) -> TurnRecord | None:
        reading = self._actors.storage.read_turns(actor_id, limit=1)
        turns = await self._actors.bounded(reading)
        return turns[0] if turns else None

    async def _delete(self, actor_id: ActorId, last: int) -> bool:
        try:
            return await self._delete_if_unused(actor_id, last)
        except Unavailable:
            raise
        except AgentRuntimeError as error:
            _log.info("%s is not deleted: %s", actor_id, error)
            return False

    async def _delete_if_unused(self, actor_id: ActorId, last: int) -> bool:
        # Claimed first, never from a neighbour, then looked at again: somebody may have
        # talked to it meanwhile.
        cell = self._actors.adopt(actor_id, take_over=False)
        await self._actors.bounded(cell.ready())
        is_used = not cell.is_idle or cell.position != last
        if is_used or _is_needed(cell.values):
            return False
        # No await in between: no request gets in.
        deleting = views.delete_actor(self._actors, actor_id)
        return await self._actors.bounded(deleting)


def _is_needed(keys: Iterable[str]) -> bool:
    """Whether an actor has something to be told, or dead letters."""
    return any(key.startswith((OUTBOX, DEAD)) for key in keys)
