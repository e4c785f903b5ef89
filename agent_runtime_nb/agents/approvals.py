"""Approvals of tool calls: what an answer may say, and what it is bound to.

An answer is the framework's `function_approval_response`. It counts once, for a request
that is open in its conversation, and for exactly the call that was asked about. Its
`additional_properties` may have the framework's own `{"tool_approval": {...}}`, of
which these are understood:

    "always_approve": "tool"   the tool needs no approval any more in this conversation
    "reason": str              why; the model is told the reason of a refusal

A tool that was allowed is shown to the framework as one that needs no approval, so it
is the framework that decides what runs and when, as ever.
"""

import copy
import json
from collections.abc import (
    Awaitable,
    Callable,
    Container,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any, Literal, cast

from agent_framework import (
    AgentSession,
    ChatContext,
    ChatMiddleware,
    Content,
    FunctionInvocationLayer,
    Message,
)

from agent_runtime_nb.exceptions import InvalidRequest

ANSWER = "function_approval_response"
"""The type of the content that answers an approval request."""

_REQUEST = "function_approval_request"
_PROPERTY = "tool_approval"
_SCOPE = "always_approve"
_WHOLE_TOOL = "tool"


# --- what is said ---------------------------------------------------------------------


def answer_properties(
    *, for_conversation: bool, reason: str | None
) -> dict[str, dict[str, str]]:
    """The `additional_properties` of an answer; empty if there is nothing to say."""
    said: dict[str, str] = {}
    if for_conversation:
        said[_SCOPE] = _WHOLE_TOOL
    if reason:
        said["reason"] = reason
    return {_PROPERTY: said} if said else {}


def scope_of(extra: Mapping[str, Any]) -> Literal["once", "conversation"]:
    """For what an approval holds, by its additional properties."""
    return "conversation" if _said(extra).get(_SCOPE) == _WHOLE_TOOL else "once"


def reason_of(extra: Mapping[str, Any]) -> str | None:
    """Why somebody decided so, if they said it."""
    reason = _said(extra).get("reason")
    return reason if isinstance(reason, str) and reason.strip() else None


def _said(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    said = extra.get(_PROPERTY)
    return cast("Mapping[str, Any]", said) if isinstance(said, Mapping) else {}


def answers_in(messages: Iterable[Message]) -> list[Content]:
    """The answers to approval requests, in order."""
    return [one for message in messages for one in message.contents if _is(one, ANSWER)]


def granted_tools(answers: Iterable[Content]) -> list[str]:
    """The tools that were allowed for the conversation; never a service's own."""
    return [
        answer.function_call.name
        for answer in answers
        if answer.approved is True
        and scope_of(answer.additional_properties) == "conversation"
        and answer.function_call is not None
        and answer.function_call.name
        and not answer.function_call.hosted
    ]


# --- what it is bound to --------------------------------------------------------------


def check_answers(
    inputs: Sequence[Message],
    heard: Container[int],
    history: Iterable[Message],
    pending: Container[str] | None,
) -> None:
    """Refuse answers to what was not asked, or not like that, or is answered.

    Args:
        inputs: the messages of the request, as they were sent.
        heard: the identities (`id`) of those that the agent will hear.
        history: the conversation so far.
        pending: the requests that the agent's session still waits for; None if that
            cannot be told.

    Raises:
        InvalidRequest: naming the field, as in `messages[0].contents[1].id`.
    """
    asked: dict[str, Content] = {}
    answered: set[str] = set()
    for message in history:
        for content in message.contents:
            if _is(content, _REQUEST):
                asked[str(content.id)] = content
            elif _is(content, ANSWER):
                answered.add(str(content.id))
    for index, message in enumerate(inputs):
        if id(message) in heard:
            for place, content in enumerate(message.contents):
                if _is(content, ANSWER):
                    field = f"messages[{index}].contents[{place}]"
                    _check(content, field, asked, answered, pending)
                    answered.add(str(content.id))


def _check(
    answer: Content,
    field: str,
    asked: Mapping[str, Content],
    answered: Container[str],
    pending: Container[str] | None,
) -> None:
    name = str(answer.id)
    request = asked.get(name)
    if request is None or request.function_call is None:
        raise InvalidRequest(f"{field}.id", "is not asked for in this conversation")
    if name in answered:
        raise InvalidRequest(
            f"{field}.id", "was answered before; an answer counts once"
        )
    stored, given = request.function_call, answer.function_call
    if pending is not None and name not in pending and not stored.hosted:
        raise InvalidRequest(f"{field}.id", "is not open any more")
    for key, what in (
        ("name", "tool"),
        ("call_id", "call"),
        ("arguments", "arguments"),
    ):
        if given is None or _value(given, key) != _value(stored, key):
            problem = f"differs from the {what} that was asked about"
            raise InvalidRequest(f"{field}.function_call.{key}", problem)


def _value(call: Content, key: str) -> object:
    value = getattr(call, key)
    if key != "arguments" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def pending_requests(agent: object, session: AgentSession) -> set[str] | None:
    """The approval requests that the framework waits for; None if it does not say."""
    if not isinstance(getattr(agent, "client", None), FunctionInvocationLayer):
        return None
    state: Any = session.state.get(_PROPERTY)
    waiting: Any = state.get("pending_approval_requests") if state else None
    requests = cast("list[Content | Mapping[str, Any]]", waiting or [])
    return {str(one["id"] if isinstance(one, Mapping) else one.id) for one in requests}


def _is(content: Content, kind: str) -> bool:
    return content.type == kind


# --- why not --------------------------------------------------------------------------


def reasons_of(answers: Iterable[Content]) -> dict[str, str]:
    """Why calls were not allowed, by the ids of their answers."""
    return {
        str(answer.id): reason
        for answer in answers
        if answer.approved is not True
        and (reason := reason_of(answer.additional_properties))
    }


class TellReasons(ChatMiddleware):
    """Puts the reasons of refusals into what the framework says of them to the model.

    Args:
        reasons: by the ids of the answers.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self._reasons = dict(reasons)

    async def process(
        self, context: ChatContext, call_next: Callable[[], Awaitable[None]]
    ) -> None:
        """See `ChatMiddleware.process`."""
        for message in context.messages:
            for content in message.contents:
                if content.type == "function_result":
                    self._tell(content)
        await call_next()

    def _tell(self, result: Content) -> None:
        # Told where it stands, so that it is stored with it and later turns know it.
        reason = self._reasons.pop(str(result.id), None)
        if reason is not None:
            result.result = f"{result.result} Reason: {reason}"
            result.items = [Content.from_text(result.result)]


# --- tools that need no approval any more ---------------------------------------------


def with_allowed_tools(agent: Any, allowed: Container[str]) -> Any:
    """A double of an agent that runs these tools without asking.

    Args:
        agent: stays as it is.
        allowed: the names of the tools; looked at whenever the model is called.

    Returns:
        None if the agent's tools are not run by the framework's function loop.
    """
    client = getattr(agent, "client", None)
    if not isinstance(client, FunctionInvocationLayer):
        return None
    double = copy.copy(agent)
    double.client = _AllowingClient(client, allowed)
    return double


class _AllowingClient:
    """A chat client, but for the tools that need no approval any more."""

    def __init__(self, client: Any, allowed: Container[str]) -> None:
        self._client = client
        self._allowed = allowed
        self._doubles: dict[int, tuple[Any, Any]] = {}  # with the tool, so it lives

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - what asks for the client's kind gets it
        return cast("Any", type(self._client))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_response(self, messages: Any, **arguments: Any) -> Any:
        """See the framework's `SupportsChatGetResponse`."""
        options = arguments.get("options")
        if options and options.get("tools"):
            tools = [self._allowing(tool) for tool in options["tools"]]
            arguments["options"] = {**options, "tools": tools}
        return self._client.get_response(messages, **arguments)

    def _allowing(self, tool: Any) -> Any:
        if getattr(tool, "approval_mode", None) != "always_require":
            return tool
        if tool.name not in self._allowed:
            return tool
        # One double for all calls: it counts how often it ran.
        _, double = self._doubles.get(id(tool), (None, None))
        if double is None:
            double = copy.copy(tool)
            double.approval_mode = "never_require"
            self._doubles[id(tool)] = (tool, double)
        return double
