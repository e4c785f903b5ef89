"""The agents that need no key."""

from collections.abc import Sequence
from typing import Any

import pytest
from agent_framework import Content, Message, SupportsAgentRun
from agent_framework.exceptions import ChatClientException

from agent_runtime_nb.agents.samples import (
    CUT,
    EchoAgent,
    MockAIAgent,
    Pace,
    call_tool,
    scripted_agent,
)
from agent_runtime_nb.agents.scripted_model import split_words


async def streamed(agent: Any, text: str, session: Any = None) -> list[Any]:
    return [update async for update in agent.run(text, stream=True, session=session)]


def kinds(updates: Sequence[Any]) -> list[str]:
    """The kinds of content, each run of one kind once."""
    found: list[str] = []
    for update in updates:
        for content in update.contents:
            if not found or found[-1] != content.type:
                found.append(content.type)
    return found


@pytest.mark.parametrize(
    "text", ["", " ", "a", " a  b ", "a\n\nb\n", "| a | b |\n|---|---|\n", "  x"]
)
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(split_words(text)) == text


@pytest.mark.parametrize("text", ["hello", "two words", "Grüße,\n\nzwei Absätze", ""])
async def test_the_echo_says_what_it_was_told(text: str) -> None:
    response = await EchoAgent().run(text)

    assert response.text == f"Echo: {text}"


async def test_the_echo_streams_in_pieces_that_are_its_answer() -> None:
    updates = await streamed(EchoAgent(), "one two three")

    assert [update.text for update in updates] == ["Echo:", " one", " two", " three"]
    assert len({update.message_id for update in updates}) == 1


def test_the_samples_are_agents_with_the_names_that_people_know() -> None:
    agents = [EchoAgent(), MockAIAgent(), scripted_agent()]

    assert all(isinstance(agent, SupportsAgentRun) for agent in agents)
    assert [agent.name for agent in agents] == ["echo", "mock-ai", "scripted"]


async def test_the_mock_cycles_through_its_answers_in_each_conversation() -> None:
    agent = MockAIAgent()
    first, second = agent.create_session(), agent.create_session()

    said = [(await agent.run("?", session=first)).text for _ in range(6)]
    other = (await agent.run("?", session=second)).text

    assert said == [*MockAIAgent.ANSWERS, MockAIAgent.ANSWERS[0]]
    assert other == "Hello! How can I help you today?"


async def test_the_mock_cycles_without_a_session_too() -> None:
    agent = MockAIAgent()

    said = [(await agent.run("?")).text for _ in range(2)]

    assert said == list(MockAIAgent.ANSWERS[:2])


# --- the scripted model ---------------------------------------------------------------


async def test_a_script_is_the_same_answer_each_time() -> None:
    agent = scripted_agent(["Hello ", "world!"], delay=0)

    assert [(await agent.run("?")).text for _ in range(2)] == ["Hello world!"] * 2


async def test_a_script_may_look_at_what_was_said() -> None:
    def script(messages: Sequence[Message]) -> list[str]:
        return [f"{len(messages)}: {messages[-1].text}"]

    agent = scripted_agent(script, delay=0)
    session = agent.create_session()
    await agent.run("a", session=session)

    assert (await agent.run("b", session=session)).text == "3: b"


async def test_each_piece_waits_as_long_as_its_pace_says() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    agent = scripted_agent(["a b", Pace(5), "c"], delay=1, sleep=sleep)

    await agent.run("?")

    assert waits == [1, 1, 5]


async def test_an_exception_of_a_script_comes_after_what_was_said() -> None:
    agent = scripted_agent(["a b", ChatClientException("broken")], delay=0)
    stream = agent.run("?", stream=True)

    with pytest.raises(ChatClientException, match="broken"):
        await stream.get_final_response()

    assert [update.text for update in stream.updates] == ["a", " b"]


async def test_a_cut_ends_the_stream_without_a_finish_reason() -> None:
    updates = await streamed(scripted_agent(["a b", CUT, "c"], delay=0), "?")

    assert "".join(update.text for update in updates) == "a b"
    assert [update.finish_reason for update in updates] == [None, None]


async def test_the_arguments_of_a_call_come_in_fragments() -> None:
    def script(messages: Sequence[Message]) -> list[Any]:
        if messages[-1].role == "tool":
            return ["done"]
        return [call_tool(messages, "get_weather", city="Rome")]

    updates = await streamed(scripted_agent(script, delay=0), "?")

    calls = [c for u in updates for c in u.contents if c.type == "function_call"]
    assert [part.name for part in calls] == ["get_weather", ""]
    assert "".join(str(part.arguments) for part in calls) == '{"city": "Rome"}'


async def test_an_image_of_a_script_is_one_piece() -> None:
    image = Content.from_data(b"png", "image/png")

    updates = await streamed(scripted_agent(["see ", image], delay=0), "?")

    assert kinds(updates) == ["text", "data", "usage"]


# --- the demo -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", ["text", "usage"]),
        (
            "What is the weather in Paris?",
            ["text", "function_call", "usage", "function_result", "text", "usage"],
        ),
        (
            "please delete notes.txt",
            ["text", "function_call", "usage", "function_approval_request"],
        ),
        ("think hard", ["text_reasoning", "text", "usage"]),
        ("cut it", ["text"]),
        ("slow please", ["text", "usage"]),
    ],
)
async def test_the_demo_reacts_to_what_is_typed(text: str, expected: list[str]) -> None:
    async def no_sleep(seconds: float) -> None:
        assert seconds > 0

    agent = scripted_agent(sleep=no_sleep)

    assert kinds(await streamed(agent, text, agent.create_session())) == expected


async def test_the_demo_answers_with_markdown_a_table_and_code() -> None:
    text = (await scripted_agent(delay=0).run("help")).text

    assert "|---|" in text
    assert "```python" in text
    assert "**scripted model**" in text


async def test_the_demo_fails_in_the_middle_when_asked() -> None:
    with pytest.raises(ChatClientException, match="asked to"):
        await scripted_agent(delay=0).run("fail")


async def test_the_demo_counts_the_messages_of_the_conversation() -> None:
    agent = scripted_agent(delay=0)
    session = agent.create_session()
    await agent.run("hello", session=session)

    assert "message 2 of" in (await agent.run("hello", session=session)).text


@pytest.mark.parametrize(
    ("approved", "answer"), [(True, "is deleted"), (False, "leave it as it is")]
)
async def test_the_demo_deletes_only_with_an_approval(
    approved: bool,  # noqa: FBT001 - pytest's parameter
    answer: str,
) -> None:
    agent = scripted_agent(delay=0)
    session = agent.create_session()
    asked = await agent.run("delete notes.txt", session=session)
    (wish,) = asked.user_input_requests
    reply = Message("user", [wish.to_function_approval_response(approved)])

    response = await agent.run(reply, session=session)

    assert answer in response.text
