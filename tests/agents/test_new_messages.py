"""What an agent is told of a conversation that is handed on whole."""

import pytest
from agent_framework import Content, Message

from agent_runtime_nb.agents.new_messages import select_new_messages


def made(*words: str) -> list[Message]:
    """Messages of words as `u1:text`: role by its letter, the id, the text."""
    roles = {"u": "user", "a": "assistant", "t": "tool"}
    split = [word.partition(":") for word in words]
    return [
        Message(roles[name[0]], [text] if text else [], message_id=name)
        for name, _, text in split
    ]


@pytest.mark.parametrize(
    ("history", "inputs", "new"),
    [
        pytest.param([], ["u1:a", "u2:b"], ["u1", "u2"], id="nothing is known"),
        pytest.param(["u1:a"], ["u1:a"], ["u1"], id="the last one is always told"),
        pytest.param(
            ["u1:a", "a1:b"], ["u1:a", "a1:b", "u2:c"], ["u2"], id="known by ids"
        ),
        pytest.param(
            ["u1:a"], ["u1:other", "u2:c"], ["u1", "u2"], id="an id with other words"
        ),
        pytest.param(
            ["u1:a", "a1:b"], ["u1:a", "a9:b", "u2:c"], ["u2"], id="an answer's words"
        ),
        pytest.param(
            ["u1:a", "a1:b", "u2:c"],
            ["u2:c", "a9:b", "u3:d"],
            ["a9", "u3"],
            id="the same words elsewhere",
        ),
        pytest.param(
            ["u1:a", "a1:b"],
            ["u2:c", "a9:b", "u3:d"],
            ["u2", "a9", "u3"],
            id="the same words behind an unknown question",
        ),
        pytest.param(
            ["u1:a", "a1:b"],
            ["u1:other", "a9:b", "u2:c"],
            ["u1", "a9", "u2"],
            id="the same words behind a question that was changed",
        ),
        pytest.param(
            ["u1:a", "a1:b"],
            ["u1:a", "a8:", "t8:", "a9:b", "u2:c"],
            ["u2"],
            id="a tool's call behind a known question",
        ),
        pytest.param(
            ["u1:a", "a1:b"],
            ["u1:a", "a1:b", "a7:of another", "u2:c"],
            ["a7", "u2"],
            id="another one's words",
        ),
        pytest.param(
            ["a0:greeting", "u1:a"],
            ["a0:greeting", "u1:a", "u2:c"],
            ["u2"],
            id="words before any question",
        ),
    ],
)
def test_what_is_known_is_not_told_again(
    history: list[str], inputs: list[str], new: list[str]
) -> None:
    told = select_new_messages(made(*inputs), made(*history))

    assert [message.message_id for message in told] == new


def test_questions_of_images_alone_are_told_apart_by_their_ids() -> None:
    image = Content.from_uri("data:image/png;base64,AAAA", media_type="image/png")
    known = Message("user", [image], message_id="u1")
    new = Message("user", [image], message_id="u2")

    told = select_new_messages([known, new, *made("u3:c")], [known])

    assert [message.message_id for message in told] == ["u2", "u3"]
