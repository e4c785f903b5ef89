"""What may be hosted as an agent, and how it is made ready to run as an actor.

An object with the framework's `SupportsAgentRun` is an agent. A callable without
required parameters is a factory of one. Any other callable with one or two of them is a
function that answers.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Callable
from typing import Any, cast

from agent_framework import (
    AgentResponse,
    AgentResponseUpdate,
    BaseChatClient,
    SupportsAgentRun,
    WorkflowAgent,
)

from agent_runtime_nb.agents.function_agent import FunctionAgent
from agent_runtime_nb.exceptions import InvalidAgent

_WHAT_FITS = (
    "give an agent of the framework, a factory of one (a callable without required "
    "parameters), or a function f(message, history)"
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
