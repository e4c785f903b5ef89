"""A storage that kills its own process at a chosen place around a chosen commit."""

import asyncio
import os
import signal
from asyncio import Future
from pathlib import Path
from typing import Literal, TypeAlias

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange, TurnRecord

Place: TypeAlias = Literal["before", "between", "after"]
"""Before the commit is sent; when it is stored and nobody has been told; or told."""

_LOOP_TURNS = 5  # from the storage's answer to the words of the host


def targets_of(path: Path) -> Path:
    """A file with a line for each turn that was aimed at: actor and position."""
    return path.with_suffix(".targets")


class KillsItself(SqliteStateStorage):
    """Counts the commits of counters and dies at the one that it is aimed at.

    Which turn that was is written to `targets_of(path)` first.

    Args:
        path: of the database.
        place: where to die; nowhere if None.
        number: of the commit, from 1.
    """

    def __init__(self, path: Path, place: Place | None = None, number: int = 0) -> None:
        super().__init__(path)
        self._targets = targets_of(path)
        self._place, self._left = place, number

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        counted = self._place is not None and change.ended and change.set
        self._left -= bool(counted)
        if not counted or self._left:
            return super().apply(actor_id, change)
        with self._targets.open("a") as file:
            file.write(f"{actor_id} {change.ended[0].position}\n")
        if self._place == "before":
            _die()
        written = super().apply(actor_id, change)
        if self._place == "between":  # of all who wait for it this one is told first
            written.add_done_callback(lambda _: _die())
        else:
            written.add_done_callback(lambda _: _die_later(_LOOP_TURNS))
        return written


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_later(turns: int) -> None:
    if not turns:
        _die()
    asyncio.get_running_loop().call_soon(_die_later, turns - 1)
