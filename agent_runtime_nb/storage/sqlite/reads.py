"""What is read, on the reader's thread: plain queries inside one snapshot."""

import sqlite3
from collections.abc import Callable

from agent_runtime_nb.exceptions import StorageLost, Unavailable
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
)
from agent_runtime_nb.storage.sqlite.database import translate
from agent_runtime_nb.storage.sqlite.files import LATELY, OpenFiles
from agent_runtime_nb.storage.sqlite.schema import roll_back
from agent_runtime_nb.storage.sqlite.statements import TURN_COLUMNS, record_of
from agent_runtime_nb.storage_abstractions import (
    ActorList,
    ActorState,
    TurnRecord,
)

Read = Callable[[sqlite3.Connection], object]

_TRIES = 20  # of a read whose locks are lost


def run_reads(
    jobs: list[Read], connection: sqlite3.Connection, files: OpenFiles, where: str
) -> list[object]:
    """All jobs in one snapshot, which is younger than every call among them.

    They are run again if SQLite's locks were lost meanwhile: what they saw may be of
    several moments then.
    """
    for _ in range(_TRIES):
        files.begin_read()
        outcomes = _run_once(jobs, connection, files, where)
        if files.read_was_locked():
            return outcomes
    reason = "this process opens and closes its files all the time"
    return [Unavailable(where, reason) for _ in jobs]


def _run_once(
    jobs: list[Read], connection: sqlite3.Connection, files: OpenFiles, where: str
) -> list[object]:
    try:
        files.check(lately=LATELY)
        connection.execute("begin")
    except (sqlite3.Error, OSError, StorageLost) as error:
        return [translate(error, where) for _ in jobs]
    outcomes: list[object] = []
    for job in jobs:
        try:
            outcomes.append(job(connection))
        except Exception as error:
            outcomes.append(translate(error, where))
    roll_back(connection)
    return outcomes


def _number_of(connection: sqlite3.Connection, actor_id: ActorId) -> int:
    row = connection.execute(
        "select n from actor where type = ? and instance = ?",
        (actor_id.type_name, actor_id.instance_id),
    ).fetchone()
    return row[0] if row else 0


def read_states(
    connection: sqlite3.Connection,
    actor_ids: tuple[ActorId, ...],
    keys: tuple[str, ...] | None,
    prefix: str,
) -> list[ActorState]:
    """The states of some actors, in the order of their ids."""
    if keys is not None:
        keys = tuple(key for key in keys if key.startswith(prefix))
    return [_state(connection, one, keys, prefix) for one in actor_ids]


def _state(
    connection: sqlite3.Connection,
    actor_id: ActorId,
    keys: tuple[str, ...] | None,
    prefix: str,
) -> ActorState:
    row = connection.execute(
        "select n, etag, epoch from actor where type = ? and instance = ?",
        (actor_id.type_name, actor_id.instance_id),
    ).fetchone()
    if row is None:
        return ActorState({}, None, 0)
    n, etag, epoch = row
    if keys is None:
        pairs = connection.execute(
            "select key, value from value where actor = ? and key >= ? and key < ?",
            (n, prefix, _end_of(prefix)),
        )
        return ActorState(dict(pairs.fetchall()), etag, epoch)
    values: dict[str, Encoded] = {}
    for key in keys:
        found = connection.execute(
            "select value from value where actor = ? and key = ?", (n, key)
        ).fetchone()
        if found is not None:
            values[key] = found[0]
    return ActorState(values, etag, epoch)


def find_turn(
    connection: sqlite3.Connection, actor_id: ActorId, message_id: str
) -> TurnRecord | None:
    """One turn by its message id."""
    row = connection.execute(
        f"select {TURN_COLUMNS} from turn where actor = ? and message_id = ?",
        (_number_of(connection, actor_id), message_id),
    ).fetchone()
    return record_of(row) if row else None


