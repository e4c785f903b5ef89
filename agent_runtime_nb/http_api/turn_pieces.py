"""The content of an answer, piece by piece as it comes, for the faces of other APIs."""

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
class Piece:
    """A content of the framework, as JSON, and the message that it belongs to.

    `message_id` is None if the agent did not say; `role` is that of the message.
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


async def pieces_of(
    handle: ActorResponseHandle,
) -> AsyncGenerator[Piece | ActorResponseMessage, None]:
    """The pieces of an answer, then the final response.

    An answer without updates comes in whole messages at its end.

    Raises:
        Refused: if the reader was so slow that updates are no longer kept.
    """
    seen, any_pieces = -1, False
    async for message in handle.watch_updates():
        if message.status is RequestStatus.PENDING:
            number = int(message.data["sequence"])
            if number > seen + 1:
                raise _lost(handle)
            seen = number
            for piece in _of_progress(message.data["progress"]):
                any_pieces = True
                yield piece
            continue
        if not any_pieces:
            for piece in pieces_at_end(message):
                yield piece
        yield message


def _lost(handle: ActorResponseHandle) -> Refused:
    detail = (
        "the stream was read too slowly and a part of it is no longer kept; "
        f"the answer is there, as request {handle.message_id}"
    )
    return Refused(Problem(503, "updates-lost", detail, {"retryable": False}))


def _of_progress(progress: JsonValue) -> list[Piece]:
    if isinstance(progress, str):  # of an actor written by hand
        return [Piece(None, "assistant", {"type": "text", "text": progress})]
    return _of_message(object_of(progress))


def _of_message(message: dict[str, Any]) -> list[Piece]:
    role = message.get("role") or "assistant"
    contents = cast("list[dict[str, Any]]", message.get("contents") or [])
    return [Piece(message.get("message_id"), role, one) for one in contents]


def pieces_at_end(response: ActorResponseMessage) -> list[Piece]:
    """All pieces of a final response; what an actor that is no agent gave, as text."""
    data: JsonValue = response.data
    if isinstance(data, str):
        return [Piece(None, "assistant", {"type": "text", "text": data})]
    messages = cast("list[dict[str, Any]]", object_of(data).get("messages") or [])
    return [piece for message in messages for piece in _of_message(message)]


def facts_at_end(response: ActorResponseMessage) -> tuple[dict[str, int], str | None]:
    """The usage (as the framework counts it) and the finish reason of an answer."""
    said = object_of(response.data)
    return said.get("usage") or {}, said.get("finish_reason")


def error_at_end(response: ActorResponseMessage) -> tuple[str, str, bool] | None:
    """Type, message and whether it may be tried again, of a turn that failed."""
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
