"""A conversation as Markdown or as a notebook, for people to read.

Both show what was said, tool calls and their results: nothing that the conversation
itself does not hold. Neither can be imported again; `json_format` is for that.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime_nb.conversations.entries import (
    Entry,
    turn_entries,
    was_withdrawn,
)
from agent_runtime_nb.conversations.reading import Conversation
from agent_runtime_nb.runtime_abstractions import RETRY_OF, TurnView

_ROLE_NAMES = {"user": "You", "system": "System", "tool": "Tool"}
_STATUS_NOTES = {
    "cancelled": "stopped before it was finished",
    "failed": "failed before it was finished",
    "interrupted": "interrupted before it was finished",
}
_NOT_SHOWN = ("text", "text_reasoning", "usage")  # without a text, that is
_LONGEST_FENCE = 40


def to_markdown(conversation: Conversation) -> str:
    """The conversation as Markdown; a message's own Markdown stays as it is."""
    parts = [f"# {_one_line(conversation.title)}"]
    for entry, end in _shown_entries(conversation.turns):
        parts += [f"**{_author(entry, conversation)}**", *_entry_parts(entry), *end]
    return "\n\n".join(parts) + "\n"


def to_notebook(conversation: Conversation) -> dict[str, Any]:
    """The conversation as a Jupyter notebook (nbformat 4.5) of Markdown cells."""
    texts = [f"# {_one_line(conversation.title)}"]
    for entry, end in _shown_entries(conversation.turns):
        heading = f"**{_author(entry, conversation)}**"
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


def _author(entry: Entry, conversation: Conversation) -> str:
    name = entry.get("author_name") or _ROLE_NAMES.get(entry["role"])
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
