"""Messages and values to and from JSON text.

Values cross every boundary of the runtime (mailbox, storage, update log) as UTF-8 JSON
text: nobody can change what somebody else holds, and what cannot be stored is found
where it was made.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from agent_runtime_nb.exceptions import AgentRuntimeError, NotJson, reason_of
from agent_runtime_nb.runtime_abstractions import (
    ActorRequestMessage,
    Encoded,
    JsonValue,
    TurnView,
)
from agent_runtime_nb.storage_abstractions import (
    TurnRecord,
)

_dumps = orjson.dumps
_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_NO_METADATA: Mapping[str, str] = {}


def encode(
    value: JsonValue, what: str = "the value", key: str | None = None
) -> Encoded:
    """A JSON value as UTF-8 text; `what`, of `key`, is named if it cannot be.

    Raises:
        NotJson: for anything that JSON cannot carry, NaN, infinities and integers of
            more than 64 bits included. Enum members and UUIDs become their texts.
    """
    try:
        # In brackets that are cut off again: that copies the text, and the encoder's
        # own bytes hold the kilobytes that it worked in.
        text = _dumps((value,), None, _STRICT)[1:-1]
    except TypeError as error:
        raise NotJson(_named(what, key), error) from error
    # The encoder writes NaN as null, so only a text with a null can hide one. (`in`
    # would first raise and drop an error inside: dearer than the encoding.)
    if text.find(b"null") >= 0 and _has_non_finite(value):
        raise NotJson(_named(what, key), "it contains NaN or an infinity")
    return text


def _named(what: str, key: str | None) -> str:
    return what if key is None else f"{what} of {key!r}"


def _has_non_finite(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_non_finite, cast("dict[Any, Any]", value).values()))
    if isinstance(value, list | tuple):
        return any(map(_has_non_finite, cast("list[Any]", value)))
    return False


decode: Callable[[Encoded], JsonValue] = orjson.loads
"""The value of a text made by `encode`; a new object each time."""


def encode_body(
    method: str, params: JsonValue, metadata: Mapping[str, str] | None
) -> Encoded:
    """What identifies a request beside its id: method, params and metadata."""
    if metadata:
        return encode((method, params, dict(metadata)), "params")
    return encode((method, params), "params")


def same_request(one: Encoded, other: Encoded) -> bool:
    """Whether two bodies ask the same; metadata are headers and do not count."""
    return one == other or decode_body(one)[:2] == decode_body(other)[:2]


def decode_body(body: Encoded) -> tuple[str, JsonValue, Mapping[str, str]]:
    """Method, params and metadata of a body."""
    parts = orjson.loads(body)
    return parts[0], parts[1], parts[2] if len(parts) > 2 else _NO_METADATA


def request_message(message_id: str, body: Encoded, at: float) -> ActorRequestMessage:
    """The message that an actor is given; `at` is POSIX seconds."""
    parts = decode(body)
    metadata = parts[2] if len(parts) > 2 else _NO_METADATA
    return ActorRequestMessage(message_id, parts[0], parts[1], metadata, at)


def turn_view(record: TurnRecord) -> TurnView:
    """A stored turn, decoded for reading."""
    method, params, metadata = "", None, _NO_METADATA
    if record.body is not None:
        method, params, metadata = decode_body(record.body)
    ended = record.ended_at
    return TurnView(
        message_id=record.message_id,
        position=record.position,
        status=record.status,
        attempts=record.attempts,
        method=method,
        params=params,
        metadata=metadata,
        data=_maybe(record.result),
        entries=_maybe(record.entries) or [],
        checkpoint=_maybe(record.checkpoint),
        accepted_at=datetime.fromtimestamp(record.accepted_at, UTC),
        ended_at=None if ended is None else datetime.fromtimestamp(ended, UTC),
    )


def _maybe(text: Encoded | None) -> JsonValue:
    return None if text is None else orjson.loads(text)


def describe_error(error: BaseException) -> dict[str, Any]:
    """An error as it is recorded in a FAILED turn; never a traceback."""
    return {
        "type": type(error).__name__,
        "message": reason_of(error),
        "retryable": isinstance(error, AgentRuntimeError) and error.retryable,
    }
