"""What is read: one statement each, so that each answer is of one moment."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agent_runtime_nb.runtime_abstractions import ActorId, Page
from agent_runtime_nb.storage.postgres.statements import (
    Statements,
    decode_text,
    encode_text,
    record_of,
)
from agent_runtime_nb.storage_abstractions import ActorList, ActorState, TurnRecord

Fetch = Callable[..., Awaitable[Sequence[Any]]]
"""Gives the rows of a statement with its arguments."""

_IN_NO_ID = re.compile("[\0\ud800-\udfff]")  # and in no text of the server

_STATES = """
select asked.place, a.etag, a.epoch, v.key, v.value
from unnest($1::text[], $2::text[]) with ordinality as asked(type, instance, place)
join {s}.actor a on a.type = asked.type and a.instance = asked.instance
left join {s}.value v on v.actor = a.n
    and ($3::bytea[] is null or v.key = any($3::bytea[]))
    and v.key >= $4::bytea and ($5::bytea is null or v.key < $5::bytea)"""

_TURN = """
select {columns} from {s}.turn where actor = {actor} and message_id = $3"""

_TURNS = """
select {columns} from {s}.turn where actor = {actor}
and position < coalesce($3::bigint, 9223372036854775807)
order by position desc limit $4"""

_KEYS = """
select key from {s}.value where actor = {actor} and key >= $3
and ($4::bytea is null or key < $4) and ($5::bytea is null or key > $5)
order by key limit $6"""

_LIST = """
select a.type, a.instance from {s}.actor a
where (a.type, a.instance) > ($1::text, $2::text)
and ($3::text is null or a.type = $3) {{having}}
order by a.type, a.instance limit $4"""
_HAS_DATA = """and (exists (select from {s}.turn t where t.actor = a.n)
    or exists (select from {s}.value v where v.actor = a.n))"""
# Open and marked ones are few: each has a small index of its own.
_HAS_OPEN = "and a.n in (select actor from {s}.turn where status = 'pending')"
_HAS_MARK = "and a.marks <> '{{}}' and $5::text = any(a.marks)"


class Reads:
    """The verbs that only read.

    Args:
        statements: knows where the tables are.
    """

    def __init__(self, statements: Statements) -> None:
        of = statements.of
        self._states, self._turn, self._turns = of(_STATES), of(_TURN), of(_TURNS)
        self._keys, list_ = of(_KEYS), of(_LIST)
        has_data, has_open, has_mark = of(_HAS_DATA), of(_HAS_OPEN), of(_HAS_MARK)
        self._lists = {
            (False, False): list_.format(having=has_data),
            (False, True): list_.format(having=f"{has_data} {has_mark}"),
            (True, False): list_.format(having=has_open),
            (True, True): list_.format(having=f"{has_open} {has_mark}"),
        }

    async def read_states(
        self,
        fetch: Fetch,
        actor_ids: Sequence[ActorId],
        keys: Sequence[str] | None,
        prefix: str,
    ) -> list[ActorState]:
        """See `IActorStateStorage.read_states`."""
        wanted = None if keys is None else [encode_text(key) for key in keys]
        types = [one.type_name for one in actor_ids]
        instances = [one.instance_id for one in actor_ids]
        start, end = _range_of(prefix)
        rows = await fetch(self._states, types, instances, wanted, start, end)
        states = [ActorState({}, None, 0) for _ in actor_ids]
        for row in rows:
            state = states[int(row[0]) - 1]
            state.etag, state.epoch = row[1], row[2]
            if row[3] is not None:
                state.values[decode_text(row[3])] = row[4]
        return states

    async def find_turn(
        self, fetch: Fetch, actor_id: ActorId, message_id: str
    ) -> TurnRecord | None:
        """See `IActorStateStorage.find_turn`."""
        rows = await fetch(self._turn, *actor_id, encode_text(message_id))
        return record_of(rows[0]) if rows else None

    async def read_turns(
        self, fetch: Fetch, actor_id: ActorId, before: int | None, limit: int
    ) -> list[TurnRecord]:
        """See `IActorStateStorage.read_turns`."""
        rows = await fetch(self._turns, *actor_id, before, max(limit, 0))
        return [record_of(row) for row in reversed(rows)]

    async def list_keys(
        self,
        fetch: Fetch,
        actor_id: ActorId,
        prefix: str,
        after: str | None,
        limit: int,
    ) -> Page[str]:
        """See `IActorStateStorage.list_keys`."""
        start, end = _range_of(prefix)
        token = None if after is None else encode_text(after)
        rows = await fetch(self._keys, *actor_id, start, end, token, limit + 1)
        items = tuple(decode_text(row[0]) for row in rows[:limit])
        return Page(items, items[-1] if len(rows) > limit else None)

    async def list_actors(
        self,
        fetch: Fetch,
        type_name: str | None,
        *,
        open_only: bool,
        mark: str | None,
        after: str | None,
        limit: int,
    ) -> Page[ActorId]:
        """See `IActorStateStorage.list_actors`."""
        if _IN_NO_ID.search((type_name or "") + (mark or "")):
            return Page((), None)
        place = _IN_NO_ID.split(after or "", maxsplit=1)[0]
        after_type, _, after_instance = place.partition("/")
        start = max((type_name or "", ""), (after_type, after_instance))
        marked = () if mark is None else (mark,)
        statement = self._lists[open_only, mark is not None]
        listed = ActorList(limit)
        while not listed.is_full:
            count = listed.missing
            rows = await fetch(statement, *start, type_name, count, *marked)
            listed.add((row[0], row[1]) for row in rows)
            if len(rows) < count:
                break
            start = (rows[-1][0], rows[-1][1])
        return listed.page()


def _range_of(prefix: str) -> tuple[bytes, bytes | None]:
    """The first stored key with a prefix, and the first beyond them, if there may be."""
    start = encode_text(prefix)
    # No byte of UTF-8 is the last one, so the next byte always exists.
    return start, start[:-1] + bytes([start[-1] + 1]) if start else None
