"""Framework contents as the chat panel shows them: texts, images, what tools gave."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from agent_runtime_nb._base.untrusted_json import as_list, as_object
from agent_runtime_nb.agents.approvals import reason_of, scope_of

Item: TypeAlias = dict[str, Any]
Decision: TypeAlias = Literal["once", "conversation", "denied"]

_MAX_DATA_URI = 700_000
_MAX_HTML = 300_000
_SHOWN_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def as_text(value: Any) -> str:
    """A text as it is, nothing as "", any other JSON indented."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2)


def media_item(part: Mapping[str, Any]) -> Item:
    """An image or a file; `uri` is None if it is not to be shown."""
    uri = str(part.get("uri") or "")
    media_type = str(part.get("media_type") or "")
    shown = media_type in _SHOWN_IMAGES and (
        uri.startswith(("https://", "http://")) or _is_image(uri, media_type)
    )
    return {
        "kind": "media",
        "uri": uri if shown else None,
        "media_type": media_type or "file",
    }


def rich_results(part: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a tool gave beside text: `{"media_type", "data"}`.

    `data` is a data URI of an image, and the markup itself of text/html, which is
    untrusted and must be sanitised by whoever shows it.
    """
    found: list[dict[str, str]] = []
    for item in map(as_object, as_list(part.get("items"))):
        media_type, uri = str(item.get("media_type") or ""), str(item.get("uri") or "")
        if media_type == "text/html":
            data = _decoded(uri)
        else:
            data = uri if _is_image(uri, media_type) else ""
        if data:
            found.append({"media_type": media_type, "data": data})
    return found


def _is_image(uri: str, media_type: str) -> bool:
    return (
        media_type in _SHOWN_IMAGES
        and uri.startswith(f"data:{media_type};base64,")
        and len(uri) <= _MAX_DATA_URI
    )


def _decoded(uri: str) -> str:
    head, _, encoded = uri.partition(",")
    if not head.endswith(";base64") or len(encoded) > _MAX_HTML:
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def decision_of(response: Mapping[str, Any]) -> tuple[Decision, str | None]:
    """What an approval response decided, and why."""
    extra = as_object(response.get("additional_properties"))
    if response.get("approved") is not True:
        return "denied", reason_of(extra)
    return scope_of(extra), reason_of(extra)
