"""OpenAI's own client talks to the agents, over the real server."""

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.http_api.third_party_clients import ServedAgents, serving


@pytest.fixture
def served() -> Iterator[ServedAgents]:
    with serving() as served:
        yield served


@pytest.fixture
def client(served: ServedAgents) -> Iterator[OpenAI]:
    with (
        httpx2.Client(trust_env=False) as http,
        OpenAI(
            base_url=f"{served.server.url}/v1",
            api_key=served.server.token,
            http_client=http,
            timeout=20,
        ) as client,
    ):
        yield client


def user(text: str) -> Any:
    return {"role": "user", "content": text}


# --- models


def test_the_agents_are_the_models(client: OpenAI) -> None:
    listed = client.models.list().data

    assert [model.id for model in listed] == ["echo", "gated", "scripted"]
    assert client.models.retrieve("echo").id == "echo"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_another_token_is_not_let_in(served: ServedAgents) -> None:
    with httpx2.Client(trust_env=False) as http:
        client = OpenAI(
            base_url=f"{served.server.url}/v1", api_key="other", http_client=http
        )

        with pytest.raises(openai.AuthenticationError):
            client.models.list()


# --- responses


def test_a_response_is_the_turn_of_a_conversation(
    client: OpenAI, served: ServedAgents
) -> None:
    response = client.responses.create(model="echo", input="hi", conversation="c1")

    assert (response.status, response.output_text) == ("completed", "Echo: hi")
    assert response.conversation is not None
    assert response.conversation.id == "c1"
    assert served.said("echo/c1") == ["user: hi", "assistant: Echo: hi"]


def test_a_conversation_goes_on_from_its_last_response(
    client: OpenAI, served: ServedAgents
) -> None:
    first = client.responses.create(model="echo", input="one", conversation="c1")
    second = client.responses.create(
        model="echo", input="two", previous_response_id=first.id
    )

    assert second.previous_response_id == first.id
    assert [text for text in served.said("echo/c1") if text[0] == "u"] == [
        "user: one",
        "user: two",
    ]


def test_going_on_from_an_earlier_response_makes_a_branch(
    client: OpenAI, served: ServedAgents
) -> None:
    first = client.responses.create(model="echo", input="one", conversation="c1")
    client.responses.create(model="echo", input="two", conversation="c1")

    branch = client.responses.create(
        model="echo", input="three", previous_response_id=first.id
    )

    assert branch.conversation is not None
    assert branch.conversation.id != "c1"
    said = served.said(f"echo/{branch.conversation.id}")
    assert [text for text in said if text[0] == "u"] == ["user: one", "user: three"]
    assert len(served.said("echo/c1")) == 4


def test_a_streamed_response_is_the_same_as_the_plain_one(client: OpenAI) -> None:
    with client.responses.stream(model="scripted", input="weather in Oslo") as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    plain = client.responses.create(model="scripted", input="weather in Oslo")

    deltas = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert deltas == streamed.output_text == plain.output_text
    assert [item.type for item in streamed.output] == [
        item.type for item in plain.output
    ]
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))
    assert events[-1].type == "response.completed"


def test_the_items_of_a_stream_are_those_of_its_response(client: OpenAI) -> None:
    events = list(
        client.responses.create(model="scripted", input="weather in Oslo", stream=True)
    )

    done = [e.item for e in events if e.type == "response.output_item.done"]
    assert events[-1].type == "response.completed"
    assert done == events[-1].response.output
    assert [item.type for item in done] == ["message", "mcp_call", "message"]


def test_a_tool_call_is_shown_with_its_arguments_and_result(client: OpenAI) -> None:
    response = client.responses.create(model="scripted", input="weather in Oslo")

    call = next(item for item in response.output if item.type == "mcp_call")
    assert (call.name, call.arguments) == ("get_weather", '{"city": "Oslo"}')
    assert (call.status, call.output) == ("completed", "Oslo: cloudy, 18 °C")
    assert response.usage is not None
    assert response.usage.total_tokens == (
        response.usage.input_tokens + response.usage.output_tokens
    )


def test_reasoning_is_an_item_of_its_own(client: OpenAI) -> None:
    response = client.responses.create(model="scripted", input="think")

    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.output_text == "I have thought about it: **42**."


@pytest.mark.parametrize(("approve", "said"), [(True, "deleted"), (False, "leave it")])
def test_an_approval_is_asked_for_and_given(
    client: OpenAI, *, approve: bool, said: str
) -> None:
    asking = client.responses.create(model="scripted", input="delete notes.txt")
    asked = next(item for item in asking.output if item.type == "mcp_approval_request")

    answer: Any = {
        "type": "mcp_approval_response",
        "approval_request_id": asked.id,
        "approve": approve,
    }
    response = client.responses.create(
        model="scripted", input=[answer], previous_response_id=asking.id
    )

    assert (asked.name, asked.arguments) == ("delete_file", '{"path": "notes.txt"}')
    assert said in response.output_text


def test_instructions_are_said_once_in_a_conversation(
    client: OpenAI, served: ServedAgents
) -> None:
    for text in ("one", "two"):
        client.responses.create(
            model="echo", input=text, conversation="c1", instructions="Be brief."
        )

    assert served.said("echo/c1").count("system: Be brief.") == 1


