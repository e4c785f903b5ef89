"""What an agent streams as JSON values, with a short way for plain text.

Every piece of an answer becomes a value of its own. The framework's `to_dict` asks for
each field that any kind of content can have, which costs more than all else that is
done with a piece. What is nothing but text is written here, and everything else there;
the values are the same.
"""

from typing import Any

from agent_framework import AgentResponseUpdate, Content

_NOT_TOLD = "raw_representation"
_TEXT = {"type", "text", "informational_only", "additional_properties", _NOT_TOLD}
_TEXT_TYPES = ("text", "text_reasoning")


def is_plain_text(content: Content) -> bool:
    """Whether a content is nothing but text or reasoning."""
    if content.type not in _TEXT_TYPES or type(content) is not Content:
        return False
    fields = vars(content)
    said = {name for name in fields if fields[name] is not None}
    return said <= _TEXT and "text" in said and fields["additional_properties"] == {}


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
    told: dict[str, Any] = {"type": "agent_response_update"}
    for name, value in vars(update).items():
        if value is None or name == _NOT_TOLD:
            continue
        if name == "contents":
            told[name] = [content_to_dict(content) for content in value]
        elif type(value) is str:
            told[name] = value
        elif name == "additional_properties" and value == {}:
            told[name] = {}
        else:
            return update.to_dict()
    return told


def image_of(url: str, media_type: str = "image/*") -> dict[str, Any]:
    """The content of an image, by a data URI or a link."""
    if url.startswith("data:"):
        return {"type": "data", "uri": url}
    return {"type": "uri", "uri": url, "media_type": media_type}
