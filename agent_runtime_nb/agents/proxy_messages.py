"""Messages between the framework and an actor, for `proxy`: both directions.

Everything here depends on its arguments alone.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

from agent_framework import AgentResponse, AgentResponseUpdate, BaseAgent, Message

from agent_runtime_nb.agents.errors import turn_failed
from agent_runtime_nb.conversations.entries import (
    CONTENT_FIELDS,
    END_NOTES,
    Entry,
    to_entries,
    to_message,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    JsonValue,
    RequestStatus,
)

GIVEN = "agent_runtime_nb."
"""How the ids begin that a proxy gives to messages without one."""

_LONGEST_ID = 150


# --- what is said ---------------------------------------------------------------------


def to_say(messages: Sequence[Message], mark: str) -> list[Entry]:
    """What a conversation has not said or heard yet, as the messages of a request."""
    own = [
        index
        for index, message in enumerate(messages)
        if (message.message_id or "").startswith(mark)
    ]
    new = messages[own[-1] + 1 :] if own else messages
    return [entry for message in new if (entry := _entry(message))["contents"]]


def _entry(message: Message) -> Entry:
    (entry,) = to_entries([message], "")
    entry.pop("additional_properties", None)
    # What a service did with tools of its own is for reading only.
    entry["contents"] = [
        content for content in entry["contents"] if content["type"] in CONTENT_FIELDS
    ]
    return entry


def request_id(messages: Sequence[Message]) -> str | None:
    """The id that a run has whenever it is called; None if the caller gave no id."""
    asked = [index for index, one in enumerate(messages) if one.role == "user"]
    if not asked:
        return None
    given = messages[asked[-1]].message_id
    if not given or given.startswith(GIVEN):
        return None
    after = [_entry(message) for message in messages[asked[-1] + 1 :]]
    if not after and len(given) <= _LONGEST_ID and given.isprintable():
        return given
    readable = "".join(filter(str.isprintable, given))[:_LONGEST_ID]
    return f"{readable}+{_digest([given, after])}"


def mark_of(actor_id: ActorId) -> str:
    """How the ids of a conversation's answers begin, wherever they are handed on."""
    return f"{GIVEN}{_digest(str(actor_id))}:"


def _digest(value: JsonValue) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


# --- what is answered -----------------------------------------------------------------


class ProxyAnswer:
    """What an actor answers to one request, in the framework's words."""

    def __init__(self, agent: BaseAgent, handle: ActorResponseHandle) -> None:
        self._agent = agent
        self._id = handle.message_id
        self._mark = f"{mark_of(handle.actor_id)}{self._id}:"
        self._conversation = handle.actor_id.instance_id
        self._has_updates = False
        self._role: str | None = None
        self._count = 0
        self._message_id = ""

    def update(self, data: JsonValue) -> AgentResponseUpdate | None:
        """The update in an actor's progress, if it is one."""
        progress: Any = data["progress"]
        if isinstance(progress, str):
            progress = {"contents": [{"type": "text", "text": progress}]}
        if not isinstance(progress, dict) or "contents" not in progress:
            return None
        update = AgentResponseUpdate.from_dict(cast("dict[str, Any]", progress))
        update.role = update.role or "assistant"
        update.author_name = update.author_name or self._agent.name
        update.agent_id = self._agent.id
        update.response_id = self._id
        update.message_id = self._marked_id(update.message_id, update.role)
        self._has_updates = True
        return update

    def _marked_id(self, message_id: str | None, role: str) -> str:
        """An id that is this answer's own; without one, as its neighbours of the role."""
        if message_id is not None or role != self._role:
            self._count += 1
            self._message_id = f"{self._mark}{message_id or self._count}"
        self._role = role
        return self._message_id

    def rest(self, response: AgentResponse[Any]) -> list[AgentResponseUpdate]:
        """What the updates did not bring of an answer: all of it, or how it broke off."""
        updates = response.to_updates()
        if not self._has_updates:
            return updates
        return updates[-1:] if _status(response) != "completed" else []

    def response(self, given: ActorResponseMessage) -> AgentResponse[Any]:
        """The framework's response.

        Raises:
            TurnFailed: if the turn failed.
        """
        data = _mapping(given.data)
        if given.status is RequestStatus.FAILED:
            raise turn_failed(given)
        properties: dict[str, Any] = {
            "status": given.status.value,
            "conversation": self._conversation,
        }
        if notices := data.get("notices"):
            properties["notices"] = notices
        if given.status is RequestStatus.COMPLETED:
            messages = [self._message(entry) for entry in _entries(given.data)]
        else:
            messages = [self._message(entry) for entry in data.get("messages") or ()]
            messages.append(self._note(given.status))
        return AgentResponse(
            messages=messages,
            response_id=self._id,
            agent_id=self._agent.id,
            created_at=given.timestamp.isoformat(),
            finish_reason=data.get("finish_reason"),
            usage_details=data.get("usage"),
            additional_properties=properties,
            raw_representation=given,
        )

    def _message(self, entry: Entry) -> Message:
        message = to_message(entry)
        message.message_id = f"{self._mark}{message.message_id}"
        message.author_name = message.author_name or self._agent.name
        return message

    def _note(self, status: RequestStatus) -> Message:
        return Message(
            "assistant",
            [END_NOTES[status]],
            author_name=self._agent.name,
            message_id=f"{self._mark}note",
            additional_properties={"status": status.value},
        )


def _entries(data: JsonValue) -> list[Entry]:
    """The messages of a response; of an actor that is no agent, what it gave as text."""
    messages = _mapping(data).get("messages")
    if isinstance(messages, list):
        return cast("list[Entry]", messages)
    if data is None:
        return []
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    contents = [{"type": "text", "text": text}]
    return [{"role": "assistant", "message_id": "0", "contents": contents}]


def left_early(updates: Sequence[AgentResponseUpdate]) -> AgentResponse[Any]:
    """What there is of an answer whose stream was closed by its reader."""
    response = AgentResponse.from_updates(updates)
    response.additional_properties["status"] = RequestStatus.CANCELLED.value
    return response


def _status(response: AgentResponse[Any]) -> str:
    return response.additional_properties["status"]


def _mapping(value: JsonValue) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
