"""What the steps of a group change in the tables, collected and then written."""

import sqlite3
from collections.abc import Iterable, Mapping

from agent_runtime_nb.runtime_abstractions import Encoded
from agent_runtime_nb.storage.sqlite.statements import (
    CHECKPOINT_TURNS,
    END_TURNS,
    INSERT_TURNS,
    REMOVE_VALUES,
    SET_ETAGS,
    SET_MARKS,
    SET_VALUES,
    START_TURNS,
    Pack,
)
from agent_runtime_nb.storage_abstractions import TurnEnd, TurnRecord

TurnKey = tuple[int, int]
"""A turn: the number of its actor (column `n`), its position."""


class PendingChanges:
    """Changes that are not written yet; of several to one row the last one counts.

    Args:
        connection: in a transaction whenever `write` is called.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._clear()

    def _clear(self) -> None:
        self.bytes = 0
        """Of all values that wait."""
        self._accepted: list[tuple[int, TurnRecord]] = []
        self._started: dict[TurnKey, int] = {}
        self._checkpoints: dict[TurnKey, Encoded] = {}
        self._ended: list[tuple[int, TurnEnd]] = []
        self._values: dict[tuple[int, str], Encoded | None] = {}
        self._etags: dict[int, str] = {}
        self._marks: dict[int, str] = {}

    def accept(self, n: int, turn: TurnRecord) -> None:
        """Insert a turn of an actor."""
        self._accepted.append((n, turn))
        for value in (turn.body, turn.result, turn.entries, turn.checkpoint):
            self.bytes += len(value or b"")

    def start(self, turn: TurnKey) -> None:
        """Count an attempt of a turn."""
        self._started[turn] = self._started.get(turn, 0) + 1

    def set_checkpoint(self, turn: TurnKey, checkpoint: Encoded) -> None:
        """Keep how far a turn has come."""
        self._checkpoints[turn] = checkpoint
        self.bytes += len(checkpoint)

    def end(self, n: int, end: TurnEnd) -> None:
        """End an open turn of an actor."""
        self._ended.append((n, end))
        self.bytes += len(end.result or b"") + len(end.entries or b"")

    def set_values(
        self, n: int, values: Mapping[str, Encoded], remove: Iterable[str]
    ) -> None:
        """Set values of an actor, then remove some by their keys."""
        for key, value in values.items():
            self._values[n, key] = value
            self.bytes += len(value)
        for key in remove:
            self._values[n, key] = None

    def set_etag(self, n: int, etag: str) -> None:
        """Give an actor another version."""
        self._etags[n] = etag

    def set_marks(self, n: int, marks: str) -> None:
        """Give an actor other marks, as `join_marks` has them."""
        self._marks[n] = marks

    def write(self) -> None:
        """Write everything, one statement for each kind; nothing waits any more."""
        self._run(INSERT_TURNS, self._pack_accepted())
        pack = Pack()
        for turn, times in self._started.items():
            pack.add((*turn, times))
        self._run(START_TURNS, pack)
        pack = Pack()
        for turn, checkpoint in self._checkpoints.items():
            pack.add(turn, checkpoint)
        self._run(CHECKPOINT_TURNS, pack)
        pack = Pack()
        for n, end in self._ended:
            status = end.status.value.encode()
            pack.add((n, end.position, end.ended_at), status, end.result, end.entries)
        self._run(END_TURNS, pack)
        self._write_values()
        pack = Pack()
        for n, etag in self._etags.items():
            pack.add((n,), etag.encode())
        self._run(SET_ETAGS, pack)
        pack = Pack()
        for n, marks in self._marks.items():
            pack.add((n,), marks.encode())
        self._run(SET_MARKS, pack)
        self._clear()

    def _pack_accepted(self) -> Pack:
        pack = Pack()
        for n, turn in self._accepted:
            pack.add(
                (n, turn.position, turn.attempts, turn.accepted_at, turn.ended_at),
                turn.message_id.encode(),
                turn.status.value.encode(),
                turn.body,
                turn.result,
                turn.entries,
                turn.checkpoint,
            )
        return pack

    def _write_values(self) -> None:
        set_, removed = Pack(), Pack()
        for (n, key), value in self._values.items():
            if value is None:
                removed.add((n,), key.encode())
            else:
                set_.add((n,), key.encode(), value)
        self._run(SET_VALUES, set_)
        self._run(REMOVE_VALUES, removed)

    def _run(self, statement: str, pack: Pack) -> None:
        if pack:
            pack.run(self._connection, statement)
