"""What both ends of the HTTP connection must agree on, in one place.

Values cross as JSON with the package's own types made again on the other side; errors
cross as problems (RFC 9457) whose type names the exception and whose member `facts` has
its attributes. The verbs of a `RuntimeDirectory` are read off its methods, so a verb
that is added there can be carried without a word here.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from agent_runtime_nb.exceptions import AgentRuntimeError, RemoteError
from agent_runtime_nb.runtime_abstractions import JsonValue, TurnUpdate
from agent_runtime_nb.runtime_directory import RuntimeDirectory
from agent_runtime_nb.runtime_events import EVENT_KINDS, RuntimeEvent

REQUESTS = "/actors/requests"
RESPONSE = "/actors/response"
UPDATES = "/actors/updates"
CANCEL = "/actors/cancel"
TURNS = "/actors/turns"
EVENTS = "/directory/events"
VERB = "/directory/verbs/"

LONGEST_WAIT = 20.0
"""Seconds that a server keeps a question for a response before it says "pending"."""

LARGEST_REQUEST = 10_000_000
"""Bytes of a request at most. A server cuts the connection of a larger one, which would
look as if it had broken, so clients ask themselves first."""

PROBLEM = "urn:agent-runtime-nb:problem:"
"""How the types of problems begin."""

TURN_UPDATE: TypeAdapter[TurnUpdate] = TypeAdapter(TurnUpdate)


# --- errors ---------------------------------------------------------------------------


def slug_of(kind: type[Exception]) -> str:
    """The name of an exception as the type of a problem has it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


def facts_of(error: AgentRuntimeError) -> dict[str, JsonValue]:
    """The attributes of an error, as far as JSON can carry them, else as texts."""
    return {name: _fact(value) for name, value in vars(error).items()}


def _fact(value: object) -> JsonValue:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return [_fact(one) for one in cast("tuple[object, ...]", value)]
    return str(value)


def error_of(problem: object, where: str) -> AgentRuntimeError:
    """The error that a problem was made of; a `RemoteError` of any other answer.

    Args:
        problem: the body of the answer, decoded; None if it was no JSON.
        where: the server, as people know it.
    """
    said = cast("dict[str, Any]", problem) if isinstance(problem, dict) else {}
    kind = _errors().get(str(said.get("type", "")).removeprefix(PROBLEM))
    detail = str(said.get("detail") or "gave an answer that is none of this API")
    if kind is None:
        return RemoteError(where, detail, retryable=bool(said.get("retryable")))
    # Its constructor takes facts to make the message, which is here already.
    error = kind.__new__(kind)
    Exception.__init__(error, detail)
    facts = cast("dict[str, Any]", said.get("facts") or {})
    for found in cast("list[dict[str, str]]", said.get("errors") or ())[:1]:
        facts = {**found, **facts}
    for name, value in facts.items():
        setattr(error, name, _as_it_was(value))
    return error


def _as_it_was(value: JsonValue) -> JsonValue:
    return tuple(cast("list[JsonValue]", value)) if isinstance(value, list) else value


def _errors() -> dict[str, type[AgentRuntimeError]]:
    return {slug_of(kind): kind for kind in _tree(AgentRuntimeError)}


def _tree(kind: type[AgentRuntimeError]) -> Iterator[type[AgentRuntimeError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _tree(one)


# --- the directory --------------------------------------------------------------------


class Verb(NamedTuple):
    """A method of the directory: its arguments, and what it gives."""

    arguments: type[BaseModel]
    result: TypeAdapter[Any]


def _verb(name: str, method: Any) -> Verb:
    hints = get_type_hints(method)
    result = TypeAdapter(hints.pop("return"))
    parameters = inspect.signature(method).parameters
    arguments: dict[str, Any] = {
        one: (hint, _default(parameters[one])) for one, hint in hints.items()
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return Verb(create_model(name, __config__=config, **arguments), result)


def _default(parameter: inspect.Parameter) -> Any:
    return ... if parameter.default is inspect.Parameter.empty else parameter.default


VERBS: Mapping[str, Verb] = {
    name: _verb(name, method)
    for name, method in vars(RuntimeDirectory).items()
    if inspect.iscoroutinefunction(method)
}
"""What can be asked of a directory, by the names of its methods."""

REPEATABLE = frozenset(
    {
        "actor_types",
        "dead_letters",
        "health",
        "list_actors",
        "list_conversations",
        "read_actor",
        "rename",
        "run_again",
    }
)
"""Verbs that do no more when they are asked twice."""


# --- events ---------------------------------------------------------------------------

_EVENTS = {kind.__name__: kind for kind in EVENT_KINDS}


def event_to_json(event: RuntimeEvent) -> JsonValue:
    """An event as its kind and its fields."""
    values = {one.name: getattr(event, one.name) for one in fields(event)}
    return [type(event).__name__, values]


def event_from_json(value: JsonValue) -> RuntimeEvent | None:
    """The event; None of a kind that this version does not know."""
    name, values = value
    kind = _EVENTS.get(name)
    return None if kind is None else kind(**values)
