"""The statements of a group, and how rows get into them and out.

A statement costs more by giving up the GIL between two rows than by its work, so each
kind runs once per group: its rows come in as one JSON array of numbers, through
json_each, and texts and bytes as places in one BLOB (no escaping, exact for every
text). Reading sends back one row, a JSON array.
"""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
)
from agent_runtime_nb.storage_abstractions import (
    TurnRecord,
)


class Pack:
    """The rows of one set-based statement: numbers in JSON, all else in one BLOB."""

    def __init__(self) -> None:
        self._rows: list[list[int | float | None]] = []
        # One byte that is nobody's: of an empty BLOB every piece would be NULL.
        self._pieces = [b"\0"]
        self._size = 1

    def add(self, numbers: Iterable[float | None], *pieces: bytes | None) -> None:
        """Add a row: its numbers as they are, of each piece where it begins and ends."""
        row = list(numbers)
        for piece in pieces:
            if piece is None:
                row += (None, None)
            else:
                row += (self._size + 1, len(piece))
                self._pieces.append(piece)
                self._size += len(piece)
        self._rows.append(row)

    def run(self, connection: sqlite3.Connection, statement: str) -> sqlite3.Cursor:
        """Run a statement on all rows: it takes the numbers and the pieces."""
        rows = orjson.dumps(self._rows).decode()
        return connection.execute(statement, (rows, b"".join(self._pieces)))

    def __bool__(self) -> bool:
        return bool(self._rows)


def _set_based(template: str) -> str:
    """SQL over the rows of a `Pack`, from a template.

    `{i}` is the number in column i, `{i:text}` and `{i:blob}` the piece of the BLOB
    whose place is in the columns i and i + 1.
    """

    def expand(found: re.Match[str]) -> str:
        column, kind = int(found[1]), found[2]
        number = f"json_extract(value, '$[{column}]')"
        if kind is None:
            return number
        piece = f"substr(?2, {number}, json_extract(value, '$[{column + 1}]'))"
        return f"cast({piece} as text)" if kind == "text" else piece

    return re.sub(r"\{(\d+)(?::(\w+))?\}", expand, template)


READ_ACTORS = _set_based(
    """select json_group_array(json_array(j.i, n, epoch, owner, etag, marks))
    from (select key as i, {0:text} as type, {2:text} as instance from json_each(?1)) j
    cross join actor on actor.type = j.type and actor.instance = j.instance"""
)
READ_KNOWN = _set_based(
    """select json_group_array(json_array(j.i, position))
    from (select key as i, {0} as actor, {1:text} as message_id from json_each(?1)) j
    cross join turn on turn.actor = j.actor and turn.message_id = j.message_id"""
)
READ_OPEN = _set_based(
    """select json_group_array(json_array(turn.actor, turn.position))
    from (select {0} as actor, {1} as position from json_each(?1)) j
    cross join turn on turn.actor = j.actor and turn.position = j.position
    where status = 'pending' and ?2 is not null"""
)
INSERT_TURNS = _set_based(
    """insert into turn(actor, position, attempts, accepted_at, ended_at, message_id,
        status, body, result, entries, checkpoint)
    select {0}, {1}, {2}, {3}, {4}, {5:text}, {7:text}, {9:blob}, {11:blob}, {13:blob},
        {15:blob} from json_each(?1)"""
)
START_TURNS = _set_based(
    """update turn set attempts = attempts + j.times
    from (select {0} as actor, {1} as position, {2} as times from json_each(?1)) j
    where turn.actor = j.actor and turn.position = j.position and ?2 is not null"""
)
CHECKPOINT_TURNS = _set_based(
    """update turn set checkpoint = j.checkpoint
    from (select {0} as actor, {1} as position, {2:blob} as checkpoint
        from json_each(?1)) j
    where turn.actor = j.actor and turn.position = j.position"""
)
END_TURNS = _set_based(
    """update turn set ended_at = j.ended_at, status = j.status, result = j.result,
        entries = j.entries
    from (select {0} as actor, {1} as position, {2} as ended_at, {3:text} as status,
        {5:blob} as result, {7:blob} as entries from json_each(?1)) j
    where turn.actor = j.actor and turn.position = j.position"""
)
SET_VALUES = _set_based(
    """insert into value(actor, key, value) select {0}, {1:text}, {3:blob}
    from json_each(?1) where true
    on conflict(actor, key) do update set value = excluded.value"""
)
REMOVE_VALUES = _set_based(
    """delete from value where (actor, key) in
    (select {0}, {1:text} from json_each(?1))"""
)
SET_ETAGS = _set_based(
    """update actor set etag = j.etag
    from (select {0} as n, {1:text} as etag from json_each(?1)) j where actor.n = j.n"""
)
SET_MARKS = _set_based(
    """update actor set marks = nullif(j.marks, '')
    from (select {0} as n, {1:text} as marks from json_each(?1)) j where actor.n = j.n"""
)

TURN_COLUMNS = (
    "position, message_id, status, attempts, body, result, entries, checkpoint, "
    "accepted_at, ended_at"
)
FIND_TURN = f"select {TURN_COLUMNS} from turn where actor = ? and position = ?"
OPEN_TURNS = (
    f"select {TURN_COLUMNS} from turn "
    "where actor = ? and status = 'pending' order by position"
)


def join_marks(marks: frozenset[str]) -> str:
    """The words as they are stored: sorted, each between spaces; "" if none."""
    return " ".join(("", *sorted(marks), "")) if marks else ""


def split_marks(stored: str | None) -> frozenset[str]:
    """The words of `join_marks`."""
    return frozenset((stored or "").split())


def record_of(row: Sequence[Any]) -> TurnRecord:
    """The turn in a row of `TURN_COLUMNS`."""
    return TurnRecord(
        position=row[0],
        message_id=row[1],
        status=RequestStatus(row[2]),
        attempts=row[3],
        body=row[4],
        result=row[5],
        entries=row[6],
        checkpoint=row[7],
        accepted_at=row[8],
        ended_at=row[9],
    )
