"""What is read: one statement each, so that each answer is of one moment."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agent_runtime_nb.runtime_abstractions import ActorId, Page
from agent_runtime_nb.storage.postgres._statements import (
    Statements,
    decode_text,
    encode_text,
    record_of,
)
from agent_runtime_nb.storage_abstractions import ActorList, ActorState, TurnRecord

Fetch = Callable[..., Awaitable[Sequence[Any]]]
"""Gives the rows of a statement with its arguments."""

_IN_NO_ID = re.compile("[\0\ud800-\udfff]")  # and in no text of the server

_STATE = """
select a.etag, a.epoch, v.key, v.value
from {s}.actor a left join {s}.value v
    on v.actor = a.n and ($3::bytea[] is null or v.key = any($3::bytea[]))
where a.type = $1 and a.instance = $2"""

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
        self._state, self._turn, self._turns = of(_STATE), of(_TURN), of(_TURNS)
        self._keys, list_ = of(_KEYS), of(_LIST)
        has_data, has_open, has_mark = of(_HAS_DATA), of(_HAS_OPEN), of(_HAS_MARK)
        self._lists = {
            (False, False): list_.format(having=has_data),
            (False, True): list_.format(having=f"{has_data} {has_mark}"),
            (True, False): list_.format(having=has_open),
            (True, True): list_.format(having=f"{has_open} {has_mark}"),
        }

    async def read_state(
        self, fetch: Fetch, actor_id: ActorId, keys: Sequence[str] | None
    ) -> ActorState:
        """See `IActorStateStorage.read_state`."""
        wanted = None if keys is None else [encode_text(key) for key in keys]
        rows = await fetch(self._state, *actor_id, wanted)
        if not rows:
            return ActorState({}, None, 0)
        values = {decode_text(row[2]): row[3] for row in rows if row[2] is not None}
        return ActorState(values, rows[0][0], rows[0][1])

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
        start = encode_text(prefix)
        # No byte of UTF-8 is the last one, so the next byte always exists.
        end = start[:-1] + bytes([start[-1] + 1]) if start else None
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
