"""A conversation (agent session), to and from stored values.

A conversation is stored as the entries of its turns plus one small snapshot, see
`agents.session_snapshot`.

An **entry** is one message of the framework:

    {"role": "user" | "assistant" | "tool" | "system", "message_id": str,
     "author_name"?: str, "contents": [content, ...], "additional_properties"?: {...}}

where a content is the framework's `Content.to_dict()`: `{"type": "text", "text": ...}`,
`text_reasoning`, `function_call`, `function_result`, `data` (an image as data URI), ...
A turn appends its entries when it ends, the user's message first; entries are never
rewritten. An entry without a `message_id` of its own gets `<request id>.<index>`, so the
same message has the same id in every reading.

A turn that ended otherwise stays in the conversation: `turn_entries` composes what is
shown, `load_history` what the model sees, with a note where the answer broke off. Such a
turn is repaired first, because a service refuses a conversation in which a tool call has
no result.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from agent_framework import Content, Message

from agent_runtime_nb.conversations.contents import content_to_dict
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.runtime_abstractions import (
    DISCARDED,
    RETRY_OF,
    IActorRuntimeContext,
    JsonValue,
    RequestStatus,
    TurnView,
)

Entry: TypeAlias = dict[str, Any]
"""A message of a conversation as it is stored; see the head of this module."""

_PAGE = 200
_ROLES = ("user", "assistant", "system", "tool")
END_NOTES = {
    RequestStatus.CANCELLED: "[This answer was stopped before it was finished.]",
    RequestStatus.FAILED: "[This answer failed before it was finished.]",
    RequestStatus.INTERRUPTED: "[This answer was interrupted before it was finished.]",
}
"""The note that follows an answer that broke off, by the status of its turn."""

_DATA_URI = re.compile("data:[^,]*,", re.IGNORECASE)
_NOT_FINISHED = "Stopped before the tool finished; it is not known what it has done."

CONTENT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "text_reasoning": (),
    "data": ("uri",),
    "uri": ("uri", "media_type"),
    "hosted_file": ("file_id",),
    "hosted_vector_store": ("vector_store_id",),
    "error": (),
    "function_call": ("call_id", "name"),
    "function_result": ("call_id",),
    "function_approval_request": ("id", "function_call"),
    "function_approval_response": ("id", "approved", "function_call"),
}
"""The types of contents that an agent takes, with the fields that each needs."""


# --- requests -------------------------------------------------------------------------


def parse_messages(params: JsonValue, request_id: str) -> list[Message]:
    """The messages of a "run" request, each with an id.

    Args:
        params: `{"messages": [{"role", "content" | "contents", "message_id"?,
            "author_name"?}]}`; a content is a string or a list of strings and of the
            framework's content dicts.
        request_id: of the request; ids that are not given are made from it.

    Raises:
        InvalidRequest: naming the field, as in `messages[1].role`.
    """
    if not isinstance(params, dict):
        raise InvalidRequest("params", 'must be an object {"messages": [...]}')
    items = cast("dict[str, Any]", params).get("messages")
    if not isinstance(items, list) or not items:
        raise InvalidRequest("messages", "must be a list of at least one message")
    return [
        _parse_message(item, f"messages[{index}]", f"{request_id}.{index}")
        for index, item in enumerate(cast("list[Any]", items))
    ]


def _parse_message(item: object, field: str, default_id: str) -> Message:
    if not isinstance(item, dict):
        raise InvalidRequest(field, "must be an object with role and content")
    message = cast("dict[str, Any]", item)
    role = message.get("role")
    if role not in _ROLES:
        raise InvalidRequest(f"{field}.role", f"must be one of {', '.join(_ROLES)}")
    for key in ("message_id", "author_name"):
        value = message.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise InvalidRequest(f"{field}.{key}", "must be a string that is not empty")
    key = "contents" if message.get("contents") is not None else "content"
    return Message(
        role,
        _parse_contents(message.get(key), f"{field}.{key}"),
        author_name=message.get("author_name"),
        message_id=message.get("message_id") or default_id,
    )


def _parse_contents(value: object, field: str) -> list[Content]:
    if isinstance(value, str):
        return [Content.from_text(value)]
    if not isinstance(value, list) or not value:
        raise InvalidRequest(field, "must be a string or a list of content objects")
    return [
        _parse_content(part, f"{field}[{index}]")
        for index, part in enumerate(cast("list[Any]", value))
    ]


def _parse_content(part: object, field: str) -> Content:
    if isinstance(part, str):
        return Content.from_text(part)
    if not isinstance(part, dict):
        raise InvalidRequest(field, "must be a string or a content object")
    content = cast("dict[str, Any]", part)
    kind = content.get("type")
    fields = CONTENT_FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        known = ", ".join(sorted(CONTENT_FIELDS))
        raise InvalidRequest(f"{field}.type", f"must be one of {known}")
    for name in fields:
        if content.get(name) is None:
            raise InvalidRequest(f"{field}.{name}", f"is needed in a {kind} content")
    if kind == "text" and not isinstance(content["text"], str):
        raise InvalidRequest(f"{field}.text", "must be a string")
    if kind == "data" and not _DATA_URI.match(str(content["uri"])):
        raise InvalidRequest(f"{field}.uri", "must be a data URI, data:<type>,<data>")
    try:
        made = Content.from_dict(content)
        # A content that cannot be restored would break every later turn, too.
        Content.from_dict(_to_content(made))
    except Exception as error:
        raise InvalidRequest(field, f"is no {kind} content: {error}") from error
    return made


# --- entries --------------------------------------------------------------------------


def to_entries(
    messages: Iterable[Message], request_id: str, *, start: int = 0
) -> list[Entry]:
    """Messages as entries; those without an id get `<request_id>.<start + index>`."""
    return [
        _to_entry(message, f"{request_id}.{index}")
        for index, message in enumerate(messages, start)
    ]


def _to_entry(message: Message, default_id: str) -> Entry:
    entry: Entry = {
        "role": str(message.role),
        "message_id": message.message_id or default_id,
        "contents": [_to_content(content) for content in message.contents],
    }
    if message.author_name:
        entry["author_name"] = message.author_name
    # "_attribution" says which provider brought a message into a run.
    extra = {
        key: value
        for key, value in message.additional_properties.items()
        if key != "_attribution"
    }
    if extra:
        entry["additional_properties"] = extra
    return entry


def _to_content(content: Content) -> dict[str, Any]:
    value = content_to_dict(content)
    if not value.get("additional_properties"):
        value.pop("additional_properties", None)
    return value


def to_message(entry: Entry) -> Message:
    """The framework's message of an entry."""
    return Message(
        entry["role"],
        [Content.from_dict(content) for content in entry["contents"]],
        author_name=entry.get("author_name"),
        message_id=entry["message_id"],
        additional_properties=dict(entry.get("additional_properties") or {}),
    )


