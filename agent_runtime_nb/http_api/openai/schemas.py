"""What OpenAI's two APIs share: request bodies, ids of responses, contents, errors."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Self, cast

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from agent_runtime_nb.conversations.contents import image_of
from agent_runtime_nb.exceptions import (
    InvalidActorId,
    InvalidRequest,
    TurnFailed,
)
from agent_runtime_nb.http_api.content_stream import object_of, turn_error
from agent_runtime_nb.http_api.problems import Problem
from agent_runtime_nb.http_api.turn_response import json_response
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    JsonValue,
)


class ChatRequest(BaseModel):
    """What is used of a request for a chat completion."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    store: bool | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool((self.stream_options or {}).get("include_usage"))


class ResponsesRequest(BaseModel):
    """What is used of a request for a response."""

    model_config = ConfigDict(extra="ignore")

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    conversation: str | dict[str, Any] | None = None
    previous_response_id: str | None = None
    stream: bool = False
    background: bool = False
    metadata: dict[str, Any] | None = None

    @property
    def conversation_id(self) -> str | None:
        """The conversation's id, however it is given."""
        given = self.conversation
        return str(given.get("id")) if isinstance(given, dict) else given


@dataclass(frozen=True, slots=True)
class ResponseId:
    """The id of a response: it says which turn of which conversation it is."""

    actor_id: ActorId
    message_id: str

    def __str__(self) -> str:
        names = orjson.dumps([*self.actor_id, self.message_id])
        return "resp_" + base64.urlsafe_b64encode(names).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it; raises InvalidRequest for anything that is none."""
        packed = text.removeprefix("resp_")
        try:
            padded = packed + "=" * (-len(packed) % 4)
            type_name, instance_id, message_id = orjson.loads(
                base64.b64decode(padded, altchars=b"-_", validate=True)
            )
            return cls(ActorId(type_name, instance_id), str(message_id))
        except (binascii.Error, ValueError, TypeError, InvalidActorId):
            problem = f"{text[:80]!r} is no id of a response of this server"
            raise InvalidRequest("response_id", problem) from None


# --- messages -------------------------------------------------------------------------


def contents_of(given: JsonValue, field: str) -> list[dict[str, Any]]:
    """The framework's contents of a message's content; texts and images."""
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "text", "text": given}]
    if not isinstance(given, list):
        raise InvalidRequest(field, "must be a text or a list of parts")
    parts = cast("list[Any]", given)
    return [_content(part, f"{field}[{number}]") for number, part in enumerate(parts)]


def _content(given: JsonValue, field: str) -> dict[str, Any]:
    part = object_of(given)
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text"):
        return {"type": "text", "text": str(part.get("text", ""))}
    if kind in ("image_url", "input_image"):
        image = part.get("image_url")
        url = object_of(image).get("url", image)
        if isinstance(url, str):
            return image_of(url)
    raise InvalidRequest(field, "only texts and images (by image_url) are taken here")


# --- errors ---------------------------------------------------------------------------


def error_response(problem: Problem, error: Exception) -> Response:
    """A problem in the shape of OpenAI's errors, with the header that its clients retry by."""
    status = 400 if problem.status == 422 else problem.status
    again = bool(problem.more.get("retryable"))
    headers = {**problem.headers, "X-Should-Retry": "true" if again else "false"}
    body = error_body(status, problem.slug, problem.detail)
    if isinstance(error, InvalidRequest):
        body["param"] = error.field
    return json_response({"error": body}, status, headers)


def error_body(status: int, code: str, message: str) -> dict[str, JsonValue]:
    """The members of an error."""
    kind = "invalid_request_error" if status < 429 else "server_error"
    if status == 429:
        kind = "rate_limit_error"
    if code == "unknown-actor-type":
        code = "model_not_found"
    name = code.replace("-", "_")
    return {"message": message, "type": kind, "param": None, "code": name}


def raise_failure(response: ActorResponseMessage) -> None:
    """Raise the error that a turn failed with, if it failed."""
    failed = turn_error(response)
    if failed is None:
        return
    kind, text, again = failed
    if kind == "InvalidRequest":
        field, _, problem = text.partition(": ")
        raise InvalidRequest(field, problem or text)
    raise TurnFailed("failed", kind, text, retryable=again, response=response)
