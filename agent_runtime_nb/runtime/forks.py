"""Forks, imports and names of conversations.

What the runtime itself stores of an actor lives under state keys that start with "$".
The note of a conversation, "$conversation", is `{"name": str | None, "parent": {"actor":
"type/instance", "message_id": str | None, "at": POSIX seconds} | None, "made_at"?: POSIX
seconds of an import}`. It is written beside the turns, by
the actor's owner, so it needs no new version of the state.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agent_runtime_nb._base.json_codec import decode, encode, encode_body
from agent_runtime_nb._base.tasks import see
from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    InvalidActorId,
    InvalidRequest,
    RequestNotFound,
)
from agent_runtime_nb.runtime.catalog import Catalog
from agent_runtime_nb.runtime.cell import ActorCell
from agent_runtime_nb.runtime_abstractions import (
    ALLOWED_TOOLS,
    DISCARDED,
    OWN_KEYS,
    ActorId,
    Encoded,
    JsonValue,
    Page,
    TurnView,
)
from agent_runtime_nb.runtime_directory import ConversationInfo
from agent_runtime_nb.storage_abstractions import (
    MOST_STATES,
    ActorChange,
    ActorState,
    TurnRecord,
)

_log = logging.getLogger(__name__)

NOTE = f"{OWN_KEYS}conversation"
_NOTED = (NOTE, DISCARDED, ALLOWED_TOOLS)
_SESSION = "session"  # what an agent can make anew of its turns
_PAGE = 200
_FORK = " (fork)"
# Control characters, and marks that turn the direction of reading round.
_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_STEP = 40  # turns or values of one change; a backend may refuse more


# --- names and parents ----------------------------------------------------------------


async def list_conversations(
    actors: Catalog, type_name: str | None, after: str | None, limit: int
) -> Page[ConversationInfo]:
    """A page of stored actors with their names and parents."""
    limit = min(limit, MOST_STATES)
    page = await actors.list_actors(type_name, after=after, limit=limit)
    states = await actors.storage.read_states(page.items, _NOTED)
    items = [_info(*pair) for pair in zip(page.items, states, strict=True)]
    return Page(tuple(items), page.next)


async def conversation_info(actors: Catalog, actor_id: ActorId) -> ConversationInfo:
    """What is noted of a conversation."""
    return _info(actor_id, await actors.storage.read_state(actor_id, _NOTED))


def _info(actor_id: ActorId, state: ActorState) -> ConversationInfo:
    note: dict[str, Any] = decode(state.values.get(NOTE, b"{}"))
    parent: dict[str, Any] = note.get("parent") or {}
    forked_on: float | None = parent.get("at")
    return ConversationInfo(
        actor_id,
        name=note.get("name"),
        parent=_parent(parent["actor"]) if parent else None,
        forked_at=parent.get("message_id"),
        forked_on=None if forked_on is None else datetime.fromtimestamp(forked_on, UTC),
        discarded=tuple(decode(state.values.get(DISCARDED, b"[]"))),
        allowed_tools=tuple(decode(state.values.get(ALLOWED_TOOLS, b"[]"))),
    )


def _parent(noted: str) -> ActorId | None:
    try:
        return ActorId.parse(noted)
    except InvalidActorId:  # somebody else's: nobody can open it, so there is none
        return None


def made_at(values: Mapping[str, Encoded]) -> float:
    """When a conversation was forked or imported, POSIX seconds; 0.0 if it was not."""
    note: dict[str, Any] = decode(values.get(NOTE, b"{}"))
    parent: dict[str, Any] = note.get("parent") or {}
    return max(note.get("made_at") or 0.0, parent.get("at") or 0.0)


async def rename(actors: Catalog, actor_id: ActorId, name: str | None) -> None:
    """Give a stored conversation a name for people, or none."""
    shown = None if name is None else _checked_name(name)
    state = await actors.storage.read_state(actor_id, ())
    if state.epoch == 0 and state.etag is None:
        raise RequestNotFound(actor_id, "")

    def renamed(cell: ActorCell) -> ActorChange:
        note = decode(cell.values.get(NOTE, b"{}")) | {"name": shown}
        return ActorChange(cell.epoch, set={NOTE: encode(note)})

    await annotate(actors, actor_id, renamed)


async def disallow_tool(actors: Catalog, actor_id: ActorId, tool: str) -> bool:
    """See `RuntimeDirectory.disallow_tool`."""
    if tool not in (await conversation_info(actors, actor_id)).allowed_tools:
        return False
    ends: list[Awaitable[None]] = []

    def taken_back(cell: ActorCell) -> ActorChange | None:
        running = cell.running
        if running is not None and (end := running.wait()) is not None:
            # It may be about to store the tool among others. One that begins later
            # does not know it any more.
            ends.append(end)
        return _without_tool(cell, tool)

    taken = await annotate(actors, actor_id, taken_back)
    for end in ends:
        again = _take_back_after(end, actors, actor_id, tool)
        actors.tasks.spawn(again, name=f"disallow {tool}")
    return taken is not None


def _without_tool(cell: ActorCell, tool: str) -> ActorChange | None:
    allowed: list[str] = decode(cell.values.get(ALLOWED_TOOLS, b"[]"))
    kept = [one for one in allowed if one != tool]
    if kept == allowed:
        return None
    return ActorChange(cell.epoch, set={ALLOWED_TOOLS: encode(kept)})


async def _take_back_after(
    end: Awaitable[None], actors: Catalog, actor_id: ActorId, tool: str
) -> None:
    await end
    try:
        again = annotate(actors, actor_id, lambda one: _without_tool(one, tool))
        await actors.bounded(again)
    except AgentRuntimeError as error:
        _log.warning("%s: %s may still run without asking: %s", actor_id, tool, error)


def _checked_name(name: str) -> str:
    shown = " ".join(_UNSEEN.sub(" ", name).split())
    if not 1 <= len(shown) <= 200:
        raise InvalidRequest("name", "must have 1 to 200 characters")
    return shown


async def owned(actors: Catalog, actor_id: ActorId) -> ActorCell:
    """The actor in memory, claimed by this host; until the caller's next await.

    Raises:
        ActorOwnedElsewhere, StorageError: if it cannot be claimed.
    """
    while True:
        cell = actors.adopt(actor_id)
        await cell.ready()
        # An idle one may have left memory before its waiter went on.
        if actors.find(actor_id) is cell or actor_id in actors.quarantined:
            return cell


async def annotate(
    actors: Catalog,
    actor_id: ActorId,
    decide: Callable[[ActorCell], ActorChange | None],
) -> ActorCell | None:
    """Change what is noted of an actor beside its turns, by what is noted so far.

    One at a time for each actor. `decide` looks into memory and gives the change; it is
    no coroutine, so nothing is written between its look and its change. None: there is
    nothing to change.
    """
    async with actors.note_lock(actor_id):
        cell = await owned(actors, actor_id)
        change = decide(cell)
        if change is None:
            return None
        written = cell.note(change)
        see(written)  # the wait for it may be cancelled
        await asyncio.shield(written)
        return cell


# --- forks ----------------------------------------------------------------------------


async def fork(
    actors: Catalog,
    actor_id: ActorId,
    at: str | None,
    before: str | None,
    to: ActorId | None,
) -> ActorId:
    """A new conversation with the turns of another up to one of them."""
    if at is not None and before is not None:
        raise InvalidRequest("before", "give `at` or `before`, not both")
    records, state = await _snapshot(actors, actor_id)
    last = len(records)
    if (message_id := at or before) is not None:
        last = _place(actor_id, records, message_id) + (before is None)
    values = _forked_values(state, at_end=last == len(records))
    copied = {record.message_id for record in records[:last]}
    discarded: list[str] = decode(state.values.get(DISCARDED, b"[]"))
    if here := [one for one in discarded if one in copied]:
        values[DISCARDED] = encode(here)
    forked_at = records[last - 1].message_id if last else None
    now = actors.environment.wall_clock()
    parent: JsonValue = {"actor": str(actor_id), "message_id": forked_at, "at": now}
    label = _info(actor_id, state).name or actor_id.instance_id
    name = f"{label.removesuffix(_FORK)[:180]}{_FORK}"
    values[NOTE] = encode({"name": name, "parent": parent})
    target = to or ActorId(actor_id.type_name, f"fork-{uuid.uuid4().hex[:12]}")
    await _write(actors, target, records[:last], values)
    return target


async def _snapshot(
    actors: Catalog, actor_id: ActorId
) -> tuple[list[TurnRecord], ActorState]:
    """The ended turns and the state they led to, even if one ends in between."""
    read = actors.storage.read_state
    while True:
        state = await actors.bounded(read(actor_id))
        records = await _ended_turns(actors, actor_id)
        now = await actors.bounded(read(actor_id, ()))
        if now.etag == state.etag:
            return records, state


async def _ended_turns(actors: Catalog, actor_id: ActorId) -> list[TurnRecord]:
    pages: list[list[TurnRecord]] = []
    before: int | None = None
    while True:
        reading = actors.storage.read_turns(actor_id, before=before, limit=_PAGE)
        page = await actors.bounded(reading)
        pages.append([one for one in page if one.status.is_final])
        if len(page) < _PAGE:
            return [one for page in reversed(pages) for one in page]
        before = page[0].position


def _place(actor_id: ActorId, records: Sequence[TurnRecord], message_id: str) -> int:
    for index, record in enumerate(records):
        if record.message_id == message_id:
            return index
    raise RequestNotFound(actor_id, message_id)


def _forked_values(state: ActorState, *, at_end: bool) -> dict[str, Encoded]:
    values = {k: v for k, v in state.values.items() if not k.startswith(OWN_KEYS)}
    match decode(values.get(_SESSION, b"null")):
        case {"session": {"service_session_id": str()}}:
            problem = "its service keeps the conversation, which cannot be forked there"
            raise InvalidRequest("conversation", problem)
        case _:
            pass
    if at_end:
        return values
    values.pop(_SESSION, None)
    # What a person allowed holds for the whole conversation, whatever was said last.
    kept = {key: values.pop(key) for key in (ALLOWED_TOOLS,) if key in values}
    if values:
        problem = "this actor keeps state of which only the newest version is stored"
        raise InvalidRequest("at", f"{problem}; fork it at its last turn")
    return kept


# --- imports --------------------------------------------------------------------------


async def import_turns(
    actors: Catalog,
    actor_id: ActorId,
    turns: Sequence[TurnView],
    name: str | None,
    discarded: Sequence[str],
) -> None:
    """Make a new conversation of turns that have ended elsewhere."""
    if any(not turn.status.is_final for turn in turns):
        raise InvalidRequest("turns", "must have ended")
    known = {turn.message_id for turn in turns}
    if len(known) < len(turns):
        raise InvalidRequest("turns", "must have different message ids")
    if not known.issuperset(discarded):
        raise InvalidRequest("discarded", "must be message ids of the turns")
    shown = None if name is None else _checked_name(name)
    made_at = actors.environment.wall_clock()
    values = {NOTE: encode({"name": shown, "parent": None, "made_at": made_at})}
    if discarded:
        values[DISCARDED] = encode(list(discarded))
    await _write(actors, actor_id, map(_record, turns), values)


def _record(view: TurnView) -> TurnRecord:
    kept = bool(view.method)
    body = encode_body(view.method, view.params, view.metadata) if kept else None
    return TurnRecord(
        position=0,
        message_id=view.message_id,
        status=view.status,
        attempts=view.attempts,
        body=body,
        result=None if view.data is None else encode(view.data),
        entries=encode(list(view.entries)) if view.entries else None,
        checkpoint=None if view.checkpoint is None else encode(view.checkpoint),
        accepted_at=view.accepted_at.timestamp(),
        ended_at=None if view.ended_at is None else view.ended_at.timestamp(),
    )


async def _write(
    actors: Catalog,
    target: ActorId,
    records: Iterable[TurnRecord],
    values: dict[str, Encoded],
) -> None:
    async with actors.note_lock(target):  # nobody notes anything of what is not whole
        await _write_new(actors, target, records, values)


async def _write_new(
    actors: Catalog,
    target: ActorId,
    records: Iterable[TurnRecord],
    values: dict[str, Encoded],
) -> None:
    cell = await actors.bounded(owned(actors, target))
    if cell.position or cell.values or cell.open:
        raise InvalidRequest("to", f"{target} exists already; choose another name")
    # A fork that breaks off half way must not look like a whole one: the note with
    # the parent comes last.
    note = values.pop(NOTE)
    accepted = list(records)
    for position, record in enumerate(accepted, 1):
        record.position = position
    cell.position = len(accepted)
    cell.hold_requests()
    try:
        for start in range(0, len(accepted), _STEP):
            part = tuple(accepted[start : start + _STEP])
            change = ActorChange(epoch=cell.epoch, accepted=part)
            await actors.bounded(cell.write(change))
        items = list(values.items())
        for start in range(0, len(items), _STEP):
            some = dict(items[start : start + _STEP])
            await actors.bounded(cell.note(ActorChange(cell.epoch, set=some)))
        whole = ActorChange(cell.epoch, set={NOTE: note})
        await actors.bounded(cell.note(whole))
        cell.release_requests()
    except BaseException as error:
        cell.abandon(error)
        await actors.bounded(actors.storage.delete_state(target, epoch=cell.epoch))
        raise
