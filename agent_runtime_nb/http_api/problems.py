"""Every error as an RFC 9457 problem, from one table.

`STATUS` says which HTTP status an exception has; type and title of the problem are
made from the exception's name, the detail is its message. An exception that is not of
this package is 500 with an id and without its message: the log has the same id and the
traceback.
"""

import asyncio
import logging
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_runtime_nb import exceptions
from agent_runtime_nb.exceptions import AgentRuntimeError, NotRunning
from agent_runtime_nb.runtime_abstractions import (
    ActorResponseMessage,
    JsonValue,
)

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[Exception], int] = {
    exceptions.AgentRuntimeError: 500,
    exceptions.InvalidActorId: 422,
    exceptions.InvalidRequest: 422,
    exceptions.NotJson: 422,
    exceptions.MessageIdReused: 422,
    exceptions.UnknownActorType: 404,
    exceptions.RequestNotFound: 404,
    exceptions.ActorBusy: 409,
    exceptions.ActorBeingDeleted: 409,
    exceptions.ActorOwnedElsewhere: 409,
    exceptions.ConversationFull: 409,
    exceptions.DeadlockDetected: 409,
    exceptions.MailboxFull: 429,
    exceptions.ActorQuarantined: 503,
    exceptions.DeadLetter: 502,
    exceptions.RemoteError: 502,
    exceptions.TurnFailed: 502,
    exceptions.ActorStartFailed: 502,
    exceptions.NotRunning: 503,
    exceptions.LoopBlocked: 503,
    exceptions.DeadlineExceeded: 504,
    exceptions.StorageError: 500,
    exceptions.Conflict: 409,
    exceptions.StaleEpoch: 409,
    exceptions.TooLarge: 413,
    exceptions.Unavailable: 503,
    exceptions.ReadOnly: 503,
    exceptions.StorageLost: 503,
    exceptions.StorageClosed: 503,
    exceptions.OutcomeUnknown: 503,
    exceptions.Full: 507,
}

_TURN_STATUS = {"InvalidRequest": 422, "DeadlineExceeded": 504}
"""The status of a failed turn, by the type of its recorded error; 502 otherwise."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as an HTTP response, RFC 9457.

    `slug` names the kind, `more` are members beside those of RFC 9457.
    """

    status: int
    slug: str
    detail: str
    more: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self) -> dict[str, JsonValue]:
        """The members, ready for JSON."""
        return {
            "type": f"urn:agent-runtime-nb:problem:{self.slug}",
            "title": self.slug.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        """The answer to send."""
        sent = {"Cache-Control": "no-store", **self.headers, **(headers or {})}
        content = orjson.dumps(self.body())
        return Response(content, self.status, sent, media_type=MEDIA_TYPE)


class Refused(Exception):
    """A request that this API refuses itself, not the runtime; raised in this package only."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def problem_of(error: Exception) -> Problem:
    """The problem of an error; an error that is not of this package is logged."""
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, RequestValidationError):
        return _malformed(error)
    if not isinstance(error, AgentRuntimeError):
        return _unexpected(error)
    kind = next(kind for kind in type(error).__mro__ if kind in STATUS)
    more: dict[str, JsonValue] = {"retryable": error.retryable}
    if isinstance(error, exceptions.InvalidRequest):
        more["errors"] = [
            {"field": _printable(error.field), "problem": _printable(error.problem)}
        ]
    slug = _slug(type(error).__name__)
    seconds = getattr(error, "retry_after", None)
    headers = {} if seconds is None else retry_after(seconds)
    return Problem(STATUS[kind], slug, _printable(str(error)), more, headers)


def _printable(text: str) -> str:
    """Text that JSON can carry: paths and ids may have bytes that are no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says when to come back; whole seconds, at least one."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def problem_of_turn(
    response: ActorResponseMessage, more: Mapping[str, JsonValue]
) -> Problem:
    """The problem of a FAILED turn, with the messages from before it failed."""
    data: JsonValue = response.data
    recorded = cast("dict[str, JsonValue]", data) if isinstance(data, dict) else {}
    error = recorded.get("error") or {"type": "Unknown", "message": ""}
    kind = str(error.get("type"))
    failed = exceptions.TurnFailed("failed", kind, str(error.get("message", "")))
    members: dict[str, JsonValue] = {
        "retryable": bool(error.get("retryable")),
        "error": _public(error),
        "messages": recorded.get("messages") or [],
        **more,
    }
    status, seconds = _TURN_STATUS.get(kind, 502), error.get("retry_after")
    headers = retry_after(seconds) if isinstance(seconds, int | float) else {}
    return Problem(status, "turn-failed", str(failed), members, headers)


def _public(error: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Without "where", a position in the user's code, which clients must not see."""
    return {key: error[key] for key in error if key != "where"}


def public_data(data: JsonValue) -> JsonValue:
    """A response's data without what clients must not see."""
    members = cast("dict[str, Any]", data if isinstance(data, dict) else {})
    if isinstance(members.get("error"), dict):
        return {**members, "error": _public(members["error"])}
    return cast("JsonValue", data)


def _unexpected(error: Exception) -> Problem:
    instance = uuid.uuid4().urn
    _log.error("%s: a request failed unexpectedly", instance, exc_info=error)
    detail = "something unexpected happened; the server's log has it under this id"
    more = {"retryable": False, "instance": instance}
    return Problem(500, "internal-error", detail, more)


def _slug(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


# --- where exceptions become answers --------------------------------------------------


class ProblemMiddleware:
    """Turns exceptions of the app, and the end of the server, into problems.

    After the first byte of a response that is too late: the server logs the exception
    and closes the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            await problem_of(error).response()(scope, receive, send)
        except asyncio.CancelledError:
            # The server stops and has waited long enough. The turn goes on.
            if started or scope["type"] != "http":
                raise
            await stopping().response()(scope, receive, send)


def stopping() -> Problem:
    """The problem of a request whose server stops before its turn has ended."""
    problem = problem_of(NotRunning("stopping"))
    detail = (
        "the server stops; the turn is not cancelled: "
        "ask again later with the same Idempotency-Key"
    )
    more = {"retryable": True}
    return Problem(problem.status, "stopping", detail, more, retry_after(5))


def install_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_middleware(ProblemMiddleware)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler's registration
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"{phrase}: see /docs" if error.detail == phrase else str(error.detail)
    slug = phrase.lower().replace(" ", "-")
    more = {"retryable": False}
    return Problem(error.status_code, slug, detail, more).response(error.headers)


async def _validation_error(_request: Request, error: Exception) -> Response:
    return problem_of(error).response()


def _malformed(error: RequestValidationError) -> Problem:
    found = [
        {"field": _field(_location(one)), "problem": str(one["msg"])}
        for one in cast("list[dict[str, Any]]", error.errors())
    ]
    detail = "; ".join(f"{one['field']}: {one['problem']}" for one in found)
    more = {"retryable": False, "errors": found}
    return Problem(422, "invalid-request", detail, more)


def _location(error: dict[str, Any]) -> tuple[str | int, ...]:
    """Its location; the framework's for a body that is no JSON is an offset in its text."""
    return ("body",) if error["type"] == "json_invalid" else error["loc"]


def _field(location: tuple[str | int, ...]) -> str:
    """`("body", "messages", 0, "role")` as `messages[0].role`."""
    text = ""
    for part in location[1:] if len(location) > 1 else location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "[" not in part and part != "str":  # pydantic's names of union branches
            text += f".{part}" if text else part
    return text
