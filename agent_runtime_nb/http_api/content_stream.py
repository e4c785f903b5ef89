"""The content of a turn's answer as it is generated, for the APIs with own formats.

`openai` and `ag_ui` make their events from these chunks.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

import orjson

from agent_runtime_nb.http_api.problems import Problem, Refused
from agent_runtime_nb.runtime_abstractions import (
    ActorResponseHandle,
    ActorResponseMessage,
    JsonValue,
    RequestStatus,
)


@dataclass(frozen=True, slots=True)
class ContentChunk:
    """One content object of the framework, as JSON, and its message.

    `message_id` is None if the agent gave none; `role` is that of the message.
    """

    message_id: str | None
    role: str
    content: dict[str, Any]

    @property
    def kind(self) -> str:
        """The content's type: "text", "function_call", ..."""
        return str(self.content.get("type", ""))

    @property
    def text(self) -> str:
        """The text of a text or of reasoning."""
        return str(self.content.get("text") or "")


async def stream_content(
    handle: ActorResponseHandle,
) -> AsyncGenerator[ContentChunk | ActorResponseMessage, None]:
    """Yields the chunks of an answer in order, then its final response.

    If the turn had no updates, the chunks are the contents of the final messages.

    Raises:
        Refused: if the reader was so slow that updates are no longer kept.
    """
    last_sequence, has_chunks = -1, False
    async for message in handle.watch_updates():
        if message.status is RequestStatus.PENDING:
            sequence = int(message.data["sequence"])
            if sequence > last_sequence + 1:
                raise _updates_lost(handle)
            last_sequence = sequence
            for chunk in _chunks_of_progress(message.data["progress"]):
                has_chunks = True
                yield chunk
            continue
        if not has_chunks:
            for chunk in final_content(message):
                yield chunk
        yield message


def _updates_lost(handle: ActorResponseHandle) -> Refused:
    detail = (
        "the stream was read too slowly and a part of it is no longer kept; "
        f"the answer is there, as request {handle.message_id}"
    )
    return Refused(Problem(503, "updates-lost", detail, {"retryable": False}))


def _chunks_of_progress(progress: JsonValue) -> list[ContentChunk]:
    if isinstance(progress, str):  # of an actor written by hand
        return [ContentChunk(None, "assistant", {"type": "text", "text": progress})]
    return _chunks_of_message(object_of(progress))


def _chunks_of_message(message: dict[str, Any]) -> list[ContentChunk]:
    role = message.get("role") or "assistant"
    contents = cast("list[dict[str, Any]]", message.get("contents") or [])
    return [ContentChunk(message.get("message_id"), role, one) for one in contents]


def final_content(response: ActorResponseMessage) -> list[ContentChunk]:
    """All content of a final response; a string of a hand-written actor as one text."""
    data: JsonValue = response.data
    if isinstance(data, str):
        return [ContentChunk(None, "assistant", {"type": "text", "text": data})]
    messages = cast("list[dict[str, Any]]", object_of(data).get("messages") or [])
    return [chunk for message in messages for chunk in _chunks_of_message(message)]


def usage_and_finish_reason(
    response: ActorResponseMessage,
) -> tuple[dict[str, int], str | None]:
    """The usage, in the names of the framework, and the finish reason of an answer."""
    answer = object_of(response.data)
    return answer.get("usage") or {}, answer.get("finish_reason")


def turn_error(response: ActorResponseMessage) -> tuple[str, str, bool] | None:
    """(type, message, retryable) of a failed turn's error; None of any other turn."""
    if response.status is not RequestStatus.FAILED:
        return None
    error = object_of(object_of(response.data).get("error"))
    kind, text = str(error.get("type", "Error")), str(error.get("message", ""))
    return kind, text, bool(error.get("retryable"))


def arguments_of(content: dict[str, Any]) -> str:
    """The arguments of a tool call as JSON text."""
    return as_text(content.get("arguments") or "")


def as_text(value: JsonValue) -> str:
    """A text as it is, another value as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def object_of(value: JsonValue) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
