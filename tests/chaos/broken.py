"""Storages that break a promise on purpose: the judge must find that."""

import asyncio
from asyncio import Future
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange, TurnRecord

_LATE = 0.05


class LateStorage(SqliteStateStorage):
    """Writes some things a moment after it has said that they are written.

    Steps of one actor still take effect in call order.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._late: defaultdict[ActorId, list[ActorChange]] = defaultdict(list)

    def write_later(self, actor_id: ActorId, change: ActorChange) -> None:
        """Write a change soon, or before the actor's next one."""
        self._late[actor_id].append(change)
        loop = asyncio.get_running_loop()
        loop.call_later(_LATE, self.write_late, actor_id)

    def write_late(self, actor_id: ActorId) -> None:
        """Write what is late."""
        for change in self._late.pop(actor_id, []):
            super().apply(actor_id, change)


class AcknowledgesFirst(LateStorage):
    """Says at once that a request is stored, and stores it later."""

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        if not change.accepted:
            self.write_late(actor_id)
            return super().apply(actor_id, change)
        self.write_later(actor_id, change)
        done: Future[tuple[TurnRecord, ...]] = (
            asyncio.get_running_loop().create_future()
        )
        done.set_result(())
        return done


class AnswersFirst(LateStorage):
    """Stores the end of a turn at once, and the state that belongs to it later."""

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        self.write_late(actor_id)
        written = super().apply(actor_id, replace(change, set=None))
        if change.set:
            self.write_later(actor_id, ActorChange(epoch=change.epoch, set=change.set))
        return written
