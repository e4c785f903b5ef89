"""The statements of a group: set-based, each kind once whatever the group's size.

Rows come in as one array for each column. What a group changes is written by one
statement, whose parts (one for each table and kind) see the same snapshot and never
touch a row twice.
"""

from collections.abc import Sequence
from typing import Any

from agent_runtime_nb.runtime_abstractions import RequestStatus
from agent_runtime_nb.storage.postgres.driver import Connection
from agent_runtime_nb.storage_abstractions import TurnRecord

TURN_COLUMNS = (
    "position, message_id, status, attempts, body, result, entries, checkpoint, "
    "accepted_at, ended_at"
)


def encode_text(text: str) -> bytes:
    """A key or message id as it is stored; works for every text."""
    return text.encode("utf-8", "surrogatepass")


def decode_text(stored: bytes) -> str:
    """The text of `encode_text`."""
    return stored.decode("utf-8", "surrogatepass")


def record_of(row: Sequence[Any]) -> TurnRecord:
    """The turn in a row that begins with `TURN_COLUMNS`."""
    return TurnRecord(
        position=row[0],
        message_id=decode_text(row[1]),
        status=RequestStatus(row[2]),
        attempts=row[3],
        body=row[4],
        result=row[5],
        entries=row[6],
        checkpoint=row[7],
        accepted_at=row[8],
        ended_at=row[9],
    )


# Both hold for the transaction alone, as a pooler wants it. Hosts that stop in the
# middle (a debugger, a sleeping laptop) must not keep their rows locked; and every join
# here is from a few given rows into an index, whatever the planner believes about
# tables that were never analysed.
_BEGIN = """begin;
set local lock_timeout = {half};
set local idle_in_transaction_session_timeout = {ms};
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local enable_seqscan = off;
set local jit = off"""

_MAKE_ACTORS = """
insert into {s}.actor(type, instance)
select k.type, k.instance from unnest($1::text[], $2::text[]) as k(type, instance)
where not exists (select from {s}.actor a
    where a.type = k.type and a.instance = k.instance)
order by k.type collate "C", k.instance collate "C"
on conflict do nothing"""

_LOCK_ACTORS = """
select k.i, a.n, a.epoch, a.owner, a.etag, a.marks, a.first_position,
    h.name, coalesce(h.expires_at > clock_timestamp(), false)
from unnest($1::text[], $2::text[]) with ordinality as k(type, instance, i)
join {s}.actor a on a.type = k.type and a.instance = k.instance
left join {s}.host h on h.id = a.owner
order by a.n for update of a"""

# Kind 0: where a message id is known; 1: open turns; 2: the last position.
_READ_TURNS = """
select 0, k.i, t.position
from unnest($1::bigint[], $2::bytea[]) with ordinality as k(actor, message_id, i)
join {s}.turn t on t.actor = k.actor and t.message_id = k.message_id
union all
select 1, t.actor, t.position
from unnest($3::bigint[], $4::bigint[]) as k(actor, position)
join {s}.turn t on t.actor = k.actor and t.position = k.position
where t.status = 'pending'
union all
select 2, k.actor, (select max(t.position) from {s}.turn t where t.actor = k.actor)
from unnest($5::bigint[]) as k(actor)"""

_CLAIMED_VALUES = """
select v.actor, v.key, v.value
from unnest($1::bigint[]) as k(n) join {s}.value v on v.actor = k.n"""

_CLAIMED_TURNS = """
select {columns}, t.actor
from unnest($1::bigint[]) as k(n) join {s}.turn t on t.actor = k.n
where t.status = 'pending' order by t.actor, t.position"""

_NEXT_POSITIONS = """
select a.n, greatest(a.first_position, 1 + coalesce(
    (select max(t.position) from {s}.turn t where t.actor = a.n), 0))
from unnest($1::bigint[]) as k(n) join {s}.actor a on a.n = k.n"""

_READ_PLACES = """
select {columns}
from unnest($1::bigint[]) with ordinality as k(place, i)
join {s}.turn t on t.actor = $2 and t.position = k.place order by k.i"""

_DELETE_ACTOR = """
with gone as (delete from {s}.turn where actor = $1 returning position),
    lost as (delete from {s}.value where actor = $1 returning 1),
    kept as (update {s}.actor set first_position = greatest(
        first_position, 1 + coalesce((select max(position) from gone), 0))
        where n = $1)
select (select count(*) from gone) + (select count(*) from lost)"""

_TRIM = """
update {s}.turn set result = null,
    body = case status when 'interrupted' then body end
where actor = $1 and status <> 'pending'
and (result is not null or body is not null and status <> 'interrupted')
and position <= (select position from {s}.turn
    where actor = $1 and status <> 'pending'
    order by position desc limit 1 offset $2)"""

_ADD_HOST = """
insert into {s}.host as h(id, name, expires_at)
values ($1, $2, clock_timestamp() + make_interval(secs => $3))
on conflict (id) do update set name = excluded.name, expires_at = excluded.expires_at
where h.expires_at <= clock_timestamp() returning 1"""

