"""The framework's contents and updates as JSON values, with a fast path for text.

Every update of an answer becomes a value of its own. The framework's `to_dict` looks up
each field that any type of content can have, which costs more than all else that is done
with an update. Contents that are nothing but text are converted here, all others there;
the values are the same.
"""

from typing import Any

from agent_framework import AgentResponseUpdate, Content

_EXCLUDED = "raw_representation"
_TEXT = {"type", "text", "informational_only", "additional_properties", _EXCLUDED}
_TEXT_TYPES = ("text", "text_reasoning")


def is_plain_text(content: Content) -> bool:
    """Whether a content is nothing but text or reasoning."""
    if content.type not in _TEXT_TYPES or type(content) is not Content:
        return False
    fields = vars(content)
    given = {name for name in fields if fields[name] is not None}
    return given <= _TEXT and "text" in given and fields["additional_properties"] == {}


def content_to_dict(content: Content) -> dict[str, Any]:
    """As `content.to_dict()`."""
    if is_plain_text(content):
        text = {"type": content.type, "text": content.text}
        return {**text, "additional_properties": {}}
    return content.to_dict()


def update_to_dict(update: AgentResponseUpdate) -> dict[str, Any]:
    """As `update.to_dict()`."""
    if type(update) is not AgentResponseUpdate:
        return update.to_dict()
    converted: dict[str, Any] = {"type": "agent_response_update"}
    for name, value in vars(update).items():
        if value is None or name == _EXCLUDED:
            continue
        if name == "contents":
            converted[name] = [content_to_dict(content) for content in value]
        elif type(value) is str:
            converted[name] = value
        elif name == "additional_properties" and value == {}:
            converted[name] = {}
        else:
            return update.to_dict()
    return converted


def image_of(url: str, media_type: str = "image/*") -> dict[str, Any]:
    """The content of an image, by a data URI or a link."""
    if url.startswith("data:"):
        return {"type": "data", "uri": url}
    return {"type": "uri", "uri": url, "media_type": media_type}
