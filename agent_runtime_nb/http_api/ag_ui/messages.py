"""Converts between the messages of AG-UI and those of a conversation."""

from collections.abc import Iterator
from typing import Any, cast

from ag_ui.core import (
    AssistantMessage,
    DataSource,
    DeveloperMessage,
    FunctionCall,
    ImagePart,
    Message,
    RunAgentInput,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UrlSource,
    UserMessage,
)

from agent_runtime_nb.conversations.contents import image_of
from agent_runtime_nb.conversations.entries import Entry, text_of
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api.approvals import approval_requests
from agent_runtime_nb.http_api.content_stream import arguments_of, as_text, object_of
from agent_runtime_nb.runtime_abstractions import TurnView
from agent_runtime_nb.runtime_directory import ActorView


def known_turns(view: ActorView) -> list[TurnView]:
    """The turns in a view of a conversation, open ones too, oldest first."""
    running = () if view.running is None else (view.running,)
    return [*view.turns, *running, *view.waiting]


# --- AG-UI to a turn --------------------------------------------------------------------


def messages_of(body: RunAgentInput, view: ActorView) -> list[dict[str, Any]]:
    """The messages of a turn: those that the conversation does not have yet.

    Raises:
        InvalidRequest: naming the field.
    """
    decisions = _approvals(body, view)
    given = list(body.messages)
    if known_turns(view):
        answered = [
            at for at, one in enumerate(given) if isinstance(one, AssistantMessage)
        ]
        given = given[answered[-1] + 1 :] if answered else given
    if decisions:  # the messages were sent before the interrupt
        return [{"role": "user", "contents": decisions}]
    messages = list(_new_messages(given))
    if not messages:
        raise InvalidRequest("messages", "there is nothing after the last answer")
    return messages


def _approvals(body: RunAgentInput, view: ActorView) -> list[dict[str, Any]]:
    asked: dict[str, dict[str, Any]] = {}
    for turn in view.turns:
        asked |= approval_requests(turn.data)
    answers: list[dict[str, Any]] = []
    for number, entry in enumerate(body.resume or ()):
        request = asked.get(entry.interrupt_id)
        if request is None:
            problem = "no such approval is asked for in this thread"
            raise InvalidRequest(f"resume[{number}].interruptId", problem)
        payload: Any = entry.payload
        approved = object_of(payload).get("approved", payload)
        answer = {key: request[key] for key in ("id", "function_call")}
        answer["type"] = "function_approval_response"
        answer["approved"] = entry.status == "resolved" and approved is True
        answers.append(answer)
    return answers


def _new_messages(messages: list[Message]) -> Iterator[dict[str, Any]]:
    for number, message in enumerate(messages):
        contents = _contents(message, f"messages[{number}]")
        if contents:
            role = "system" if message.role == "developer" else message.role
            yield {"role": role, "contents": contents, "message_id": message.id}


def _contents(message: Message, field: str) -> list[dict[str, Any]]:
    """A message's contents for the agent; none of reasoning and activities."""
    if isinstance(message, ToolMessage):
        result = {"type": "function_result", "call_id": message.tool_call_id}
        return [{**result, "result": _plain(message.content)}]
    if isinstance(message, SystemMessage | DeveloperMessage):
        return [{"type": "text", "text": _plain(message.content)}]
    if isinstance(message, AssistantMessage):
        text = [{"type": "text", "text": message.content}] if message.content else []
        return [*text, *map(_call, message.tool_calls or ())]
    if isinstance(message, UserMessage):
        parts: Any = message.content
        if isinstance(parts, str):
            return [{"type": "text", "text": parts}]
        return [_part(part, f"{field}.content[{at}]") for at, part in enumerate(parts)]
    return []


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, TextPart))


def _call(call: ToolCall) -> dict[str, Any]:
    named = {"name": call.function.name, "arguments": call.function.arguments}
    return {"type": "function_call", "call_id": call.id, **named}


def _part(part: Any, field: str) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    source = part.source if isinstance(part, ImagePart) else None
    if isinstance(source, DataSource):
        return image_of(f"data:{source.mime_type};base64,{source.value}")
    if isinstance(source, UrlSource):
        return image_of(source.value, source.mime_type or "image/*")
    raise InvalidRequest(field, "only texts and images are taken here")


# --- a turn to AG-UI ------------------------------------------------------------------


def ag_ui_messages(entry: Entry) -> Iterator[Message]:
    """An entry of a conversation as messages of AG-UI."""
    contents = cast("list[dict[str, Any]]", entry.get("contents") or [])
    role, name = entry["role"], str(entry["message_id"])
    if role == "tool":
        for at, one in enumerate(contents):
            if one.get("type") == "function_result":
                yield ToolMessage(
                    id=f"{name}-{at}" if at else name,
                    content=as_text(one.get("result") or ""),
                    tool_call_id=str(one.get("call_id")),
                )
    elif role == "assistant":
        calls = [_tool_call(one) for one in contents if one["type"] == "function_call"]
        text = text_of(entry)
        yield AssistantMessage(id=name, content=text or None, tool_calls=calls or None)
    elif role == "user":
        yield UserMessage(id=name, content=text_of(entry))
    else:
        yield SystemMessage(id=name, content=text_of(entry))


def _tool_call(content: dict[str, Any]) -> ToolCall:
    function = FunctionCall(
        name=str(content.get("name")), arguments=arguments_of(content)
    )
    return ToolCall(id=str(content.get("call_id")), function=function)