_RENEW_HOST = """
insert into {s}.host as h(id, name, expires_at)
values ($1, $2, clock_timestamp() + make_interval(secs => $3))
on conflict (id) do update set expires_at = excluded.expires_at"""

_END_HOST = "update {s}.host set expires_at = clock_timestamp() where id = $1"

# Long dead hosts still give their names to errors, but not for ever.
_FORGET_HOSTS = """
delete from {s}.host where expires_at < clock_timestamp() - interval '90 days'"""

_ACTOR = "(select n from {s}.actor where type = $1 and instance = $2)"


_INSERT_TURNS = """
insert into {s}.turn(actor, position, message_id, status, attempts, accepted_at,
    ended_at, body, result, entries, checkpoint) select * from {rows} as k"""
_CHANGE_TURNS = """
update {s}.turn t set attempts = t.attempts + k.started,
    checkpoint = coalesce(k.checkpoint, t.checkpoint),
    status = coalesce(k.status, t.status), ended_at = coalesce(k.ended_at, t.ended_at),
    result = coalesce(k.result, t.result), entries = coalesce(k.entries, t.entries)
from {rows} as k(actor, position, started, checkpoint, status, ended_at, result,
    entries)
where t.actor = k.actor and t.position = k.position"""
_SET_VALUES = """
insert into {s}.value(actor, key, value) select * from {rows} as k
on conflict (actor, key) do update set value = excluded.value"""
_REMOVE_VALUES = """
delete from {s}.value v using {rows} as k(actor, key)
where v.actor = k.actor and v.key = k.key"""
_CHANGE_ACTORS = """
update {s}.actor a set epoch = k.epoch, owner = k.owner, etag = k.etag,
    marks = string_to_array(k.marks, ' ')
from {rows} as k(n, epoch, owner, etag, marks) where a.n = k.n"""

# By the names of the arguments of `Statements.write`; with the types of the columns.
_PARTS: dict[str, tuple[str, str]] = {
    "insert_turns": (
        _INSERT_TURNS,
        "bigint bigint bytea text integer float8 float8 bytea bytea bytea bytea",
    ),
    "change_turns": (
        _CHANGE_TURNS,
        "bigint bigint integer bytea text float8 bytea bytea",
    ),
    "set_values": (_SET_VALUES, "bigint bytea bytea"),
    "remove_values": (_REMOVE_VALUES, "bigint bytea"),
    "change_actors": (_CHANGE_ACTORS, "bigint bigint text text text"),
}

Rows = Sequence[Sequence[Any]]


class Statements:
    """The statements for the tables of one schema.

    Args:
        schema: a checked name.
        timeout: seconds that a group may take.
    """

    def __init__(self, schema: str, timeout: float) -> None:
        self._schema = f'"{schema}"'
        ms = max(int(timeout * 1000), 2)
        self.begin = _BEGIN.format(ms=ms, half=ms // 2)
        self.make_actors = self.of(_MAKE_ACTORS)
        self.lock_actors = self.of(_LOCK_ACTORS)
        self.read_turns = self.of(_READ_TURNS)
        self.claimed_values = self.of(_CLAIMED_VALUES)
        self.claimed_turns = self.of(_CLAIMED_TURNS)
        self.next_positions = self.of(_NEXT_POSITIONS)
        self.read_places = self.of(_READ_PLACES)
        self.delete_actor = self.of(_DELETE_ACTOR)
        self.trim = self.of(_TRIM)
        self.add_host = self.of(_ADD_HOST)
        self.renew_host = self.of(_RENEW_HOST)
        self.end_host = self.of(_END_HOST)
        self.forget_hosts = self.of(_FORGET_HOSTS)

    def of(self, statement: str) -> str:
        """A statement with `{s}` for the schema and `{columns}` for those of a turn.

        `{actor}` is the number of the actor whose type and instance are $1 and $2.
        """
        actor = _ACTOR.format(s=self._schema)
        return statement.format(s=self._schema, columns=TURN_COLUMNS, actor=actor)

    async def write(self, connection: Connection, **rows: Rows) -> None:
        """Run the named parts that have rows, as one statement."""
        parts: list[str] = []
        columns: list[list[Any]] = []
        for name, given in rows.items():
            if given:
                statement, types = _PARTS[name]
                first = len(columns) + 1
                text = statement.format(s=self._schema, rows=_rows(first, types))
                parts.append(text)
                columns += map(list, zip(*given, strict=True))
        if not parts:
            return
        *others, last = parts
        named = ", ".join(f"part{n} as ({part})" for n, part in enumerate(others))
        await connection.execute(f"with {named} {last}" if named else last, *columns)


def _rows(first: int, types: str) -> str:
    arrays = (f"${n}::{of}[]" for n, of in enumerate(types.split(), first))
    return f"unnest({', '.join(arrays)})"
