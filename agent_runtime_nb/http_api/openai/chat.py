"""Chat completions, from OpenAI's messages to a turn and back."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api.openai.shapes import (
    ChatRequest,
    contents_of,
    error_body,
    raise_failure,
)
from agent_runtime_nb.http_api.problems import problem_of
from agent_runtime_nb.http_api.turn_pieces import (
    Piece,
    facts_at_end,
    object_of,
    pieces_at_end,
    pieces_of,
)
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
    "tool": "tool",
}
_REASONS = {"length": "length", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class ChatAbout:
    """What every part of an answer repeats."""

    model: str
    message_id: str
    at: float

    def head(self, kind: str) -> dict[str, JsonValue]:
        """The members that begin each part."""
        return {
            "id": f"chatcmpl-{self.message_id}",
            "object": kind,
            "created": int(self.at),
            "model": self.model,
        }


# --- what comes in --------------------------------------------------------------------


def chat_messages(body: ChatRequest, *, only_new: bool) -> list[dict[str, Any]]:
    """The messages of a turn.

    Args:
        body: the request.
        only_new: leave out what was said up to the last answer.

    Raises:
        InvalidRequest: naming the place.
    """
    given = [
        _message(one, f"messages[{number}]") for number, one in enumerate(body.messages)
    ]
    if not only_new:
        return given
    answers = [number for number, one in enumerate(given) if one["role"] == "assistant"]
    new = given[answers[-1] + 1 :] if answers else given
    if not new:
        raise InvalidRequest("messages", "there is nothing after the last answer")
    return new


def _message(given: dict[str, Any], field: str) -> dict[str, Any]:
    role = _ROLES.get(str(given.get("role")))
    if role is None:
        raise InvalidRequest(f"{field}.role", f"must be one of {', '.join(_ROLES)}")
    contents = contents_of(given.get("content"), f"{field}.content")
    if role == "tool":
        text = "".join(str(one.get("text", "")) for one in contents)
        call_id = str(given.get("tool_call_id"))
        contents = [{"type": "function_result", "call_id": call_id, "result": text}]
    for call in given.get("tool_calls") or ():
        function = object_of(object_of(call).get("function"))
        contents.append(
            {
                "type": "function_call",
                "call_id": str(call.get("id")),
                "name": str(function.get("name")),
                "arguments": function.get("arguments") or "",
            }
        )
    return {"role": role, "contents": contents}


# --- what goes out --------------------------------------------------------------------


def completion(about: ChatAbout, response: ActorResponseMessage) -> JsonValue:
    """The whole answer.

    Raises:
        TurnFailed: if the turn failed.
    """
    raise_failure(response)
    text = "".join(filter(None, map(_text, pieces_at_end(response))))
    message = {"role": "assistant", "content": text, "refusal": None}
    choice: dict[str, JsonValue] = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish_reason(response),
    }
    whole = {**about.head("chat.completion"), "choices": [choice]}
    usage = _usage(response)
    return whole if usage is None else {**whole, "usage": usage}


async def completion_chunks(
    handle: ActorResponseHandle,
    about: ChatAbout,
    *,
    with_usage: bool,
    at_end: Callable[[], Awaitable[None]],
) -> AsyncGenerator[bytes, None]:
    """The answer as it comes; `at_end` is called once the turn has ended."""
    head = about.head("chat.completion.chunk")

    def chunk(delta: JsonValue, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _data({**head, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    try:
        async for piece in pieces_of(handle):
            if isinstance(piece, Piece):
                if text := _text(piece):
                    yield chunk({"content": text})
                continue
            await at_end()
            raise_failure(piece)
            yield chunk({}, _finish_reason(piece))
            if with_usage:
                yield _data({**head, "choices": [], "usage": _usage(piece)})
    except Exception as error:
        problem = problem_of(error)
        body = error_body(problem.status, problem.slug, problem.detail)
        yield _data({"error": body})
    yield b"data: [DONE]\n\n"


def _text(piece: Piece) -> str:
    # Tools ran here: what they were asked and said is not for the caller to run.
    return piece.text if piece.kind == "text" and piece.role == "assistant" else ""


def _finish_reason(response: ActorResponseMessage) -> str:
    if response.status is not RequestStatus.COMPLETED:
        return "length"  # it was stopped: there would be more
    return _REASONS.get(str(facts_at_end(response)[1]), "stop")


def _usage(response: ActorResponseMessage) -> JsonValue:
    counted, _ = facts_at_end(response)
    if not counted:
        return None
    prompt = counted.get("input_token_count") or 0
    answer = counted.get("output_token_count") or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": counted.get("total_token_count") or prompt + answer,
    }


def _data(value: JsonValue) -> bytes:
    return b"data: %s\n\n" % orjson.dumps(value)
