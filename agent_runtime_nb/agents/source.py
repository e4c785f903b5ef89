"""What may be hosted as an agent, and how it is made ready to run as an actor.

An object with the framework's `SupportsAgentRun` is an agent. A callable without
required parameters is a factory of one. Any other callable with one or two of them is a
function that answers.
"""

import asyncio
import contextlib
import copy
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, cast

from agent_framework import (
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    BaseAgent,
    BaseChatClient,
    Content,
    HistoryProvider,
    Message,
    ResponseStream,
    SessionContext,
    SupportsAgentRun,
    WorkflowAgent,
    normalize_messages,
)

from agent_runtime_nb.agents.function_pieces import pieces
from agent_runtime_nb.exceptions import InvalidAgent

_WHAT_FITS = (
    "give an agent of the framework, a factory of one (a callable without required "
    "parameters), or a function f(message, history)"
)
_STORE_NOTICE = (
    "This model's service would store the conversation. It is kept here instead "
    '(store=False); to store it there, give the agent default_options={"store": True}.'
)
_NO_END_NOTICE = (
    "The model's answer ended without a sign that it is complete; it may be cut off."
)
_LENGTH_NOTICE = "The answer was cut off at the model's length limit."
_NOTHING_NOTICE = "The function returned nothing: return the text of the answer."

_log = logging.getLogger(__name__)


class AgentSource:
    """Where the agent of a conversation comes from.

    `is_factory` says whether every `make` gives an agent of its own, `is_function`
    whether it is a function that answers.

    Raises:
        InvalidAgent: if it is neither an agent, nor a factory, nor a function.
    """

    def __init__(self, agent: Any) -> None:
        self.is_factory = False
        self.is_function = False
        if not isinstance(agent, type) and isinstance(agent, SupportsAgentRun):
            if isinstance(agent, WorkflowAgent):
                raise InvalidAgent(
                    f"the workflow agent {agent.name!r} itself",
                    "conversations would leak into each other; give a function without "
                    "parameters that builds the workflow and returns its agent",
                )
            self._agent: Any = agent
        elif not callable(agent):
            raise InvalidAgent(f"{type(agent).__name__} object", _hint(agent))
        elif required := _required_parameters(agent):
            _check_function(agent, required)
            self._agent = FunctionAgent(agent, with_history=_takes_history(agent))
            self.is_function = True
        else:
            self._agent = agent
            self.is_factory = True

    async def make(self) -> SupportsAgentRun:
        """The agent of one conversation; an error of the factory is the caller's.

        Raises:
            InvalidAgent: if the factory gives something else than an agent.
        """
        if not self.is_factory:
            return self._agent
        made = self._agent()
        if inspect.isawaitable(made):
            made = await made
        return self.checked(made)

    def checked(self, made: Any) -> SupportsAgentRun:
        """What the factory gave, if it is an agent.

        Raises:
            InvalidAgent: if not.
        """
        if not isinstance(made, SupportsAgentRun):
            name = getattr(self._agent, "__name__", "it")
            few = "no required" if _parameters(self._agent) else "no"
            raise InvalidAgent(
                f"what {name}() returned, {type(made).__name__},",
                f"{name}() was taken as a factory because it has {few} parameters; "
                "a function agent takes the message: "
                f"def {name if name.isidentifier() else 'answer'}(message)",
            )
        return made


def _hint(value: object) -> str:
    for maker in ("as_agent", "get_response"):
        if hasattr(value, maker):
            return 'make an agent of it first, x.as_agent(name="...")'
    return _WHAT_FITS


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError as error:
        raise InvalidAgent(f"{function!r}", _WHAT_FITS) from error


def _required_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [
        parameter
        for parameter in _parameters(function)
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]


def _check_function(
    function: Callable[..., Any], required: list[inspect.Parameter]
) -> None:
    """Refuse what can be called, but not as f(message) or f(message, history)."""
    if isinstance(function, type):
        names = ", ".join(parameter.name for parameter in required)
        raise InvalidAgent(
            f"the class {function.__name__} itself",
            f"it needs {names}; give an object of it, or a function without "
            "parameters that makes one",
        )
    if len(required) > 2:
        what = f"a function with {len(required)} required parameters"
        raise InvalidAgent(what, _WHAT_FITS)
    by_name = [one.name for one in required if one.kind is one.KEYWORD_ONLY]
    if by_name:
        what = f"a function that must be given {', '.join(by_name)} by name"
        raise InvalidAgent(what, _WHAT_FITS)


def _takes_history(function: Callable[..., Any]) -> bool:
    second = [
        parameter
        for parameter in _parameters(function)[1:2]
        if parameter.kind
        in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    ]
    return bool(second) and (
        second[0] in _required_parameters(function) or second[0].name == "history"
    )


