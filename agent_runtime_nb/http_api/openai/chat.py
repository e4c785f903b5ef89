"""Chat completions: converts OpenAI's messages to a turn, and its answer back."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api.content_stream import (
    ContentChunk,
    final_content,
    object_of,
    stream_content,
    usage_and_finish_reason,
)
from agent_runtime_nb.http_api.openai.schemas import (
    ChatRequest,
    contents_of,
    error_body,
    raise_failure,
)
from agent_runtime_nb.http_api.problems import problem_of
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
class CompletionHead:
    """The members that every chunk of a completion repeats."""

    model: str
    message_id: str
    at: float

    def members(self, kind: str) -> dict[str, JsonValue]:
        """The first members of each chunk."""
        return {
            "id": f"chatcmpl-{self.message_id}",
            "object": kind,
            "created": int(self.at),
            "model": self.model,
        }


# --- OpenAI to a turn -----------------------------------------------------------------


def chat_messages(body: ChatRequest, *, only_new: bool) -> list[dict[str, Any]]:
    """The messages of a turn.

    Args:
        body: the request.
        only_new: leave out everything up to the last answer.

    Raises:
        InvalidRequest: naming the field.
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


# --- a turn to OpenAI ----------------------------------------------------------------


def completion(head: CompletionHead, response: ActorResponseMessage) -> JsonValue:
    """The whole answer.

    Raises:
        TurnFailed: if the turn failed.
    """
    raise_failure(response)
    text = "".join(filter(None, map(_text, final_content(response))))
    message = {"role": "assistant", "content": text, "refusal": None}
    choice: dict[str, JsonValue] = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish_reason(response),
    }
    whole = {**head.members("chat.completion"), "choices": [choice]}
    usage = _usage(response)
    return whole if usage is None else {**whole, "usage": usage}


async def completion_chunks(
    handle: ActorResponseHandle,
    head: CompletionHead,
    *,
    with_usage: bool,
    at_end: Callable[[], Awaitable[None]],
) -> AsyncGenerator[bytes, None]:
    """The answer as stream chunks; `at_end` is called once the turn has ended."""
    members = head.members("chat.completion.chunk")

    def chunk(delta: JsonValue, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _data({**members, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    try:
        async for item in stream_content(handle):
            if isinstance(item, ContentChunk):
                if text := _text(item):
                    yield chunk({"content": text})
                continue
            await at_end()
            raise_failure(item)
            yield chunk({}, _finish_reason(item))
            if with_usage:
                yield _data({**members, "choices": [], "usage": _usage(item)})
    except Exception as error:
        problem = problem_of(error)
        body = error_body(problem.status, problem.slug, problem.detail)
        yield _data({"error": body})
    yield b"data: [DONE]\n\n"


def _text(chunk: ContentChunk) -> str:
    # Tools ran here: their calls and results are not for the caller to run.
    return chunk.text if chunk.kind == "text" and chunk.role == "assistant" else ""


def _finish_reason(response: ActorResponseMessage) -> str:
    if response.status is not RequestStatus.COMPLETED:
        return "length"  # it was stopped: there would be more
    return _REASONS.get(str(usage_and_finish_reason(response)[1]), "stop")


def _usage(response: ActorResponseMessage) -> JsonValue:
    counted, _ = usage_and_finish_reason(response)
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
