"""The indexes by which actors are found, which are never wrong about one that belongs.

An index (all actors, those with an open turn, those with a mark) lives in another slot
than its actors, so no script keeps both in step. Instead a writer enters the actor
*before* the step that makes it belong, and nobody removes it when it ceases to: a
reader that finds it stale does, and makes sure that no writer relies on the entry.

* Each actor has a *generation*. A writer learns it (with the claim), then enters the
  actor, then writes steps that name the generation; entered once, it need not enter
  again as long as the generation stays.
* Each entry has a *token*, new whenever somebody enters the actor.
* A reader notes the token, then *seals* the actor: if it still does not belong, its
  generation goes up. Then it drops the entry, if the token is the one it has noted.

So if a step was written under a generation, its writer entered the actor after that
generation began. A drop after that has noted the new token, hence sealed after the
entry: before the step (which would then have been refused) or after it (and then the
actor belonged, and was not sealed).
"""

import uuid
from collections.abc import Iterable

from agent_runtime_nb.exceptions import StorageError, Unavailable
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage.redis.keys import Keys, member_of
from agent_runtime_nb.storage.redis.link import Lost, RedisClient
from agent_runtime_nb.storage.redis.scripts import Command

UNKNOWN = "?"
"""A generation that no actor has: the step is refused, and tells the real one."""


class Entered:
    """What a host knows of the generations and entries of actors; bounded.

    Args:
        limit: of so many actors; of others the next step learns it again.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._known: dict[ActorId, tuple[str, set[str]]] = {}

    def generation(self, actor_id: ActorId) -> str:
        """The last generation that was seen, or `UNKNOWN`."""
        return self._known.get(actor_id, (UNKNOWN,))[0]

    def learn(self, actor_id: ActorId, generation: str) -> None:
        """The actor's generation; entries of an older one no longer count."""
        if self.generation(actor_id) != generation:
            while len(self._known) >= self._limit:
                del self._known[next(iter(self._known))]
            self._known[actor_id] = generation, set()

    def missing(self, actor_id: ActorId, indexes: Iterable[str]) -> set[str]:
        """Which of the indexes the actor must be entered in before the step."""
        known = self._known.get(actor_id)
        # Of an unknown generation none: what is entered before does not count.
        return set() if known is None else set(indexes) - known[1]

    def add(self, actor_id: ActorId, index: str) -> None:
        """The actor was entered under the generation that is known."""
        self._known[actor_id][1].add(index)


def enter(
    link: RedisClient, keys: Keys, wanted: dict[str, set[ActorId]], where: str
) -> None:
    """Enter actors in indexes, in one round trip.

    Raises:
        StorageError: and some of them may not be entered.
    """
    token = uuid.uuid4().hex
    commands: list[Command] = []
    for index, actors in wanted.items():
        members, tokens = keys.index(index)
        tokened: list[bytes | str] = []
        scored: list[bytes | int] = []
        for member in map(member_of, actors):
            tokened += (member, token)
            scored += (0, member)
        # The token first: whoever sees the new member must not note an old token.
        commands.append(("HSET", tokens, *tokened))
        commands.append(("ZADD", members, *scored))
    for outcome in link.run(commands):
        if isinstance(outcome, StorageError):
            raise outcome
        if isinstance(outcome, Lost):
            raise Unavailable(where, outcome)
