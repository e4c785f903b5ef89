"""Whole conversations: read one, write it down as Markdown, JSON or a notebook.

The JSON form is versioned and can be imported again, into the same runtime or another:

    {"format": "agent-runtime-nb conversation", "version": 1, "agent": str,
     "conversation": str, "name": str | None, "turns": [turn, ...],
     "discarded": [message id, ...]}

where "discarded" (may be missing) names the turns that the model does not see, and a turn has the attributes of `TurnView`, times as ISO 8601 texts. Markdown and the
notebook are for reading: what was said, tool calls and results; never a tool's secrets
beyond what the conversation itself holds.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from agent_runtime_nb.conversations.entries import (
    Entry,
    to_message,
    turn_entries,
    was_withdrawn,
)
from agent_runtime_nb.exceptions import InvalidRequest, SchemaTooNew
from agent_runtime_nb.runtime_abstractions import (
    RETRY_OF,
    ActorId,
    JsonValue,
    RequestStatus,
    TurnView,
)
from agent_runtime_nb.runtime_directory import ConversationInfo, RuntimeDirectory

FORMAT = "agent-runtime-nb conversation"
VERSION = 1

_PAGE = 200
_WHO = {"user": "You", "system": "System", "tool": "Tool"}
_STATUS_NOTES = {
    "cancelled": "stopped before it was finished",
    "failed": "failed before it was finished",
    "interrupted": "interrupted before it was finished",
}
_NOT_SHOWN = ("text", "text_reasoning", "usage")  # without a text, that is
_LONGEST_FENCE = 40


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation with all its ended turns, oldest first."""

    info: ConversationInfo
    turns: Sequence[TurnView]

    @property
    def title(self) -> str:
        """Its name, else what identifies it."""
        return self.info.name or self.info.actor_id.instance_id


async def list_conversations(
    directory: RuntimeDirectory, type_name: str | None = None
) -> AsyncIterator[ConversationInfo]:
    """Every stored conversation, in the order of the ids, page after page."""
    after: str | None = None
    while True:
        page = await directory.list_conversations(type_name, after=after)
        for info in page.items:
            yield info
        after = page.next
        if after is None:
            return


async def read_conversation(
    directory: RuntimeDirectory, actor_id: ActorId
) -> Conversation:
    """A conversation as a whole; what waits or runs is not in it."""
    view = await directory.read_actor(actor_id, limit=_PAGE)
    info = view.info or ConversationInfo(actor_id)
    pages = [view.turns]
    while view.more and view.turns:
        before = view.turns[0].position
        view = await directory.read_actor(actor_id, before=before, limit=_PAGE)
        pages.append(view.turns)
    return Conversation(info, [turn for page in reversed(pages) for turn in page])


# --- for reading ----------------------------------------------------------------------


def to_markdown(conversation: Conversation) -> str:
    """The conversation as Markdown; a message's own Markdown stays as it is."""
    parts = [f"# {_one_line(conversation.title)}"]
    for entry, end in _shown_entries(conversation.turns):
        parts += [f"**{_who(entry, conversation)}**", *_entry_parts(entry), *end]
    return "\n\n".join(parts) + "\n"


def to_notebook(conversation: Conversation) -> dict[str, Any]:
    """The conversation as a Jupyter notebook (nbformat 4.5) of Markdown cells."""
    texts = [f"# {_one_line(conversation.title)}"]
    for entry, end in _shown_entries(conversation.turns):
        heading = f"**{_who(entry, conversation)}**"
        texts.append("\n\n".join([heading, *_entry_parts(entry), *end]))
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": f"cell-{n}", "metadata": {}, "source": text}
        for n, text in enumerate(texts)
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def _shown_entries(turns: Sequence[TurnView]) -> list[tuple[Entry, list[str]]]:
    """What was said, and behind the last entry of a turn how that ended, if not well."""
    replaced = {
        turn.metadata.get(RETRY_OF) for turn in turns if not was_withdrawn(turn)
    }
    shown: list[tuple[Entry, list[str]]] = []
    for turn in turns:
        if turn.message_id not in replaced:
            entries = turn_entries(turn)
            shown += [(entry, []) for entry in entries[:-1]]
            shown += [(entry, _end_note(turn)) for entry in entries[-1:]]
    return shown


def _end_note(turn: TurnView) -> list[str]:
    if was_withdrawn(turn):
        return ["*(withdrawn before it began)*"]
    note = _STATUS_NOTES.get(turn.status.value)
    if note is None:
        return []
    match turn.data:
        case {"error": {"message": str(reason)}}:
            return [f"*({note})*", _fenced(reason)]
        case _:
            return [f"*({note})*"]


def _who(entry: Entry, conversation: Conversation) -> str:
    name = entry.get("author_name") or _WHO.get(entry["role"])
    return _one_line(name or conversation.info.actor_id.type_name)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _entry_parts(entry: Entry) -> list[str]:
    return [text for content in entry["contents"] if (text := _content_text(content))]


def _content_text(content: Mapping[str, Any]) -> str:
    match content:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "text_reasoning", "text": str(text)}:
            return "> " + text.replace("\n", "\n> ")
        case {"type": "function_call", "name": str(name)}:
            return f"Calls `{name}`:\n\n{_fenced(content.get('arguments'))}"
        case {"type": "function_result"}:
            return f"Result:\n\n{_fenced(content.get('result'))}"
        case {"type": "data" | "uri", "media_type": str(media_type)}:
            return f"*(attached: {media_type})*"
        case _:
            kind = content.get("type")
            return "" if kind in _NOT_SHOWN else f"*({kind})*"


def _fenced(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    fence = "```"
    while fence in text and len(fence) < _LONGEST_FENCE:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


# --- to be read again -----------------------------------------------------------------


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
        InvalidRequest: if it is something else, naming the place.
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
    place = f"turns[{position - 1}]"
    turn = _object(value, place)
    try:
        ended = turn["ended_at"]
        return TurnView(
            message_id=str(turn["message_id"]),
            position=position,
            status=RequestStatus(turn["status"]),
            attempts=int(turn["attempts"]),
            method=str(turn["method"]),
            params=turn["params"],
            metadata=_object(turn["metadata"], f"{place}.metadata"),
            data=turn["data"],
            entries=[
                _entry_from_json(entry, f"{place}.entries[{index}]")
                for index, entry in enumerate(turn["entries"])
            ],
            checkpoint=turn["checkpoint"],
            accepted_at=datetime.fromisoformat(turn["accepted_at"]),
            ended_at=None if ended is None else datetime.fromisoformat(ended),
        )
    except KeyError as error:
        raise InvalidRequest(f"{place}.{error.args[0]}", "is missing") from error
    except (TypeError, ValueError) as error:
        raise InvalidRequest(place, str(error)) from error


def _entry_from_json(value: JsonValue, place: str) -> JsonValue:
    """An actor that is no agent has entries of its own; one that has a role is read."""
    if isinstance(value, dict) and "role" in value:
        try:
            to_message(cast("Entry", value))
        except Exception as error:
            raise InvalidRequest(place, f"is no message: {error!r}") from error
    return cast("JsonValue", value)


def _object(value: JsonValue, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(place, "must be an object")
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
