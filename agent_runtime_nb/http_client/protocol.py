"""The protocol of client and server: paths, errors, directory methods, events.

Values are sent as JSON, and the package's own types are restored on the other side;
errors as problems (RFC 9457) whose type names the exception and whose member `facts`
has its attributes. The verbs of a `RuntimeDirectory` are read off its methods, so a verb
that is added there needs nothing here.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from types import NoneType
from typing import Any, NamedTuple, cast, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from agent_runtime_nb.exceptions import AgentRuntimeError, RemoteError
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    JsonValue,
    RequestStatus,
    TurnUpdate,
)
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
look as if it had broken, so clients check the size first."""

PROBLEM = "urn:agent-runtime-nb:problem:"
"""How the types of problems begin."""

TURN_UPDATE: TypeAdapter[TurnUpdate] = TypeAdapter(TurnUpdate)

_JSON_KINDS = frozenset({NoneType, bool, int, float, str, list, dict})
_SCALARS = _JSON_KINDS - {list, dict}


# --- errors ---------------------------------------------------------------------------


def slug_of(kind: type[Exception]) -> str:
    """The name of an exception as the type of a problem has it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


def facts_of(error: AgentRuntimeError) -> dict[str, JsonValue]:
    """The attributes of an error, from which `error_of` restores equal ones.

    Facts are JSON values, ids of actors, responses, and tuples of these. Any other
    object means something in its process only: its text is sent. The cause and the notes
    of an error are not sent; they are for the log of its process.
    """
    attributes = vars(error).items()
    return {
        name: _fact(value) for name, value in attributes if not name.startswith("__")
    }


def _fact(value: object) -> JsonValue:
    """A scalar as it is, a tuple as a list, others as an object with their kind."""
    kind = type(value)
    if kind is tuple:
        return [_fact(one) for one in cast("tuple[object, ...]", value)]
    if isinstance(value, ActorId):
        return {"$actor": list(value)}
    if isinstance(value, ActorResponseMessage):
        members = value.message_id, value.sender_id, value.status.value, value.data
        return {"$response": [_fact(one) for one in (*members, value.at)]}
    if kind not in _JSON_KINDS:
        return _fact(str(value))
    if kind in _SCALARS:
        # Some only `json` can write: an infinity, a file name that is no UTF-8.
        with suppress(TypeError):
            if orjson.loads(orjson.dumps(value)) == value:
                return value
    return {"$json": json.dumps(value, default=str, skipkeys=True)}


def _value(fact: JsonValue) -> Any:
    """The value of a fact; the inverse of `_fact`."""
    match fact:
        case list():
            return tuple(map(_value, cast("list[JsonValue]", fact)))
        case {"$actor": [type_name, instance_id]}:
            return ActorId(type_name, instance_id)
        case {"$response": [message_id, sender_id, status, data, at]}:
            return ActorResponseMessage(
                message_id, _value(sender_id), RequestStatus(status), _value(data), at
            )
        case {"$json": str(text)}:
            return json.loads(text)
        case _:
            return fact


def error_of(problem: object, server: str) -> AgentRuntimeError:
    """The error of a problem, as it was raised there; a `RemoteError` of any other body.

    Args:
        problem: the body of the response, decoded; None if it was no JSON.
        server: its URL without secrets, for error messages.
    """
    members = cast("dict[str, Any]", problem) if isinstance(problem, dict) else {}
    kind = _errors().get(str(members.get("type", "")).removeprefix(PROBLEM))
    detail = str(members.get("detail") or "gave an answer that is none of this API")
    if kind is None:
        return RemoteError(server, detail, retryable=bool(members.get("retryable")))
    # Not by its constructor, which makes the message anew from its arguments.
    error = kind.__new__(kind)
    super(AgentRuntimeError, error).__init__(detail)
    try:
        vars(error).update(_facts_in(members))
    except (TypeError, ValueError, AttributeError):  # another version's, or nobody's
        return RemoteError(server, detail, retryable=bool(members.get("retryable")))
    return error


def _facts_in(members: dict[str, Any]) -> dict[str, Any]:
    facts = cast("dict[str, Any]", members.get("facts") or {})
    for found in cast("list[dict[str, str]]", list(members.get("errors") or ()))[:1]:
        facts = {**found, **facts}
    return {name: _value(fact) for name, fact in facts.items()}


_OWN = AgentRuntimeError.__module__


def _errors() -> dict[str, type[AgentRuntimeError]]:
    # Only the package's own: a person's subclass may have the name of one of them.
    own = [one for one in _tree(AgentRuntimeError) if one.__module__ == _OWN]
    return {slug_of(kind): kind for kind in own}


def _tree(kind: type[AgentRuntimeError]) -> Iterator[type[AgentRuntimeError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _tree(one)


# --- the directory --------------------------------------------------------------------


class Verb(NamedTuple):
    """A method of the directory: its arguments and its result."""

    arguments: type[BaseModel]
    result: TypeAdapter[Any]

    def read_result(self, value: JsonValue) -> Any:
        """The result, restored from its JSON."""
        return _with_own_utc(self.result.validate_python(value))


def _with_own_utc(made: object) -> object:
    """A new value with the zone of its times replaced by `UTC`, in place.

    The parser gives times an equal zone of its own type, which compares unequal in facts.
    """
    if isinstance(made, datetime):
        return made.astimezone(UTC)
    if isinstance(made, tuple):
        for one in cast("tuple[object, ...]", made):
            _with_own_utc(one)
    elif is_dataclass(made):
        for one in fields(made):
            value = getattr(made, one.name)
            if (again := _with_own_utc(value)) is not value:
                object.__setattr__(made, one.name, again)  # it is frozen
    return cast("object", made)


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
"""The verbs of a directory, by the names of its methods."""

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
"""Verbs that are idempotent."""


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
