"""What a person writes, and which images go with it."""

import base64
from typing import Any

import pytest

from agent_runtime_nb.conversations.entries import parse_messages
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.widgets.chat_panel.attachments import MAX_IMAGE, user_message

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 8


def uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def test_text_and_images_become_the_contents_of_one_message() -> None:
    params = user_message("What is this?", [uri(PNG)], "m1")

    [message] = parse_messages(params, "m1")
    assert message.message_id == "m1"
    assert [content.type for content in message.contents] == ["text", "data"]
    assert message.contents[1].media_type == "image/png"


def test_an_image_needs_no_words() -> None:
    [message] = parse_messages(user_message("", [uri(PNG)], "m1"), "m1")

    assert [content.type for content in message.contents] == ["data"]


@pytest.mark.parametrize(
    ("media", "problem"),
    [
        ("https://example.org/a.png", "is no data URI"),
        (7, "is no data URI"),
        (uri(b"<svg/>", "image/svg+xml"), "image/svg+xml"),
        (uri(b"<b>", "text/html"), "text/html"),
        ("data:image/png,raw", "sent"),
        ("data:image/png;base64,***", "damaged"),
        (uri(b"<svg onload=alert(1)>"), "says that it is image/png, and is not"),
        (uri(PNG + b"0" * MAX_IMAGE), "larger than 5 MB"),
    ],
)
def test_what_is_no_image_is_refused_and_says_why(media: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match="image 1") as refused:
        user_message("look", [media], "m1")

    assert problem in str(refused.value)


def test_more_images_than_are_sent_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="are 11; at most 10"):
        user_message("look", [uri(PNG)] * 11, "m1")
