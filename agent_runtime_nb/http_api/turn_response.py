"""A turn as an HTTP response: its body, its problem, its URL; and the actor of a URL."""

import contextlib
import re
from typing import Any, cast
from urllib.parse import quote

import orjson
from fastapi import Request, Response

from agent_runtime_nb.exceptions import (
    InvalidActorId,
    InvalidRequest,
    RequestNotFound,
    UnknownActorType,
)
from agent_runtime_nb.http_api.problems import Problem, problem_of, problem_of_turn
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    JsonValue,
    RequestStatus,
)
from agent_runtime_nb.runtime_directory import ActorTypeInfo, RuntimeDirectory

_PREFIX = re.compile(r"(/[A-Za-z0-9._~%@-]+)*")


async def find_actor(
    directory: RuntimeDirectory, agent_name: str, conversation_id: str
) -> ActorId:
    """The actor id of a conversation; it is not checked that the conversation exists.

    Raises:
        UnknownActorType: if no agent can have that name.
        InvalidRequest: if no conversation can have that id.
    """
    try:
        return ActorId(agent_name, conversation_id)
    except InvalidActorId as error:
        problem = str(error)
    try:
        ActorId(agent_name, "-")
    except InvalidActorId:
        known = await directory.actor_types()
        raise UnknownActorType(agent_name, (one.name for one in known)) from None
    raise InvalidRequest("conversation_id", problem)


async def find_agent(directory: RuntimeDirectory, agent_name: str) -> ActorTypeInfo:
    """The name and description of an agent.

    Raises:
        UnknownActorType: if there is none of that name.
    """
    known = await directory.actor_types()
    for one in known:
        if one.name == agent_name:
            return one
    raise UnknownActorType(agent_name, (one.name for one in known))


def json_response(
    body: JsonValue, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A JSON response that no cache may keep."""
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(body), status, sent, media_type="application/json")


# --- a turn ---------------------------------------------------------------------------


def final_response(
    handle: ActorResponseHandle, message: ActorResponseMessage
) -> Response:
    """The final response of a turn, or its problem."""
    problem = problem_in(handle, message)
    if problem is not None:
        return problem.response(request_id_header(handle))
    return json_response(turn_body(handle, message), headers=request_id_header(handle))


def problem_in(
    handle: ActorResponseHandle, message: ActorResponseMessage
) -> Problem | None:
    """The problem of a turn that failed or is not known; None of any other."""
    if message.status is RequestStatus.NOT_FOUND:
        return problem_of(RequestNotFound(handle.actor_id, handle.message_id))
    if message.status is RequestStatus.FAILED:
        return problem_of_turn(message, _names(handle))
    return None


def turn_body(
    handle: ActorResponseHandle, message: ActorResponseMessage
) -> dict[str, JsonValue]:
    """The body of a turn that ended well, or was stopped."""
    body: dict[str, JsonValue] = {"messages": [], "status": message.status}
    body |= _names(handle)
    data: JsonValue = message.data
    if not (isinstance(data, dict) and "messages" in data):
        body["data"] = data  # an actor that is no agent answers what it likes
        return body
    answer = cast("dict[str, JsonValue]", data)
    body |= {"messages": answer["messages"], "usage": answer.get("usage")}
    # Whether it was cut off: "length", and the notice that says so.
    body |= {
        key: answer[key] for key in ("finish_reason", "notices") if answer.get(key)
    }
    if asked := [approval_summary(part) for part in approval_requests(data).values()]:
        body["approvals"] = asked
    return body


def pending_response(
    handle: ActorResponseHandle,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """A turn that has not ended."""
    body: dict[str, JsonValue] = {"messages": [], "status": RequestStatus.PENDING}
    body |= _names(handle)
    return json_response(body, status, {**request_id_header(handle), **(headers or {})})


def _names(handle: ActorResponseHandle) -> dict[str, JsonValue]:
    return {
        "agent_name": handle.actor_id.type_name,
        "conversation_id": handle.actor_id.instance_id,
        "request_id": handle.message_id,
    }


def request_id_header(handle: ActorResponseHandle) -> dict[str, str]:
    """The header with the id; characters that no header can carry are escaped."""
    shown = handle.message_id.encode("ascii", "backslashreplace").decode()
    return {"X-Request-Id": shown} if shown.isprintable() else {}


# --- approvals ------------------------------------------------------------------------


def approval_requests(data: JsonValue) -> dict[str, dict[str, JsonValue]]:
    """The approval requests of a response's data, by id, as the framework wrote them."""
    found: dict[str, dict[str, JsonValue]] = {}
    answer = cast("dict[str, Any]", data if isinstance(data, dict) else {})
    for message in _objects(answer.get("messages")):
        for part in _objects(message.get("contents")):
            if part.get("type") == "function_approval_request":
                found[str(part.get("id"))] = part
    return found


def _objects(value: JsonValue) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", value if isinstance(value, list) else [])


def approval_summary(part: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """An approval request with the exact arguments of its call, for a person to decide."""
    call = cast("dict[str, Any]", part.get("function_call") or {})
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        # A model that wrote no JSON: shown as it is.
        with contextlib.suppress(orjson.JSONDecodeError):
            arguments = orjson.loads(arguments)
    name = str(call.get("name") or "")
    return {"approval_id": str(part.get("id")), "name": name, "arguments": arguments}


# --- URLs -----------------------------------------------------------------------------


def path_of(request: Request, actor_id: ActorId, *more: str) -> str:
    """The path of a conversation, or of something in it, for the client of `request`.

    A proxy that takes a prefix off the path says so in `X-Forwarded-Prefix`; it can
    only mislead the client that sent it.
    """
    prefix = request.headers.get("x-forwarded-prefix", "").rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        prefix = ""
    root = str(request.scope.get("root_path", ""))
    words = ["agents", actor_id.type_name, "conversations", actor_id.instance_id]
    return f"{prefix}{root}/" + "/".join(
        quote(word, safe=":") for word in [*words, *more]
    )
