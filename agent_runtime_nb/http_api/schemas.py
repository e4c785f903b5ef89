"""What goes in and out over HTTP, as pydantic models.

Answers are built as plain values and written by orjson; their models are the
documentation in `/openapi.json`, and the tests hold the answers against them.
"""

from typing import Annotated, Any, Literal, Self

from fastapi.openapi.models import Example
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent_runtime_nb.runtime_abstractions import (
    JsonValue,
    RequestStatus,
    WhenBusy,
)

MessageId = Annotated[str, Field(min_length=1, max_length=200)]


class ContentPart(BaseModel):
    """A part of a message, as the agent framework writes its contents."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"type": "text", "text": "What is in this picture?"},
                {"type": "data", "uri": "data:image/png;base64,iVBORw0KGgo="},
            ]
        },
    )

    type: str


class MessageIn(BaseModel):
    """A message to the agent: `content`, or `text` for plain text."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    text: str | None = None
    message_id: MessageId | None = None

    @model_validator(mode="after")
    def _say_something_once(self) -> Self:
        if (self.content is None) == (self.text is None):
            raise ValueError("give either content or text")
        return self

    def to_params(self) -> dict[str, JsonValue]:
        """The message as an agent actor takes it."""
        content: JsonValue = self.content if self.text is None else self.text
        if isinstance(self.content, list):
            content = [part.model_dump() for part in self.content]
        message: dict[str, JsonValue] = {"role": self.role, "content": content}
        if self.message_id is not None:
            message["message_id"] = self.message_id
        return message


class RunRequest(BaseModel):
    """What `POST /agents/{agent_name}/run` takes."""

    model_config = ConfigDict(extra="forbid")

    agent_name: str | None = Field(None, description="If given: the one of the path.")
    conversation_id: str | None = Field(
        None, description="One actor each; `http-{agent_name}` if not given."
    )
    messages: list[MessageIn] = Field(min_length=1)
    stream: bool = Field(
        default=False, description="As `Accept: text/event-stream`: an event stream."
    )
    when_busy: WhenBusy = Field(
        "queue",
        description="If the conversation is in a turn: wait, fail or cancel it.",
    )
    timeout: float | None = Field(
        None, gt=0, description="Seconds in which the turn must end."
    )


RUN_EXAMPLES: dict[str, Example] = {
    "text": {
        "summary": "A message",
        "value": {
            "conversation_id": "c1",
            "messages": [{"role": "user", "content": "Hello"}],
        },
    },
    "stream": {
        "summary": "A message, the answer as an event stream",
        "value": {"stream": True, "messages": [{"role": "user", "text": "Hello"}]},
    },
    "image": {
        "summary": "Text and an image",
        "value": {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "data", "uri": "data:image/png;base64,iVBORw0KGgo="},
                    ],
                }
            ]
        },
    },
}


class MessageOut(BaseModel):
    """A message of the turn's answer: `content` is its text, `contents` all parts."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str
    message_id: str | None = None
    contents: list[dict[str, Any]] = []


class RunResponse(BaseModel):
    """The answer of a turn; of one that has not ended, what is known so far."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "messages": [
                        {
                            "role": "assistant",
                            "content": "Echo: Hello",
                            "message_id": "m-2",
                            "contents": [{"type": "text", "text": "Echo: Hello"}],
                        }
                    ],
                    "status": "completed",
                    "agent_name": "echo",
                    "conversation_id": "c1",
                    "request_id": "m-1",
                    "usage": None,
                }
            ]
        }
    )

    messages: list[MessageOut]
    status: RequestStatus
    agent_name: str
    conversation_id: str
    request_id: str = Field(description="Also in the header `X-Request-Id`.")
    usage: dict[str, Any] | None = None
    data: Any = Field(None, description="What an actor that is no agent answered.")


class AgentInfo(BaseModel):
    """An agent that can be talked to."""

    name: str
    description: str


class AgentList(BaseModel):
    """The agents, by name."""

    agents: list[AgentInfo]


class HealthInfo(BaseModel):
    """How the runtime is; `loop_lag` is in seconds."""

    status: Literal["ok", "degraded", "blocked", "stopped"]
    detail: str = ""
    storage: str | None = None
    loop_lag: float | None = None
    resident: int | None = None
    running: int | None = None
    waiting: int | None = None


class CancelResult(BaseModel):
    """Whether the turn will end as cancelled; false if it has ended already."""

    cancelled: bool


class FieldError(BaseModel):
    """A place in the request and what is wrong with it."""

    field: str
    problem: str


class ProblemBody(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    retryable: bool | None = None
    errors: list[FieldError] | None = None
