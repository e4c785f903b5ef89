"""The approval requests in the data of a response."""

import contextlib
from typing import Any, cast

import orjson

from agent_runtime_nb.runtime_abstractions import (
    JsonValue,
)


def approval_requests(data: JsonValue) -> dict[str, dict[str, JsonValue]]:
    """The approval requests of a response's data, by id, as the framework wrote them."""
    found: dict[str, dict[str, JsonValue]] = {}
    answer = cast("dict[str, Any]", data if isinstance(data, dict) else {})
    for message in _objects(answer.get("messages")):
        for part in _objects(message.get("contents")):
            if part.get("type") == "function_approval_request":
                found[str(part.get("id"))] = part
    return found


def _objects(value: JsonValue) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", value if isinstance(value, list) else [])


def approval_summary(part: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """An approval request with the exact arguments of its call, for a person to decide."""
    call = cast("dict[str, Any]", part.get("function_call") or {})
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        # A model that wrote no JSON: shown as it is.
        with contextlib.suppress(orjson.JSONDecodeError):
            arguments = orjson.loads(arguments)
    name = str(call.get("name") or "")
    return {"approval_id": str(part.get("id")), "name": name, "arguments": arguments}
