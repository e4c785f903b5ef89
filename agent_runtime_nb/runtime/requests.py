"""Requests after the fact: withdraw, run again, discard, dead letters, requeue.

A dead letter is noted under "$dead/<message id>" and by the mark "dead", a discarded turn
in the list "$discarded"; both beside the turns, which stay as they are.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from agent_runtime_nb._base.json_codec import decode, decode_body, encode, encode_body
from agent_runtime_nb.exceptions import InvalidRequest, RequestNotFound
from agent_runtime_nb.runtime.catalog import Catalog
from agent_runtime_nb.runtime.cell import ActorCell
from agent_runtime_nb.runtime.forks import annotate, owned
from agent_runtime_nb.runtime.ownership import DEAD, DEAD_MARK, DEAD_MARKS
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime.wait_graph import CHAIN
from agent_runtime_nb.runtime_abstractions import (
    DISCARDED,
    RETRY_OF,
    ActorId,
    Page,
    RequestStatus,
    WhenBusy,
)
from agent_runtime_nb.runtime_directory import DeadLetterInfo
from agent_runtime_nb.storage_abstractions import (
    MOST_STATES,
    ActorChange,
    TurnRecord,
)

_LONGEST_ID = 200

Submit = Callable[[Turn, WhenBusy], "Turn | asyncio.Future[Turn]"]


def withdraw(actors: Catalog, actor_id: ActorId, message_id: str) -> bool:
    """Cancel a request that still waits; whether it did."""
    cell = actors.find(actor_id)
    turn = None if cell is None else cell.open.get(message_id)
    if cell is None or turn is None or turn is cell.running:
        return False
    if cell.being_accepted(turn) is not None:
        return False  # not stored yet, or it is a known one that is sent again
    return cell.cancel(turn, "cancelled")


async def _ended_turn(
    actors: Catalog, actor_id: ActorId, message_id: str
) -> TurnRecord:
    record = await actors.storage.find_turn(actor_id, message_id)
    if record is None:
        raise RequestNotFound(actor_id, message_id)
    if not record.status.is_final:
        raise InvalidRequest("message_id", f"{message_id} has not ended yet")
    return record


async def run_again(
    actors: Catalog, submit: Submit, actor_id: ActorId, message_id: str
) -> str:
    """Send a request that has ended as a new one in its place; the new id."""
    record = await _ended_turn(actors, actor_id, message_id)
    if record.body is None:
        raise InvalidRequest("message_id", f"the text of {message_id} is not kept")
    method, params, metadata = decode_body(record.body)
    # Whoever asks for it a second time means the same request.
    new_id = _next_id(message_id)
    headers = {name: text for name, text in metadata.items() if name != CHAIN}
    body = encode_body(method, params, {**headers, RETRY_OF: message_id})
    accepted = submit(Turn(actor_id, 0, new_id, body), "queue")
    if not isinstance(accepted, Turn):
        await asyncio.shield(accepted)
    return new_id


def _next_id(message_id: str) -> str:
    """`m` -> `m~2` -> `m~3`: the same for everybody who runs the same turn again."""
    first, _, number = message_id.rpartition("~")
    if not first or not number.isdecimal():
        first, number = message_id, "1"
    new_id = f"{first}~{int(number) + 1}"
    if len(new_id) > _LONGEST_ID:
        raise InvalidRequest("message_id", "is too long for another one beside it")
    return new_id


async def discard(actors: Catalog, actor_id: ActorId, message_id: str) -> bool:
    """Take a turn that did not complete out of what the model sees."""
    record = await _ended_turn(actors, actor_id, message_id)
    if record.status is RequestStatus.COMPLETED:
        raise InvalidRequest("message_id", f"{message_id} has completed; fork instead")

    def discarded(cell: ActorCell) -> ActorChange | None:
        listed: list[str] = decode(cell.values.get(DISCARDED, b"[]"))
        if message_id in listed:
            return None
        values = {DISCARDED: encode([*listed, message_id])}
        return ActorChange(cell.epoch, set=values)

    cell = await annotate(actors, actor_id, discarded)
    if cell is None:
        return False
    cell.renew()  # what it remembers of the conversation is out of date
    return True


async def dead_letters(
    actors: Catalog, type_name: str | None, after: str | None, limit: int
) -> Page[DeadLetterInfo]:
    """The dead letters of a page of actors that have some."""
    limit = min(limit, MOST_STATES)
    page = await actors.list_actors(type_name, mark=DEAD_MARK, after=after, limit=limit)
    states = await actors.storage.read_states(page.items, prefix=DEAD)
    found = [
        _dead_letter(actor_id, key.removeprefix(DEAD), decode(state.values[key]))
        for actor_id, state in zip(page.items, states, strict=True)
        for key in sorted(state.values)
    ]
    return Page(tuple(found), page.next)


def _dead_letter(
    actor_id: ActorId, message_id: str, note: dict[str, Any]
) -> DeadLetterInfo:
    at = datetime.fromtimestamp(note["at"], UTC)
    reason = note.get("reason", "")  # older ones have none
    return DeadLetterInfo(actor_id, message_id, note["attempts"], at, reason)


async def requeue(
    actors: Catalog, submit: Submit, actor_id: ActorId, message_id: str
) -> str:
    """Send a dead letter again; it is none any more."""
    key = DEAD + message_id
    if key not in (await owned(actors, actor_id)).values:
        raise RequestNotFound(actor_id, message_id)
    new_id = await run_again(actors, submit, actor_id, message_id)

    def settled(cell: ActorCell) -> ActorChange:
        change = ActorChange(cell.epoch, remove=(key,))
        if not any(one.startswith(DEAD) for one in cell.values if one != key):
            change.remove_marks = DEAD_MARKS
        return change

    await annotate(actors, actor_id, settled)
    return new_id
