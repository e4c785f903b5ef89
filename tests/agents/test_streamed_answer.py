"""The answer is what the framework makes of all updates, however they are kept."""

from typing import Any

from agent_framework import AgentResponse, AgentResponseUpdate, Content
from hypothesis import given, strategies as st

from agent_runtime_nb.agents.streamed_answer import StreamedAnswer

_CONTENTS = st.one_of(
    st.builds(Content.from_text, st.sampled_from(["", "a", "b ", "\n\n"])),
    st.builds(
        Content.from_text,
        st.just("c"),
        additional_properties=st.sampled_from([{}, {"a": 1}]),
    ),
    st.builds(lambda: Content.from_text_reasoning(text="hm")),
    st.builds(lambda: Content.from_text_reasoning(text="hm", protected_data="x")),
    st.builds(lambda: Content.from_function_call("c1", "look", arguments="{}")),
    st.builds(lambda: Content.from_usage({"input_token_count": 1})),
)
_UPDATES = st.builds(
    AgentResponseUpdate,
    contents=st.lists(_CONTENTS, max_size=2),
    role=st.sampled_from([None, "assistant", "tool"]),
    message_id=st.sampled_from([None, "m1", "m2"]),
    author_name=st.sampled_from([None, "echo"]),
    created_at=st.sampled_from([None, "2026-01-01T00:00:00Z"]),
    merge_mode=st.sampled_from([None, None, "replace"]),
    additional_properties=st.sampled_from([None, {"a": 1}]),
)


def _words(response: AgentResponse) -> Any:
    return response.to_dict(exclude={"raw_representation"})


@given(st.lists(_UPDATES, max_size=12), st.integers(0, 12))
def test_the_answer_is_what_the_framework_makes_of_all_updates(
    updates: list[AgentResponseUpdate], looked_at: int
) -> None:
    streamed = StreamedAnswer()

    for number, update in enumerate(updates):
        streamed.add(update)
        if number == looked_at:
            streamed.to_response()

    assert _words(streamed.to_response()) == _words(AgentResponse.from_updates(updates))


def test_updates_that_are_given_stay_as_they_are() -> None:
    updates = [AgentResponseUpdate(contents=[Content.from_text(t)]) for t in "abc"]
    streamed = StreamedAnswer()

    for update in updates:
        streamed.add(update)

    assert streamed.to_response().text == "abc"
    assert [update.text for update in updates] == ["a", "b", "c"]
