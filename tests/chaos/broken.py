"""A storage that breaks the promise on purpose: the checker must find that."""

import asyncio
from asyncio import Future
from pathlib import Path

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage.sqlite import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    TurnRecord,
)

_LATE = 0.05


class AcknowledgesFirst(SqliteStateStorage):
    """Says at once that a request is stored, and stores it a moment later.

    Steps of one actor still take effect in call order.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._late: dict[ActorId, list[ActorChange]] = {}

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        if not change.accepted:
            self._write(actor_id)
            return super().apply(actor_id, change)
        loop = asyncio.get_running_loop()
        self._late.setdefault(actor_id, []).append(change)
        loop.call_later(_LATE, self._write, actor_id)
        done: Future[tuple[TurnRecord, ...]] = loop.create_future()
        done.set_result(())
        return done

    def _write(self, actor_id: ActorId) -> None:
        for change in self._late.pop(actor_id, []):
            super().apply(actor_id, change)