def read_turns(
    connection: sqlite3.Connection, actor_id: ActorId, before: int | None, limit: int
) -> list[TurnRecord]:
    """The newest turns before a position, oldest first."""
    rows = connection.execute(
        f"select {TURN_COLUMNS} from turn where actor = ?1 "
        "and position < coalesce(?2, 9223372036854775807) "
        "order by position desc limit ?3",
        (_number_of(connection, actor_id), before, max(limit, 0)),
    ).fetchall()
    return [record_of(row) for row in reversed(rows)]


def list_keys(
    connection: sqlite3.Connection,
    actor_id: ActorId,
    prefix: str,
    after: str | None,
    limit: int,
) -> Page[str]:
    """A page of the keys of an actor."""
    rows = connection.execute(
        "select key from value where actor = ?1 and key >= ?2 and key < ?3 "
        "and (?4 is null or key > ?4) order by key limit ?5",
        (_number_of(connection, actor_id), prefix, _end_of(prefix), after, limit + 1),
    ).fetchall()
    items = tuple(row[0] for row in rows[:limit])
    return Page(items, items[-1] if len(rows) > limit else None)


def _end_of(prefix: str) -> str | bytes:
    """The least value above all texts with a prefix (a BLOB is above every text)."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return b""
    last = ord(head[-1]) + 1
    if 0xD800 <= last < 0xE000:  # no text has surrogates
        last = 0xE000
    return head[:-1] + chr(last)


# A text is below every BLOB, so that no type is the end of all types.
# Ids cross as bytes: somebody else may have written what is no UTF-8. What is no text at
# all sorts behind every text, so it would be listed for ever.
_ID = "cast(type as blob), cast(instance as blob)"
_AFTER = """(type, instance) > (?1, ?2)
    and type <= coalesce(?3, x'')
    and typeof(type) = 'text' and typeof(instance) = 'text'"""
_IN_ORDER = "order by type, instance limit ?4"

# The order of the tables is forced where the planner, which has no statistics, might
# look at every actor: open and marked ones are few.
_LIST_ALL = f"""select {_ID} from actor where {_AFTER}
    and (exists (select 1 from turn where turn.actor = n)
        or exists (select 1 from value where value.actor = n))
    {_IN_ORDER}"""
_LIST_OPEN = f"""select {_ID}
    from (select distinct actor from turn where status = 'pending') as open
    cross join actor on n = open.actor where {_AFTER} {_IN_ORDER}"""
_MARKED = "marks is not null and instr(marks, ?5)"
_LIST_MARKED = f"""select {_ID} from actor indexed by marked_actor
    where {_MARKED} and {_AFTER}
    and (exists (select 1 from turn where turn.actor = n)
        or exists (select 1 from value where value.actor = n))
    {_IN_ORDER}"""
_LIST_OPEN_MARKED = f"""select {_ID} from actor indexed by marked_actor
    where {_MARKED} and {_AFTER}
    and exists (select 1 from turn where turn.actor = n and status = 'pending')
    {_IN_ORDER}"""


def list_actors(
    connection: sqlite3.Connection,
    type_name: str | None,
    *,
    open_only: bool,
    mark: str | None,
    after: str | None,
    limit: int,
) -> Page[ActorId]:
    """A page of actors."""
    after_type, _, after_instance = (after or "").partition("/")
    start = max((type_name or "", ""), (after_type, after_instance))
    if mark is None:
        query = _LIST_OPEN if open_only else _LIST_ALL
    else:
        query = _LIST_OPEN_MARKED if open_only else _LIST_MARKED
    marked = () if mark is None else (f" {mark} ",)
    count = limit + 1
    while True:
        arguments = (*start, type_name, count, *marked)
        rows = connection.execute(query, arguments).fetchall()
        listed = ActorList(limit)
        listed.add((_text(one), _text(other)) for one, other in rows)
        if listed.is_full or len(rows) < count:
            return listed.page()
        # More from the same place: what the last row has may be no text to go on behind
        # (and behind an expression of bytes the index would not be searched).
        count *= 2


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")
