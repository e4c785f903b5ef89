"""Restarts an actor after a failure, with a pause, or puts it into quarantine."""

import asyncio

from agent_runtime_nb.exceptions import ActorQuarantined, reason_of
from agent_runtime_nb.runtime.commit import CellServices
from agent_runtime_nb.runtime.ending import Ending
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.supervision import judge


class Supervised(Ending):
    """Counts failures, pauses before a fresh start, goes into quarantine."""

    __slots__ = ("_not_before",)

    def __init__(self, actor_id: ActorId, services: CellServices) -> None:
        super().__init__(actor_id, services)
        self._not_before = 0.0  # monotonic; 0: at once

    async def has_failed(self, error: BaseException) -> None:
        """The actor or its factory let an error through."""
        policy = self._services.policy(self.actor_id).restart
        now, chance = self._clock(), self._services.environment.random()
        # Not kept here: who leaves memory for a moment has failed all the same.
        recent = self._services.failures
        verdict = judge(policy, recent.pop(self.actor_id, ()), now, chance)
        if verdict.pause is None:
            await self._quarantine(error, len(verdict.failures))
        else:
            recent[self.actor_id] = verdict.failures
            self._not_before = now + verdict.pause

    async def pause(self) -> None:
        """Wait until a fresh start is due."""
        due, self._not_before = self._not_before, 0.0
        left = due - self._clock()
        if left > 0:
            await self._services.environment.sleep(left)

    async def _quarantine(self, error: BaseException, failures: int) -> None:
        last = f"{type(error).__name__}: {reason_of(error)}"
        quarantined = ActorQuarantined(self.actor_id, failures, last)
        self._services.quarantined[self.actor_id] = quarantined
        self.report.quarantined(failures, type(error).__name__)
        self.leave(quarantined)
        while (turn := self.mailbox.take()) is not None:
            if (ended := self.fail(turn, quarantined)) is not None:
                await asyncio.shield(ended)