class FunctionAgent(BaseAgent):
    """An agent of the framework that answers with a function.

    See `AgentActor` for what the function gets and may give. A plain function runs in a
    thread, because it would block the loop; so it cannot be stopped, only left behind.
    """

    def __init__(self, function: Callable[..., Any], *, with_history: bool) -> None:
        name = getattr(function, "__name__", None)
        super().__init__(
            name=None if name == "<lambda>" else name,
            description=(inspect.getdoc(function) or "").partition("\n")[0] or None,
        )
        self._function = function
        self._with_history = with_history

    def run(
        self,
        messages: Any = None,
        *,
        stream: bool = False,
        session: AgentSession | None = None,
        **kwargs: Any,  # noqa: ARG002 - the framework's own, of no use to a function
    ) -> Any:
        """Answer; see `SupportsAgentRun.run`."""
        updates = self._updates(normalize_messages(messages), session)
        answer: ResponseStream[AgentResponseUpdate, AgentResponse[Any]] = (
            ResponseStream(updates, finalizer=AgentResponse.from_updates)
        )
        return answer if stream else answer.get_final_response()

    async def _updates(
        self, inputs: list[Message], session: AgentSession | None
    ) -> AsyncIterator[AgentResponseUpdate]:
        arguments: list[Any] = ["\n".join(filter(None, map(_text, inputs)))]
        if self._with_history:
            arguments.append(await self._history(inputs, session))
        async for piece in pieces(self._function, arguments):
            if isinstance(piece, AgentResponseUpdate):
                yield piece
            elif piece is not None:
                content = piece if isinstance(piece, Content) else str(piece)
                yield AgentResponseUpdate(
                    contents=[
                        Content.from_text(content)
                        if isinstance(content, str)
                        else content
                    ],
                    role="assistant",
                    author_name=self.name,
                    agent_id=self.id,
                )

    async def _history(
        self, inputs: list[Message], session: AgentSession | None
    ) -> list[Mapping[str, str]]:
        session = session or self.create_session()
        context = SessionContext(session_id=session.session_id, input_messages=inputs)
        for provider in self.context_providers:
            state = session.state.setdefault(provider.source_id, {})
            await provider.before_run(
                agent=cast("SupportsAgentRun", self),
                session=session,
                context=context,
                state=state,
            )
        return [
            {"role": str(message.role), "content": text}
            for message in context.get_messages()
            if (text := _text(message))
        ]


def _text(message: Message) -> str:
    return "\n".join(
        content.text or "" for content in message.contents if content.type == "text"
    )


class StagingHistory(HistoryProvider):
    """Gives an agent the conversation and catches what it saves, until it is committed.

    `history` is what was committed; `staged` is what the running turn has saved so far.
    An agent may save more than once per run, and sees what it has saved; or nothing at
    all while it `is_hidden`.
    """

    def __init__(self, history: list[Message]) -> None:
        super().__init__("agent_runtime_nb")
        self.history = history
        self.staged: list[Message] = []
        self.is_hidden = False

    async def get_messages(
        self,
        session_id: str | None,  # noqa: ARG002 - one provider serves one conversation
        *,
        state: dict[str, Any] | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> list[Message]:
        """The conversation so far; the list is the caller's."""
        return [] if self.is_hidden else [*self.history, *self.staged]

    async def save_messages(
        self,
        session_id: str | None,  # noqa: ARG002
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Stage what a run adds."""
        self.staged.extend(messages)


def staged(
    agent: SupportsAgentRun,
) -> tuple[SupportsAgentRun, StagingHistory | None, str | None]:
    """The agent to run, its staging provider if it has one, and what to tell once."""
    providers = getattr(agent, "context_providers", None)
    if not isinstance(providers, list) or any(
        isinstance(provider, HistoryProvider) and provider.load_messages
        for provider in cast("list[object]", providers)
    ):
        return agent, None, None
    options: dict[str, Any] = getattr(agent, "default_options", None) or {}
    if options.get("store") or options.get("conversation_id"):
        return agent, None, None
    staging = StagingHistory([])
    double: Any = copy.copy(agent)
    # First in the list: other providers may then see the conversation.
    double.context_providers = [staging, *cast("list[Any]", providers)]
    notice = None
    client = getattr(agent, "client", None)
    if getattr(client, "STORES_BY_DEFAULT", False) and "store" not in options:
        double.default_options = {**options, "store": False}
        notice = _STORE_NOTICE
    return double, staging, notice


# --- what an agent gives --------------------------------------------------------------


def as_update(given: object) -> AgentResponseUpdate:
    """What an agent streams, if it is an update; TypeError says what else it is."""
    if isinstance(given, AgentResponseUpdate):
        return given
    kind = type(given).__name__
    raise TypeError(f"the agent's run() streamed a {kind}, not an AgentResponseUpdate")


def as_response(given: object) -> AgentResponse[Any]:
    """What an agent returns, if it is a response; TypeError says what else it is."""
    if isinstance(given, AgentResponse):
        return cast("AgentResponse[Any]", given)
    kind = type(given).__name__
    raise TypeError(f"the agent's run() gave a {kind}, not an AgentResponse")


def notice_at_end(agent: object, response: AgentResponse[Any]) -> str | None:
    """What to warn of at the end of an answer; only a chat client always says why."""
    if response.finish_reason == "length":
        return _LENGTH_NOTICE
    if response.finish_reason is None:
        if isinstance(getattr(agent, "client", None), BaseChatClient):
            return _NO_END_NOTICE
        if isinstance(agent, FunctionAgent) and not response.messages:
            return _NOTHING_NOTICE
    return None


async def close_quietly(closable: object) -> None:
    """Close an agent or a stream, for at most a second; errors change nothing."""
    close = getattr(closable, "close", None) or getattr(closable, "aclose", None)
    if close is None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            try:
                result = close()
                if inspect.isawaitable(result):
                    await result
            except Exception:
                _log.debug("closing %r failed", type(closable), exc_info=True)
