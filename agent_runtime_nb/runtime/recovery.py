"""What dead hosts left open: ended at the start, or run again after it.

Also the tells of actors that this host lost by a failed write: the actors are claimed
again as soon as the storage allows it, and deliver them.
"""

import logging
from collections.abc import AsyncIterator

from agent_runtime_nb._base.json_codec import encode
from agent_runtime_nb._base.tasks import in_groups
from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    AgentRuntimeError,
    Corrupt,
    StaleEpoch,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.runtime.catalog import Catalog
from agent_runtime_nb.runtime.ownership import end_left_behind
from agent_runtime_nb.runtime.tell import OUTBOX_MARK
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import ActorChange, TurnEnd

_log = logging.getLogger(__name__)
_STEP = 40  # turns of one change; a backend may refuse more
_AT_ONCE = 16  # actors


class Recovery:
    """What is to be done about dead hosts when a runtime starts.

    Actors of living hosts are left alone.
    """

    def __init__(self, actors: Catalog) -> None:
        self._actors = actors
        self._to_resume: dict[ActorId, None] = {}
        self._tells_again = False

    async def recover(self) -> int:
        """End what shall not run again; returns of how many actors something was left.

        What is to run, or to be told, waits for `resume`.
        """
        recovered = 0
        async for page in self._listed(open_only=True):
            to_end: list[ActorId] = []
            for actor_id in page:
                if self._actors.policy(actor_id).on_interrupted == "rerun":
                    self._to_resume[actor_id] = None
                    recovered += 1
                else:
                    to_end.append(actor_id)
            recovered += sum(await in_groups(self._end, to_end, _AT_ONCE))
        async for page in self._listed(mark=OUTBOX_MARK):
            self._to_resume.update(dict.fromkeys(page))
        return recovered

    async def _listed(
        self, *, open_only: bool = False, mark: str | None = None
    ) -> AsyncIterator[tuple[ActorId, ...]]:
        after: str | None = None
        while True:
            page = await self._actors.bounded(
                self._actors.list_actors(open_only=open_only, mark=mark, after=after)
            )
            yield page.items
            after = page.next
            if after is None:
                return

    async def _end(self, actor_id: ActorId) -> bool:
        """End what a dead host left of an actor; False: this host cannot."""
        try:
            await self._end_left_behind(actor_id)
        except (ActorOwnedElsewhere, StaleEpoch):
            return False  # a living host has it, or has come in between
        except Corrupt as error:
            # Of the others, what was left can be ended.
            _log.error("what was left of %s is not ended: %s", actor_id, error)
            return False
        return True

    async def _end_left_behind(self, actor_id: ActorId) -> None:
        """End what a dead host left of one actor that is not in memory.

        Raises:
            ActorOwnedElsewhere: if its host lives.
        """
        claim = await self._actors.bounded(self._actors.storage.claim(actor_id))
        at, policy = (
            self._actors.environment.wall_clock(),
            self._actors.policy(actor_id),
        )
        ended: list[TurnEnd] = []
        for record in claim.open_turns:
            end = end_left_behind(actor_id, record, policy)
            if end is not None:
                result = encode(end.data)
                ended.append(TurnEnd(record.position, end.status, result, at))
        for start in range(0, len(ended), _STEP):
            part = tuple(ended[start : start + _STEP])
            change = ActorChange(epoch=claim.epoch, ended=part)
            await self._actors.bounded(self._actors.storage.apply(actor_id, change))

    def resume(self) -> None:
        """Run again and tell what dead hosts left, a few actors at a time."""
        for number in range(min(_AT_ONCE, len(self._to_resume))):
            self._actors.tasks.spawn(self._resume(), name=f"resume {number}")

    async def _resume(self) -> None:
        while self._to_resume:
            actor_id = next(iter(self._to_resume))
            del self._to_resume[actor_id]
            cell = self._actors.adopt(actor_id, take_over=False)
            try:
                # Bounded: one that is never answered must not keep others waiting.
                await self._actors.bounded(cell.ready())
            except AgentRuntimeError as error:
                _log.info("%s is not resumed: %s", actor_id, error)
                if isinstance(error, Unavailable):
                    self._actors.undelivered.add(actor_id)  # claimed again, later
                continue
            for turn in list(cell.open.values()):
                if (ended := turn.wait()) is not None:
                    await ended

    def tell_again(self) -> None:
        """Once a second: claim whom a lost write made leave with something to tell."""
        if self._actors.undelivered and not self._tells_again:
            self._tells_again = True
            self._actors.tasks.spawn(self._tell_again(), name="tell again")

    async def _tell_again(self) -> None:
        actors = self._actors
        try:
            for actor_id in list(actors.undelivered):
                cell = actors.adopt(actor_id, take_over=False)
                try:
                    await actors.bounded(cell.ready())
                except StaleEpoch:
                    pass  # its new owner tells
                except StorageError:
                    return  # it is not back yet
                except AgentRuntimeError as error:
                    _log.info("%s is not claimed again: %s", actor_id, error)
                actors.undelivered.discard(actor_id)
        finally:
            self._tells_again = False
