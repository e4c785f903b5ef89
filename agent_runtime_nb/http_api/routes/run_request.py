"""Reads the body and the headers of a run: the route whose every microsecond counts.

FastAPI's own reading of a body and three headers costs as much as the rest of the
route. The models and the errors are the same; `RUN_OPENAPI` describes both for the
OpenAPI document.
"""

from typing import Any, NamedTuple

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from agent_runtime_nb.http_api.delivery import EventId
from agent_runtime_nb.http_api.schemas import RUN_EXAMPLES, MessageId, RunRequest

_MESSAGE_ID: TypeAdapter[str] = TypeAdapter(MessageId)
_EVENT_ID: TypeAdapter[str] = TypeAdapter(EventId)
_ANY: TypeAdapter[str] = TypeAdapter(str)


def _header(name: str, description: str, **rules: Any) -> dict[str, Any]:
    schema = {"type": "string", **rules}
    about = {"name": name, "in": "header", "required": False}
    return {**about, "description": description, "schema": schema}


RUN_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/RunRequest"},
                "examples": RUN_EXAMPLES,
            }
        },
    },
    "parameters": [
        _header(
            "Idempotency-Key",
            "The request's id: the same one is answered once.",
            minLength=1,
            maxLength=200,
        ),
        _header(
            "Last-Event-ID",
            "Go on after this event of an earlier stream of the same request.",
            pattern="^(end|-1|[0-9]{1,15})$",
        ),
        _header(
            "Prefer",
            "`respond-async`: 202 at once, the answer is at `Location`; "
            "`respond-async, wait=5`: if it has not ended in 5 seconds.",
        ),
    ],
}
"""Body and headers, for the OpenAPI document."""


async def read_body(request: Request) -> RunRequest:
    """The body of a run; the guard has read it, so it comes in one message.

    Raises:
        RequestValidationError: if it is no `RunRequest`.
    """
    message = await request.receive()
    body = message.get("body", b"")
    try:
        return RunRequest.model_validate_json(body)
    except ValidationError as error:
        raise _malformed(error, "body") from None


class RunHeaders(NamedTuple):
    """The headers of a run; None if not given."""

    message_id: str | None
    after: str | None
    prefer: str | None
    accept: str


def read_headers(request: Request) -> RunHeaders:
    """The headers of a run; of one that is given twice, the first.

    Raises:
        RequestValidationError: if one is malformed.
    """
    # Not `request.headers`: looking four missing ones up takes as long as the body.
    given = dict(reversed(request.headers.raw))
    return RunHeaders(
        message_id=_header_of(given, "idempotency-key", _MESSAGE_ID),
        after=_header_of(given, "last-event-id", _EVENT_ID),
        prefer=_header_of(given, "prefer", _ANY),
        accept=_header_of(given, "accept", _ANY) or "",
    )


def _header_of(
    given: dict[bytes, bytes], name: str, kind: TypeAdapter[str]
) -> str | None:
    found = given.get(name.encode())
    if found is None:
        return None
    value = found.decode("latin-1")
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise _malformed(error, "header", name) from None


def _malformed(error: ValidationError, *location: str) -> RequestValidationError:
    found = error.errors(include_url=False, include_context=False)
    return RequestValidationError(
        [{**one, "loc": (*location, *one["loc"])} for one in found]
    )