def text_of(entry: Mapping[str, Any]) -> str:
    """The text of an entry: its text contents, one per line, nothing else of it."""
    return "\n".join(
        content["text"]
        for content in entry.get("contents", ())
        if content.get("type") == "text" and content.get("text")
    )


def repair(entries: Iterable[Entry]) -> list[Entry]:
    """The entries of a turn that broke off, made valid for a model.

    Tool calls whose arguments were cut off are dropped, and so are requests for an
    approval that nobody can give any more; a call, or an approved call, without a
    result gets one that says so. Entries that become empty are left out. The entries
    themselves are not changed.
    """
    kept = [entry for entry in map(_without_broken_contents, entries) if entry]
    answered = {
        content.get("call_id")
        for entry in kept
        for content in entry["contents"]
        if content.get("type") == "function_result"
    }
    repaired: list[Entry] = []
    for entry in kept:
        repaired.append(entry)
        results = [
            _unknown_result(call)
            for call in map(_executable_call, entry["contents"])
            if call is not None and call.get("call_id") not in answered
        ]
        if results:
            entry_id = f"{entry['message_id']}.results"
            repaired.append(
                {"role": "tool", "message_id": entry_id, "contents": results}
            )
    return repaired


def _without_broken_contents(entry: Entry) -> Entry | None:
    contents = [
        content
        for content in entry["contents"]
        if content.get("type") != "function_approval_request"
        and not (content.get("type") == "function_call" and _is_cut(content))
    ]
    return {**entry, "contents": contents} if contents else None


