"""The fast path gives what the framework's own `to_dict` gives."""

from typing import Any

import pytest
from agent_framework import AgentResponseUpdate, Content

from agent_runtime_nb.conversations.contents import content_to_dict, update_to_dict

CONTENTS = {
    "text": Content.from_text("Hello"),
    "empty text": Content.from_text(""),
    "text as the service gave it": Content.from_text("Hi", raw_representation=object()),
    "text with more": Content.from_text("Hi", additional_properties={"a": [1]}),
    "text with sources": Content.from_text(
        "Hi", annotations=[{"type": "citation", "title": "A book"}]
    ),
    "reasoning": Content.from_text_reasoning(text="Hm"),
    "hidden reasoning": Content.from_text_reasoning(text="Hm", protected_data="x"),
    "no reasoning": Content.from_text_reasoning(text=None, protected_data="x"),
    "a call": Content.from_function_call("c1", "look", arguments={"at": "it"}),
    "a result": Content.from_function_result("c1", result="seen"),
    "an error": Content.from_error(message="no", error_code="1"),
    "a picture": Content.from_uri(
        "data:image/png;base64,iVBORw0=", media_type="image/png"
    ),
}

UPDATES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "usual": {"role": "assistant", "message_id": "m1", "author_name": "echo"},
    "ids": {"agent_id": "a", "response_id": "r", "created_at": "2026-01-01T00:00:00Z"},
    "end": {"finish_reason": "stop"},
    "replacing": {"merge_mode": "replace"},
    "no more": {"additional_properties": {}},
    "more": {"additional_properties": {"a": {"b": 1}}},
    "to go on": {"continuation_token": {"token": "t"}},
    "raw": {"raw_representation": object()},
}


class _OwnUpdate(AgentResponseUpdate):
    """Somebody's own kind."""


@pytest.mark.parametrize("name", CONTENTS)
def test_a_content_is_as_the_framework_writes_it(name: str) -> None:
    content = CONTENTS[name]

    written = content_to_dict(content)

    assert list(written.items()) == list(content.to_dict().items())


@pytest.mark.parametrize("kind", [AgentResponseUpdate, _OwnUpdate])
@pytest.mark.parametrize("name", UPDATES)
def test_an_update_is_as_the_framework_writes_it(
    name: str, kind: type[AgentResponseUpdate]
) -> None:
    update = kind(contents=list(CONTENTS.values()), **UPDATES[name])

    written = update_to_dict(update)

    assert list(written.items()) == list(update.to_dict().items())


def test_an_update_with_a_state_of_the_framework_keeps_it() -> None:
    update = AgentResponseUpdate(contents=[Content.from_text("Hello")])
    vars(update)["_operation_state"] = None
    vars(update)["of_a_later_version"] = 7

    written = update_to_dict(update)

    assert written == update.to_dict()
    assert written["of_a_later_version"] == 7


def test_what_is_written_shares_nothing_with_the_update() -> None:
    update = AgentResponseUpdate(
        contents=[Content.from_text("Hello")], additional_properties={}
    )

    update_to_dict(update)["contents"][0]["additional_properties"]["a"] = 1

    assert update_to_dict(update) == update.to_dict()
