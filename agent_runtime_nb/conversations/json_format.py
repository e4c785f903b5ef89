"""A conversation as one JSON document: written, and imported again by later versions.

    {"format": FORMAT, "version": 1, "agent": str, "conversation": str,
     "name": str | None, "turns": [turn, ...], "discarded": [message id, ...]}

where a turn has the fields of `TurnView`, times as ISO 8601 texts. "discarded" names the
turns that the model does not see; files of earlier versions do not have it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from agent_runtime_nb.conversations.entries import Entry, to_message
from agent_runtime_nb.conversations.reading import Conversation
from agent_runtime_nb.exceptions import InvalidRequest, SchemaTooNew
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    JsonValue,
    RequestStatus,
    TurnView,
)
from agent_runtime_nb.runtime_directory import RuntimeDirectory

FORMAT = "agent-runtime-nb conversation"
VERSION = 1


def to_json(conversation: Conversation) -> dict[str, JsonValue]:
    """The conversation in the form that `import_conversation` takes."""
    info = conversation.info
    return {
        "format": FORMAT,
        "version": VERSION,
        "agent": info.actor_id.type_name,
        "conversation": info.actor_id.instance_id,
        "name": info.name,
        "turns": [_turn_to_json(turn) for turn in conversation.turns],
        "discarded": list(info.discarded),
    }


def _turn_to_json(turn: TurnView) -> dict[str, JsonValue]:
    ended = turn.ended_at
    return {
        "message_id": turn.message_id,
        "status": turn.status.value,
        "attempts": turn.attempts,
        "method": turn.method,
        "params": turn.params,
        "metadata": dict(turn.metadata),
        "data": turn.data,
        "entries": list(turn.entries),
        "checkpoint": turn.checkpoint,
        "accepted_at": turn.accepted_at.isoformat(),
        "ended_at": None if ended is None else ended.isoformat(),
    }


def turns_from_json(data: JsonValue) -> list[TurnView]:
    """The turns of a conversation in its JSON form.

    Raises:
        SchemaTooNew: if a newer version of this package wrote it.
        InvalidRequest: if it is something else, naming the field.
    """
    document = _object(data, "conversation")
    if document.get("format") != FORMAT:
        raise InvalidRequest("format", f"must be {FORMAT!r}")
    version = document.get("version")
    if not isinstance(version, int):
        raise InvalidRequest("version", "must be a number")
    if version > VERSION:
        raise SchemaTooNew("of the conversation", version, VERSION)
    turns = document.get("turns")
    if not isinstance(turns, list):
        raise InvalidRequest("turns", "must be a list")
    return [
        _turn_from_json(turn, position)
        for position, turn in enumerate(cast("list[JsonValue]", turns), 1)
    ]


def _discarded_from_json(
    document: dict[str, Any], turns: Sequence[TurnView]
) -> list[str]:
    # Files of earlier versions of this package do not have it.
    found = document.get("discarded", [])
    listed = cast("list[object]", found) if isinstance(found, list) else [None]
    if not all(isinstance(one, str) for one in listed):
        raise InvalidRequest("discarded", "must be a list of message ids")
    # Their forks may name turns that only the parent has.
    known = {turn.message_id for turn in turns}
    return [one for one in cast("list[str]", listed) if one in known]


def _turn_from_json(value: JsonValue, position: int) -> TurnView:
    field = f"turns[{position - 1}]"
    turn = _object(value, field)
    try:
        ended = turn["ended_at"]
        return TurnView(
            message_id=str(turn["message_id"]),
            position=position,
            status=RequestStatus(turn["status"]),
            attempts=int(turn["attempts"]),
            method=str(turn["method"]),
            params=turn["params"],
            metadata=_object(turn["metadata"], f"{field}.metadata"),
            data=turn["data"],
            entries=[
                _entry_from_json(entry, f"{field}.entries[{index}]")
                for index, entry in enumerate(turn["entries"])
            ],
            checkpoint=turn["checkpoint"],
            accepted_at=datetime.fromisoformat(turn["accepted_at"]),
            ended_at=None if ended is None else datetime.fromisoformat(ended),
        )
    except KeyError as error:
        raise InvalidRequest(f"{field}.{error.args[0]}", "is missing") from error
    except (TypeError, ValueError) as error:
        raise InvalidRequest(field, str(error)) from error


def _entry_from_json(value: JsonValue, field: str) -> JsonValue:
    """An actor that is no agent has entries of its own; one that has a role is read."""
    if isinstance(value, dict) and "role" in value:
        try:
            to_message(cast("Entry", value))
        except Exception as error:
            raise InvalidRequest(field, f"is no message: {error!r}") from error
    return cast("JsonValue", value)


def _object(value: JsonValue, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(field, "must be an object")
    return cast("dict[str, Any]", value)


async def import_conversation(
    directory: RuntimeDirectory, data: JsonValue, *, to: ActorId | None = None
) -> ActorId:
    """Make a conversation of its JSON form.

    Args:
        directory: of the runtime that gets it.
        data: what `to_json` gave, decoded.
        to: the new conversation; None: as it was named there.

    Raises:
        SchemaTooNew: if a newer version of this package wrote it.
        InvalidRequest: if it is something else, or the conversation exists.
    """
    turns = turns_from_json(data)
    document = _object(data, "conversation")
    target = to or ActorId(
        str(document.get("agent")), str(document.get("conversation"))
    )
    name = document.get("name")
    await directory.import_turns(
        target,
        turns,
        name if isinstance(name, str) else None,
        _discarded_from_json(document, turns),
    )
    return target
