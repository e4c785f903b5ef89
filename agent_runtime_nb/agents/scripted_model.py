"""A chat client of the framework whose model follows a script.

A **script** says what the model answers to one call. It is a list of steps, or a
function that gets the messages the model sees and gives the steps (the model is called
again after tools have run: then the last message has the role "tool"). A **step** is

    str                 text, streamed word by word
    Content             anything the framework knows: a tool call, reasoning, an image
    Pace(seconds)       wait that long before each piece from here on
    CUT                 the stream ends here, without a word why
    an exception        is raised here, as if the service failed

Pieces wait `delay` seconds each, through `sleep`, which a test replaces.
"""

import asyncio
import itertools
import json
import re
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias
from uuid import uuid4

from agent_framework import (
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    ResponseStream,
)
from agent_framework.observability import ChatTelemetryLayer

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for seconds, as `asyncio.sleep` does."""


def split_words(text: str) -> list[str]:
    """The text in pieces of a word each; joined they are the text."""
    return re.findall(r"\s*\S+\s*?(?=\s|$)|\s+$", text) or ([text] if text else [])


# A random part and a counter: a system call less for each turn.
_RANDOM = uuid4().hex
_numbers = itertools.count(1)


def new_message_id() -> str:
    """An id that no other message has."""
    return f"{_RANDOM}-{next(_numbers)}"


@dataclass(frozen=True)
class Pace:
    """A step: wait `seconds` before each piece from here on."""

    seconds: float


class _Cut:
    """The kind of `CUT`."""


CUT = _Cut()
"""A step: the stream ends here, without a finish reason, as when a line breaks."""

Step: TypeAlias = str | Content | Pace | _Cut | Exception
"""One step of a script; see the head of this module."""

Script: TypeAlias = Callable[[Sequence[Message]], Iterable[Step]] | Sequence[Step]
"""What the model answers to one call; see the head of this module."""


class ScriptedChatClient(
    FunctionInvocationLayer[Any],
    ChatMiddlewareLayer[Any],
    ChatTelemetryLayer[Any],
    BaseChatClient[Any],
):
    """A chat client of the framework whose model follows a script.

    `script`, `delay` and `sleep` may be changed at any time; `calls` holds what the model
    saw in its last 100 calls, oldest first.
    """

    OTEL_PROVIDER_NAME: ClassVar[str] = "scripted"

    def __init__(
        self,
        script: Script,
        *,
        delay: float = 0.0,
        sleep: Sleep = asyncio.sleep,
        new_id: Callable[[], str] = new_message_id,
    ) -> None:
        super().__init__()
        self.model = "scripted"
        self.calls: deque[list[Message]] = deque(maxlen=100)
        self.script = script
        self.delay = delay
        self.sleep = sleep
        self._make_id = new_id

    def _inner_get_response(
        self,
        *,
        messages: Sequence[Message],
        stream: bool,
        options: Mapping[str, Any],
        **kwargs: Any,
    ) -> Any:
        self.calls.append(list(messages))
        script = self.script
        steps = script(messages) if callable(script) else script
        updates = self._updates(list(steps), messages)
        response_format = options.get("response_format")
        answer = self._build_response_stream(updates, response_format=response_format)
        return answer if stream else _final(answer)

    async def _updates(
        self, steps: list[Step], messages: Sequence[Message]
    ) -> AsyncIterator[ChatResponseUpdate]:
        message_id = self._make_id()
        delay = self.delay
        words = 0
        for step in steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, _Cut):
                return
            if isinstance(step, Pace):
                delay = step.seconds
                continue
            for content in _contents(step):
                if delay:
                    await self.sleep(delay)
                words += 1
                yield self._update(content, message_id)
        usage = _usage(sum(len(message.text.split()) for message in messages), words)
        yield self._update(usage, message_id, finish_reason="stop")

    def _update(
        self, content: Content, message_id: str, finish_reason: Any = None
    ) -> ChatResponseUpdate:
        return ChatResponseUpdate(
            contents=[content],
            role="assistant",
            message_id=message_id,
            response_id=message_id,
            model=self.model,
            finish_reason=finish_reason,
        )


async def _final(stream: ResponseStream[Any, ChatResponse[Any]]) -> ChatResponse[Any]:
    return await stream.get_final_response()


def _contents(step: str | Content) -> list[Content]:
    if isinstance(step, str):
        return [Content.from_text(word) for word in split_words(step)]
    if step.type == "text_reasoning":
        return [
            Content.from_text_reasoning(text=word)
            for word in split_words(step.text or "")
        ]
    if step.type == "function_call" and isinstance(step.arguments, str):
        # Services send a call in fragments; only the first one has the name.
        half = len(step.arguments) // 2
        call_id = step.call_id or ""
        head = step.arguments[:half]
        return [
            Content.from_function_call(call_id, step.name or "", arguments=head),
            Content.from_function_call(call_id, "", arguments=step.arguments[half:]),
        ]
    return [step]


def _usage(seen: int, said: int) -> Content:
    return Content.from_usage(
        {
            "input_token_count": seen,
            "output_token_count": said,
            "total_token_count": seen + said,
        }
    )


def call_tool(messages: Sequence[Message], name: str, **arguments: Any) -> Content:
    """A step: call a tool. Its id is the number of the call in the conversation."""
    earlier = sum(
        content.type == "function_call"
        for message in messages
        for content in message.contents
    )
    return Content.from_function_call(
        f"call_{earlier + 1}", name, arguments=json.dumps(arguments)
    )
