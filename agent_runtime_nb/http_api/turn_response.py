"""A turn as an HTTP response: its final response, or that it is pending."""

from typing import cast

import orjson
from fastapi import Response

from agent_runtime_nb.exceptions import (
    RequestNotFound,
)
from agent_runtime_nb.http_api.approvals import approval_requests, approval_summary
from agent_runtime_nb.http_api.problems import Problem, problem_of, problem_of_turn
from agent_runtime_nb.runtime_abstractions import (
    ActorResponseHandle,
    ActorResponseMessage,
    JsonValue,
    RequestStatus,
)


def json_response(
    body: JsonValue, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A JSON response that no cache may keep."""
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(body), status, sent, media_type="application/json")


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
