"""What a person writes, with the images that go with it, as an agent takes it."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from agent_runtime_nb.exceptions import InvalidRequest

MAX_TEXT = 1_000_000
"""Characters of a message."""

MAX_IMAGE = 5_000_000
"""Bytes of an image."""

MAX_IMAGES = 10
"""Images of a message."""

_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}


def user_message(text: str, media: Sequence[object], message_id: str) -> dict[str, Any]:
    """The params of a request: one message of the person.

    Args:
        text: what was written.
        media: data URIs of images.
        message_id: of the request and the message.

    Raises:
        InvalidRequest: naming what cannot be sent, and why.
    """
    if len(text) > MAX_TEXT:
        problem = f"has {len(text):,} characters; at most {MAX_TEXT:,} are sent"
        raise InvalidRequest("the message", problem)
    if len(media) > MAX_IMAGES:
        problem = f"are {len(media)}; at most {MAX_IMAGES} are sent with a message"
        raise InvalidRequest("the images", problem)
    message: dict[str, Any] = {"role": "user", "message_id": message_id}
    images = [_image(uri, f"image {n}") for n, uri in enumerate(media, 1)]
    if images:
        said = [{"type": "text", "text": text}] if text else []
        message["contents"] = [*said, *images]
    else:
        message["content"] = text
    return {"messages": [message]}


def _image(uri: object, name: str) -> dict[str, str]:
    if not isinstance(uri, str) or not uri.startswith("data:"):
        raise InvalidRequest(name, "is no data URI")
    head, _, encoded = uri[len("data:") :].partition(",")
    media_type = head.removesuffix(";base64")
    signatures = _SIGNATURES.get(media_type)
    if signatures is None or media_type == head:
        problem = f"is {media_type or 'of no known type'}; PNG, JPEG, GIF and WebP are"
        raise InvalidRequest(name, f"{problem} sent")
    if len(encoded) > MAX_IMAGE * 4 / 3 + 4:
        problem = f"is larger than {MAX_IMAGE // 1_000_000} MB; make it smaller first"
        raise InvalidRequest(name, problem)
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidRequest(name, "is damaged: it is no base64") from None
    is_webp = media_type == "image/webp"
    if not data.startswith(signatures) or (is_webp and data[8:12] != b"WEBP"):
        raise InvalidRequest(name, f"says that it is {media_type}, and is not")
    return {"type": "data", "uri": uri, "media_type": media_type}
