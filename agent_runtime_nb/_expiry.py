"""Deletes conversations that nobody has used for long, if that is wanted."""

import logging

from agent_runtime_nb import _directory
from agent_runtime_nb._registry import ActorRegistry
from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime_abstractions import ActorId

_log = logging.getLogger(__name__)


async def expire(actors: ActorRegistry, ttl: float) -> int:
    """Delete the conversations whose last turn ended over `ttl` seconds ago.

    Those of other living hosts, with an open turn, or with marks (something to be told,
    dead letters) are left alone.

    Returns:
        How many were deleted.
    """
    deleted, after = 0, None
    while True:
        page = await actors.bounded(actors.list_actors(after=after))
        for actor_id in page.items:
            try:
                if await _is_expired(actors, actor_id, ttl):
                    # No await in between: no request gets in.
                    deleted += await _directory.delete_actor(actors, actor_id)
            except AgentRuntimeError as error:
                _log.info("%s is not deleted: %s", actor_id, error)
        after = page.next
        if after is None:
            return deleted


async def _is_expired(actors: ActorRegistry, actor_id: ActorId, ttl: float) -> bool:
    resident = actors.find(actor_id)
    if resident is not None and not resident.is_idle:
        return False
    newest = await actors.bounded(actors.storage.read_turns(actor_id, limit=1))
    if not newest or newest[0].ended_at is None:
        return False
    state = await actors.bounded(actors.storage.read_state(actor_id))
    if any(key.startswith(("$outbox/", "$dead/")) for key in state.values):
        return False
    if actors.environment.wall_clock() - newest[0].ended_at <= ttl:
        return False
    # Claimed first, never from a neighbour, then looked at again: somebody may have
    # talked to it meanwhile.
    resident = actors.adopt(actor_id, take_over=False)
    await resident.ready()
    return resident.is_idle and resident.position == newest[0].position