def test_a_response_in_the_background_is_fetched_and_cancelled(
    client: OpenAI, served: ServedAgents
) -> None:
    begun = client.responses.create(model="gated", input="go", background=True)

    under_way = client.responses.retrieve(begun.id)
    cancelled = client.responses.cancel(begun.id)

    assert begun.status == "queued"
    assert under_way.status in ("queued", "in_progress")
    assert cancelled.status == "cancelled"
    assert client.responses.retrieve(begun.id).status == "cancelled"


def test_a_failed_turn_is_an_error_that_is_not_paid_for_again(
    client: OpenAI, served: ServedAgents
) -> None:
    with pytest.raises(openai.InternalServerError, match="scripted model fails"):
        client.responses.create(model="scripted", input="fail", conversation="c1")
    *_, last = client.responses.create(model="scripted", input="fail", stream=True)

    view = served.said("scripted/c1")
    assert [text for text in view if text[0] == "u"] == ["user: fail"]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert "scripted model fails" in last.response.error.message


@pytest.mark.parametrize(
    ("given", "status", "param"),
    [
        ({"model": "nobody", "input": "x"}, 404, None),
        ({"model": "echo"}, 400, "input"),
        ({"model": "echo", "input": []}, 400, "input"),
        ({"model": "echo", "input": [{"role": "x"}]}, 400, "input[0]"),
        (
            {"model": "echo", "input": [{"role": "user", "content": [{"type": "y"}]}]},
            400,
            "input[0].content[0]",
        ),
        (
            {"model": "echo", "input": "x", "previous_response_id": "resp_no"},
            400,
            "response_id",
        ),
        (
            {
                "model": "echo",
                "input": "x",
                "previous_response_id": "r",
                "conversation": "c",
            },
            400,
            "previous_response_id",
        ),
        ({"model": "echo", "input": "x", "conversation": ""}, 400, "conversation_id"),
    ],
)
def test_errors_have_openais_shape(
    client: OpenAI, given: Any, status: int, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.post("/responses", body=given, cast_to=object)

    error: Any = caught.value
    assert (error.status_code, error.param) == (status, param)
    assert error.body["message"]
    assert error.body["type"] == "invalid_request_error"


# --- chat completions


def test_a_completion_answers_the_history_it_is_given(client: OpenAI) -> None:
    history = [user("weather in Oslo")]
    first = client.chat.completions.create(model="scripted", messages=history)
    text = first.choices[0].message.content
    history += [{"role": "assistant", "content": text}, user("help")]
    second = client.chat.completions.create(model="scripted", messages=history)

    assert text == "Let me look. Here it is: **Oslo: cloudy, 18 °C**."
    assert first.choices[0].finish_reason == "stop"
    assert first.usage is not None
    assert "message 2 of our conversation" in str(second.choices[0].message.content)


def test_a_completion_leaves_no_conversation_unless_it_is_stored(
    client: OpenAI, served: ServedAgents
) -> None:
    client.chat.completions.create(model="echo", messages=[user("a")])
    list(
        client.chat.completions.create(model="echo", messages=[user("b")], stream=True)
    )
    forgotten = served.conversations()
    client.chat.completions.create(model="echo", messages=[user("c")], store=True)

    assert forgotten == set()
    assert len(served.conversations()) == 1


def test_a_completion_may_be_the_turn_of_a_conversation(
    client: OpenAI, served: ServedAgents
) -> None:
    named = {"X-Conversation-Id": "c1"}
    history = [user("one")]
    client.chat.completions.create(model="echo", messages=history, extra_headers=named)
    history += [{"role": "assistant", "content": "Echo: one"}, user("two")]
    client.chat.completions.create(model="echo", messages=history, extra_headers=named)

    assert served.said("echo/c1") == [
        "user: one",
        "assistant: Echo: one",
        "user: two",
        "assistant: Echo: two",
    ]


def test_a_streamed_completion_is_the_same_as_the_plain_one(client: OpenAI) -> None:
    messages = [user("weather in Oslo")]
    chunks = list(
        client.chat.completions.create(
            model="scripted",
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    plain = client.chat.completions.create(model="scripted", messages=messages)

    result = [chunk.choices[0] for chunk in chunks if chunk.choices]
    text = "".join(choice.delta.content or "" for choice in result)
    assert text == plain.choices[0].message.content
    assert result[-1].finish_reason == "stop"
    assert chunks[-1].usage == plain.usage


def test_an_answer_that_was_cut_off_says_so(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model="scripted", messages=[user("cut")]
    )

    assert (
        completion.choices[0].message.content == "This answer ends in the middle of a"
    )


def test_a_failing_completion_is_an_error_streamed_or_not(client: OpenAI) -> None:
    messages = [user("fail")]

    with pytest.raises(openai.InternalServerError, match="scripted model fails"):
        client.chat.completions.create(model="scripted", messages=messages)
    with pytest.raises(openai.APIError, match="scripted model fails"):
        list(
            client.chat.completions.create(
                model="scripted", messages=messages, stream=True
            )
        )


def test_an_image_reaches_the_agent(client: OpenAI, served: ServedAgents) -> None:
    pixel = "data:image/png;base64,iVBORw0KGgo="
    parts: Any = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": pixel}},
    ]
    client.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": parts}], store=True
    )

    (name,) = served.conversations()
    assert served.said(name)[0] == "user: look"
