"""What goes in and out over HTTP, as pydantic models.

Answers are built as plain values and written by orjson; their models are the
documentation in `/openapi.json`, and the tests hold the answers against them.
"""

from datetime import datetime
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
        None, ge=0.1, le=1e9, description="Seconds in which the turn must end."
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
    "background": {
        "summary": "A message, with the header `Prefer: respond-async`",
        "value": {"messages": [{"role": "user", "content": "Hello"}]},
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


class Notice(BaseModel):
    """Something about a turn, as that its answer was cut off."""

    level: Literal["info", "warning"]
    text: str


class Approval(BaseModel):
    """A tool call that waits for a decision, with its exact arguments."""

    approval_id: str
    name: str
    arguments: Any = None


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
    finish_reason: str | None = Field(
        None, description="Why the model stopped: `length` is an answer cut off."
    )
    notices: list[Notice] = Field(
        [], description="What a person should know of the turn, if anything."
    )
    approvals: list[Approval] = Field(
        [], description="Tool calls that wait for a decision, if any."
    )
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


class WithdrawResult(BaseModel):
    """Whether the request was still waiting, and is withdrawn now."""

    withdrawn: bool


class DiscardResult(BaseModel):
    """Whether the turn was taken out of what the model sees now; false: it was before."""

    discarded: bool


class ReviveResult(BaseModel):
    """Whether the conversation was in quarantine."""

    revived: bool


class ApprovalDecision(BaseModel):
    """The decision about one tool call."""

    model_config = ConfigDict(extra="forbid")

    approved: bool
    scope: Literal["once", "conversation"] = Field(
        "once",
        description="`conversation`: this tool needs no approval any more in it.",
    )
    reason: str | None = Field(
        None, max_length=2000, description="Why; of a refusal the model is told it."
    )


class ApprovalDecisions(BaseModel):
    """The decisions about all tool calls that a turn has asked for, by approval id."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"decisions": {"call-1": True}}]},
    )

    decisions: dict[str, bool | ApprovalDecision] = Field(
        min_length=1, description='`true` is short for `{"approved": true}`.'
    )

    def in_full(self) -> dict[str, ApprovalDecision]:
        """The decisions, all of them in the long form."""
        return {
            name: ApprovalDecision(approved=one, scope="once", reason=None)
            if isinstance(one, bool)
            else one
            for name, one in self.decisions.items()
        }


class OpenApproval(Approval):
    """A tool call that waits for a decision, and the request that it came up in."""

    request_id: str


class ApprovalList(BaseModel):
    """What waits for a decision in a conversation, oldest first."""

    approvals: list[OpenApproval]


class ConversationSummary(BaseModel):
    """A stored conversation, as a list shows it."""

    agent_name: str
    conversation_id: str
    name: str | None = None
    parent: str | None = Field(None, description="What it was forked from.")
    forked_at: str | None = Field(None, description="The last request in common.")


class ConversationList(BaseModel):
    """A page of conversations, by id; `next` is the `after` of the next page."""

    conversations: list[ConversationSummary]
    next: str | None = None


class TurnOut(BaseModel):
    """A turn: what was asked, what was answered, how it ended."""

    message_id: str
    position: int
    status: RequestStatus
    attempts: int
    method: str
    params: Any = None
    metadata: dict[str, str] = {}
    data: Any = None
    entries: list[Any] = []
    checkpoint: Any = None
    accepted_at: datetime
    ended_at: datetime | None = None


class ConversationBody(ConversationSummary):
    """A page of a conversation: its ended turns, what runs, what waits.

    `cursor` is the place in its progress, `more` says whether there are older turns:
    ask again with `before` set to the position of the first.
    """

    turns: list[TurnOut]
    running: TurnOut | None = None
    waiting: list[TurnOut] = []
    cursor: str
    more: bool


class ConversationName(BaseModel):
    """A name for people; null takes it away."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(min_length=1, max_length=200)


class ForkRequest(BaseModel):
    """Where to fork: after the request `at`, or before `before`; all of it without."""

    model_config = ConfigDict(extra="forbid")

    at: MessageId | None = None
    before: MessageId | None = None
    conversation_id: str | None = Field(None, description="Of the new conversation.")


class DeadLetterOut(BaseModel):
    """A request that is not begun again, and why."""

    conversation_id: str
    request_id: str
    attempts: int
    at: datetime
    reason: str = ""


class DeadLetterList(BaseModel):
    """Dead letters; `next` is the `after` of the next page."""

    dead_letters: list[DeadLetterOut]
    next: str | None = None


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
