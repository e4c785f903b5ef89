"""Responses: converts OpenAI's input items to a turn, and its answer back."""

import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api.content_stream import (
    ContentChunk,
    final_content,
    stream_content,
    turn_error,
    usage_and_finish_reason,
)
from agent_runtime_nb.http_api.openai.items import Event, Output
from agent_runtime_nb.http_api.openai.schemas import (
    ResponseId,
    ResponsesRequest,
    contents_of,
    raise_failure,
)
from agent_runtime_nb.http_api.problems import problem_of
from agent_runtime_nb.http_api.sse import frame
from agent_runtime_nb.runtime_abstractions import (
    ActorResponseHandle,
    ActorResponseMessage,
    JsonValue,
    RequestStatus,
)

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_CUT_OFF = {"length": "max_output_tokens", "content_filter": "content_filter"}
_IGNORED = frozenset(
    {"reasoning", "mcp_call", "mcp_list_tools", "mcp_approval_request"}
)
"""Items of earlier answers, as a caller may give them back."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What a response repeats of its request."""

    id: ResponseId
    at: float
    instructions: str | None = None
    previous_response_id: str | None = None
    metadata: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, body: ResponsesRequest, response_id: ResponseId, at: float) -> Self:
        """Of a request."""
        return cls(
            response_id,
            at,
            body.instructions,
            body.previous_response_id,
            body.metadata,
        )


# --- OpenAI to a turn -----------------------------------------------------------------


def approvals_in(body: ResponsesRequest) -> bool:
    """Whether the input answers approval requests."""
    items = body.input if isinstance(body.input, list) else []
    return any(item.get("type") == "mcp_approval_response" for item in items)


def input_messages(
    body: ResponsesRequest, asked: Mapping[str, dict[str, JsonValue]]
) -> list[dict[str, Any]]:
    """The messages of a turn.

    Args:
        body: the request.
        asked: the open approval requests of the conversation, by id.

    Raises:
        InvalidRequest: naming the field.
    """
    messages: list[dict[str, Any]] = []
    if body.instructions:
        # The id is made of the text: an actor that has a message of that id skips it.
        name = hashlib.sha256(body.instructions.encode()).hexdigest()[:24]
        message = {"role": "system", "content": body.instructions}
        messages.append({**message, "message_id": f"instructions-{name}"})
    if isinstance(body.input, str):
        return [*messages, {"role": "user", "content": body.input}]
    for number, item in enumerate(body.input):
        if item.get("type") not in _IGNORED:
            messages.append(_message(item, f"input[{number}]", asked))
    if all(message["role"] == "system" for message in messages):
        raise InvalidRequest("input", "there is nothing to answer")
    return messages


def _message(
    item: dict[str, Any], field: str, asked: Mapping[str, dict[str, JsonValue]]
) -> dict[str, Any]:
    kind = item.get("type", "message")
    if kind == "mcp_approval_response":
        request = asked.get(str(item.get("approval_request_id")))
        if request is None:
            problem = "no such approval is asked for in this conversation"
            raise InvalidRequest(f"{field}.approval_request_id", problem)
        answer = {key: request[key] for key in ("id", "function_call")}
        answer |= {
            "type": "function_approval_response",
            "approved": item.get("approve") is True,
        }
        return {"role": "user", "contents": [answer]}
    if kind == "function_call_output":
        result = {"type": "function_result", "call_id": str(item.get("call_id"))}
        return {"role": "tool", "contents": [{**result, "result": item.get("output")}]}
    role = _ROLES.get(str(item.get("role")))
    if kind != "message" or role is None:
        problem = "must be a message, a function_call_output or an approval response"
        raise InvalidRequest(field, problem)
    return {
        "role": role,
        "contents": contents_of(item.get("content"), f"{field}.content"),
    }


# --- a turn to OpenAI ----------------------------------------------------------------


def open_response(head: ResponseHead, status: str) -> dict[str, JsonValue]:
    """A response that has no answer yet."""
    return {
        "id": str(head.id),
        "object": "response",
        "created_at": int(head.at),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": head.instructions,
        "model": head.id.actor_id.type_name,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": head.previous_response_id,
        "conversation": {"id": head.id.actor_id.instance_id},
        "tool_choice": "auto",
        "tools": [],
        "metadata": dict(head.metadata or {}),
        "usage": None,
    }


def response_of(
    head: ResponseHead, response: ActorResponseMessage, *, raising: bool = True
) -> dict[str, JsonValue]:
    """The whole answer.

    Raises:
        TurnFailed: if the turn failed, and `raising` is set.
    """
    if raising:
        raise_failure(response)
    output = Output(head.id.actor_id.type_name, head.id.message_id)
    for chunk in final_content(response):
        output.take(chunk)
    output.finish()
    status, why = _status(response)
    whole = open_response(head, status)
    whole |= {"output": output.items, "usage": _usage(response)}
    if why is not None:
        whole["incomplete_details"] = {"reason": why}
    if (failed := turn_error(response)) is not None:
        kind, text, _ = failed
        whole["error"] = {"code": "server_error", "message": f"{kind}: {text}"}
    return whole


def _status(response: ActorResponseMessage) -> tuple[str, str | None]:
    if response.status is RequestStatus.COMPLETED:
        why = _CUT_OFF.get(str(usage_and_finish_reason(response)[1]))
        return ("completed", None) if why is None else ("incomplete", why)
    ends = {RequestStatus.FAILED: "failed", RequestStatus.CANCELLED: "cancelled"}
    return ends.get(response.status, "incomplete"), None


def _usage(response: ActorResponseMessage) -> JsonValue:
    counted, _ = usage_and_finish_reason(response)
    if not counted:
        return None
    given = counted.get("input_token_count") or 0
    answer = counted.get("output_token_count") or 0
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted.get("total_token_count") or given + answer,
    }


async def response_events(
    handle: ActorResponseHandle, head: ResponseHead
) -> AsyncGenerator[bytes, None]:
    """The answer as a stream of OpenAI's events."""
    sent = 0

    def event(kind: str, members: Mapping[str, JsonValue]) -> bytes:
        nonlocal sent
        sent += 1
        numbered = {"type": kind, "sequence_number": sent - 1, **members}
        return frame(kind, None, numbered)

    output = Output(head.id.actor_id.type_name, head.id.message_id)
    begun = open_response(head, "in_progress")
    yield event("response.created", {"response": begun})
    yield event("response.in_progress", {"response": begun})
    try:
        async for chunk in stream_content(handle):
            if isinstance(chunk, ContentChunk):
                for one in output.take(chunk):
                    yield event(*one)
                continue
            for one in output.finish():
                yield event(*one)
            yield event(*_end(head, chunk))
    except Exception as error:
        problem = problem_of(error)
        code = problem.slug.replace("-", "_")
        members = {"code": code, "message": problem.detail, "param": None}
        yield event("error", members)


def _end(head: ResponseHead, response: ActorResponseMessage) -> Event:
    whole = response_of(head, response, raising=False)
    status = whole["status"]
    kind = status if status in ("completed", "failed") else "incomplete"
    return f"response.{kind}", {"response": whole}