def _is_cut(call: Mapping[str, Any]) -> bool:
    arguments = call.get("arguments")
    if not isinstance(arguments, str) or not arguments:
        return False
    try:
        json.loads(arguments)
    except ValueError:
        return True
    return False


def _executable_call(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    call = content
    if content.get("type") == "function_approval_response":
        call = cast("dict[str, Any]", content.get("function_call") or {})
    elif content.get("type") != "function_call":
        return None
    # The service itself runs hosted calls; the others are there to be read only.
    if call.get("hosted") or call.get("informational_only"):
        return None
    return call


def _unknown_result(call: Mapping[str, Any]) -> dict[str, Any]:
    result = Content.from_function_result(
        str(call.get("call_id")), result=_NOT_FINISHED, id=call.get("id")
    )
    return _to_content(result)


# --- turns ----------------------------------------------------------------------------


def turn_entries(turn: TurnView) -> list[Entry]:
    """The entries of a turn, to be shown.

    A turn without entries of its own, because it waits, runs, or its host died, gets
    entries composed of its request and its checkpoint. The last entry of a turn that
    FAILED or was CANCELLED or INTERRUPTED has the key "status" with that word.
    """
    entries: list[Entry] = list(turn.entries)
    # An answer without entries: the actor keeps the turn out of the conversation.
    data: JsonValue = turn.data
    has_answer = isinstance(data, dict) and "messages" in data
    if not (entries or has_answer or turn.status is RequestStatus.COMPLETED):
        entries = _composed_entries(turn)
    if entries and turn.status in END_NOTES:
        entries[-1] = {**entries[-1], "status": turn.status.value}
    return entries


def was_withdrawn(turn: TurnView) -> bool:
    """Whether it was cancelled before it began; such a turn replaces no other."""
    return turn.status is RequestStatus.CANCELLED and not turn.attempts


def _composed_entries(turn: TurnView) -> list[Entry]:
    if turn.method != "run":
        return []
    try:
        inputs = parse_messages(turn.params, turn.message_id)
    except InvalidRequest:
        return []
    entries = to_entries(inputs, turn.message_id)
    checkpoint: dict[str, Any] = turn.checkpoint or {}
    entries += checkpoint.get("messages", [])
    return repair(entries) if turn.status.is_final else entries


async def load_history(
    context: IActorRuntimeContext, *, replaced: str | None = None
) -> list[Message]:
    """The conversation as the model sees it, from the stored turns, in pages.

    A turn that broke off is followed by a note that says so. Left out are requests
    that were withdrawn before they started, discarded turns, and those that a later
    request took the place of (`replaced` is the one that the running one replaces).
    """
    gone = {replaced, *await context.read_state(DISCARDED, [])}
    pages: list[list[Message]] = []
    before: int | None = None
    while page := await context.read_turns(before=before, limit=_PAGE):
        for turn in reversed(page):
            if turn.message_id not in gone:
                pages.append(_turn_messages(turn))
            # A replacement is always younger, so it is met before what it replaces.
            if not was_withdrawn(turn):
                gone.add(turn.metadata.get(RETRY_OF))
        if len(page) < _PAGE:
            break
        before = page[0].position
    return [message for messages in reversed(pages) for message in messages]


def _turn_messages(turn: TurnView) -> list[Message]:
    if not turn.status.is_final:
        return []
    if was_withdrawn(turn):
        return []
    messages = [to_message(entry) for entry in turn_entries(turn)]
    note = END_NOTES.get(turn.status)
    if messages and note:
        note_id = f"{turn.message_id}.note"
        messages.append(Message("assistant", [note], message_id=note_id))
    return messages
