"""What a run takes, read by hand: the one route whose every microsecond counts.

FastAPI's own reading of a body and three headers costs as much as the rest of the
route. The models and the errors are the same; the description says so by `RUN_INPUTS`.
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


RUN_INPUTS: dict[str, Any] = {
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
"""The inputs, as the description has them."""


async def read_body(request: Request) -> RunRequest:
    """The request of a run; the guard has read the body, so it comes as a whole.

    Raises:
        RequestValidationError: if it is none.
    """
    message = await request.receive()
    body = message.get("body", b"")
    try:
        return RunRequest.model_validate_json(body)
    except ValidationError as error:
        raise _malformed(error, "body") from None


class RunHeaders(NamedTuple):
    """What the headers of a run say; None if they do not."""

    message_id: str | None
    after: str | None
    prefer: str | None
    accept: str


def read_headers(request: Request) -> RunHeaders:
    """The headers of a run; of one that is there twice the first.

    Raises:
        RequestValidationError: if one is not as it must be.
    """
    # Not `request.headers`: four that are not there take as long as the body.
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


def _malformed(error: ValidationError, *place: str) -> RequestValidationError:
    found = error.errors(include_url=False, include_context=False)
    return RequestValidationError(
        [{**one, "loc": (*place, *one["loc"])} for one in found]
    )
