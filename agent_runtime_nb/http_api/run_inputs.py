"""What a run takes, read by hand: the one route whose every microsecond counts.

FastAPI's own reading of a body and three headers costs as much as the rest of the
route. The models and the errors are the same; the description says so by `RUN_INPUTS`.
"""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from agent_runtime_nb.http_api.schemas import RUN_EXAMPLES, RunRequest


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


def read_body(body: bytes) -> RunRequest:
    """The request of a run.

    Raises:
        RequestValidationError: if it is none.
    """
    try:
        return RunRequest.model_validate_json(body)
    except ValidationError as error:
        raise _malformed(error, "body") from None


def read_header(request: Request, name: str, kind: TypeAdapter[str]) -> str | None:
    """A header, if there is one.

    Raises:
        RequestValidationError: if it is not as it must be.
    """
    value = request.headers.get(name)
    if value is None:
        return None
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise _malformed(error, "header", name) from None


def _malformed(error: ValidationError, *place: str) -> RequestValidationError:
    found = error.errors(include_url=False, include_context=False)
    return RequestValidationError(
        [{**one, "loc": (*place, *one["loc"])} for one in found]
    )
