"""Comparing what arrived somewhere with what was sent, types and all."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from types import NoneType, TracebackType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Cursor,
    Page,
    RequestStatus,
)


def typed(value: Any) -> Any:
    """A value with the types of all its parts: `==` alone takes 1, 1.0 and True for one.

    Types of times are those of their zones, too.
    """
    kind: Any = type(cast("object", value))
    parts: Any = value
    if isinstance(value, BaseException):
        parts = typed((value.args, str(value), vars(value)))
        if isinstance(value, AgentRuntimeError):
            parts = parts, value.retryable
        if isinstance(value, ImportError):
            parts = parts, value.msg
    elif isinstance(value, datetime):
        kind = kind, type(value.tzinfo)
    elif is_dataclass(value):
        parts = {one.name: typed(getattr(value, one.name)) for one in fields(value)}
    elif isinstance(value, Mapping):
        mapping = cast("Mapping[Any, Any]", value)
        parts = {key: typed(one) for key, one in mapping.items()}
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        parts = [typed(one) for one in cast("Sequence[Any]", value)]
    return kind, parts


class raised(AbstractContextManager[None]):  # noqa: N801 - as pytest.raises
    """A block that ends in an error of the same class, message and facts."""

    def __init__(self, expected: AgentRuntimeError) -> None:
        self._expected = expected

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Compare what ended the block."""
        if error is not None and not isinstance(error, type(self._expected)):
            return False
        assert typed(error) == typed(self._expected)
        return True


# --- samples --------------------------------------------------------------------------

_SAMPLES: dict[Any, Any] = {
    ActorId: ActorId("echo", "a/ü"),
    BaseException: KeyError("of the cause"),
    Cursor: Cursor(3, -1),
    NoneType: None,
    RequestStatus: RequestStatus.INTERRUPTED,
    bool: True,
    datetime: datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
    float: 2.5,
    int: 3,
    str: "a text",
}


_MADE_OF_ONE: dict[Any, Callable[[Any], Any]] = {
    Iterable: lambda one: [one],
    Mapping: lambda one: {"a key": one},
    Page: lambda one: Page((one,), "next"),
    Sequence: lambda one: [one],
    Union: lambda one: one,
    UnionType: lambda one: one,
    tuple: lambda one: (one,),
}


def sample(hint: Any, anything: object) -> Any:
    """A value of a type, with nothing left out; `anything` is what may be any object."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in (Any, object):
        made = anything
    elif hint in _SAMPLES:
        made = _SAMPLES[hint]
    elif origin is Literal:
        made = arguments[0]
    elif origin in _MADE_OF_ONE:
        of = [one for one in arguments if one not in (NoneType, Ellipsis)]
        made = _MADE_OF_ONE[origin](sample(of[-1], anything))
    else:
        made = hint(**sample_arguments(hint, anything))
    return made


def sample_arguments(call: Any, anything: object) -> dict[str, Any]:
    """A value for each parameter."""
    hints = get_type_hints(call)
    hints.pop("return", None)
    return {name: sample(hint, anything) for name, hint in hints.items()}
