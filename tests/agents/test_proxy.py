"""`AgentProxy`: runs, messages and sessions, over a real runtime."""

import asyncio
import json
from typing import Any

import pytest
from agent_framework import AgentSession, Content, Message, SupportsAgentRun

from agent_runtime_nb.agents.proxy import AgentProxy
from agent_runtime_nb.agents.samples import EchoAgent, demo_script
from agent_runtime_nb.exceptions import InvalidActorId, InvalidRequest
from tests.agents.helpers import (
    OwnHistory,
    contents_seen,
    model_of,
    scripted,
    seen,
    weather_script,
)
from tests.agents.proxy_helpers import (
    OpenStorage,
    ask,
    hosting,
    makes_actors,
    open_storage,
    read,
)
from tests.fakes import HandlingActor

__all__ = ["open_storage"]  # a fixture

PNG = "data:image/png;base64,iVBORw0KGgo="


def outline(response: Any) -> list[tuple[Any, ...]]:
    """What does not depend on how an answer came."""
    return [
        (
            message.role,
            message.author_name,
            message.text,
            [content.type for content in message.contents],
            message.message_id if message.role == "assistant" else None,
        )
        for message in response.messages
    ]


# --- what a run gives -----------------------------------------------------------------


def test_a_proxy_is_an_agent_to_the_framework() -> None:
    async def send_request(*_: Any, **__: Any) -> Any: ...

    client: Any = type("Client", (), {"send_request": send_request})()

    proxy: SupportsAgentRun = AgentProxy(client, "weather", description="Knows it.")

    assert isinstance(proxy, SupportsAgentRun)
    assert (proxy.id, proxy.name, proxy.description) == (
        "weather",
        "weather",
        "Knows it.",
    )
    assert "client" not in json.dumps(AgentProxy(client, "weather").to_dict())


async def test_a_run_gives_messages_usage_reason_and_the_requests_id(
    open_storage: OpenStorage,
) -> None:
    async with hosting(open_storage(), agent=scripted(name="Bob")) as host:
        response = await host.proxy(conversation="c").run("Hi")
        (turn,) = await host.turns("c")

    (message,) = response.messages
    assert (message.role, message.author_name) == ("assistant", "Bob")
    assert message.text.replace("  ", " ") == "You said Hi. Bye."
    assert response.finish_reason == "stop"
    assert dict(response.usage_details or {})["total_token_count"] == 6
    assert response.response_id == turn.message_id
    assert response.agent_id == "agent/c"
    assert response.additional_properties == {
        "status": "completed",
        "conversation": "c",
    }


async def test_a_stream_ends_with_the_response_that_its_updates_make(
    open_storage: OpenStorage,
) -> None:
    async with hosting(open_storage(), agent=scripted(weather_script)) as host:
        stream = host.proxy().run("weather?", stream=True)
        updates = await read(stream)
        response = await stream.get_final_response()

    made = type(response).from_updates(updates)
    assert len(updates) > 5
    assert outline(made) == outline(response)
    assert [role for role, *_ in outline(response)] == [
        "assistant",
        "tool",
        "assistant",
    ]
    assert made.usage_details == response.usage_details
    assert {update.response_id for update in updates} == {response.response_id}
    assert {update.agent_id for update in updates} == {"agent"}


async def test_nothing_happens_before_a_run_is_awaited() -> None:
    async with hosting(agent=EchoAgent()) as host:
        host.proxy(conversation="c").run("never", stream=True)
        host.proxy(conversation="c").run("never").close()
        await host.proxy(conversation="c").run("said")

        assert await host.said("c") == ["user: said", "assistant: Echo: said"]


async def test_a_proxy_can_be_used_from_another_loop() -> None:
    async with hosting(agent=EchoAgent()) as host:
        proxy = host.proxy(conversation="c")
        elsewhere = await asyncio.to_thread(asyncio.run, ask(proxy, "Hi", stream=True))

    assert elsewhere.text == "Echo: Hi"


async def test_an_agent_without_message_ids_streams_one_message_per_role() -> None:
    async def speller(message: str) -> Any:
        for letter in message:
            yield letter

    async with hosting(agent=speller) as host:
        stream = host.proxy().run("abc", stream=True)
        updates = await read(stream)

    assert len({update.message_id for update in updates}) == 1
    assert [update.text for update in updates] == ["a", "b", "c"]


async def test_progress_of_other_kinds_is_no_update() -> None:
    async def talk(context: Any, message: Any) -> Any:
        for number, progress in enumerate(({"type": "notice"}, 7, "spoken", None)):
            context.on_progress_update(message.message_id, number, progress)
        return {"answer": 42}

    factory = makes_actors(lambda context: HandlingActor(talk))
    async with hosting(agent=factory) as host:
        stream = host.proxy().run("Hi", stream=True)
        updates = await read(stream)
        response = await stream.get_final_response()

    assert [update.text for update in updates] == ["spoken"]
    assert response.text == '{"answer": 42}'


@pytest.mark.parametrize(("data", "text"), [(None, ""), ("words", "words")])
async def test_an_actor_that_is_no_agent_answers_with_what_it_gave(
    data: Any, text: str
) -> None:
    async def answer(context: Any, message: Any) -> Any:
        return data

    factory = makes_actors(lambda context: HandlingActor(answer))
    async with hosting(agent=factory) as host:
        response = await host.proxy().run("Hi")

    assert response.text == text


async def test_notices_come_with_the_response() -> None:
    async with hosting(agent=scripted(demo_script)) as host:
        response = await host.proxy().run("cut")

    (notice,) = response.additional_properties["notices"]
    assert "cut off" in notice["text"]


# --- messages -------------------------------------------------------------------------


async def test_messages_of_every_kind_reach_the_agent(
    open_storage: OpenStorage,
) -> None:
    agent = scripted()
    image = Content.from_uri(PNG, media_type="image/png")
    messages = [
        "text",
        image,
        Message("user", ["look: ", image], author_name="Ann", message_id="m1"),
    ]

    async with hosting(open_storage(), agent=agent) as host:
        await host.proxy().run(messages)

    got = model_of(agent).calls[-1]
    assert [content.type for content in contents_seen(agent)] == [
        "text",
        "data",
        "text",
        "data",
    ]
    assert (got[-1].author_name, got[-1].message_id) == ("Ann", "m1")
    assert got[-1].contents[1].uri == PNG


async def test_what_a_service_did_with_its_own_tools_is_left_out() -> None:
    agent = scripted()
    hosted = Content.from_dict({"type": "search_tool_call", "call_id": "s1"})
    messages = [
        Message("assistant", [hosted], message_id="only"),
        Message("assistant", [hosted, "found it"], message_id="both"),
        Message("user", ["and?"]),
    ]

    async with hosting(agent=agent) as host:
        await host.proxy().run(messages)

    assert seen(agent) == [("assistant", "found it"), ("user", "and?")]


@pytest.mark.parametrize("messages", [None, [], Message("user", [])])
async def test_nothing_to_say_is_refused(messages: Any) -> None:
    async with hosting(agent=EchoAgent()) as host:
        with pytest.raises(InvalidRequest, match="nothing to say"):
            await host.proxy().run(messages)


async def test_what_the_agent_itself_said_last_is_nothing_to_say_to_it() -> None:
    async with hosting(agent=EchoAgent()) as host:
        proxy = host.proxy(conversation="c")
        answer = await proxy.run("Hi")

        with pytest.raises(InvalidRequest, match="the agent's own answer"):
            await proxy.run(["Hi", *answer.messages])


@pytest.mark.parametrize("stream", [False, True])
async def test_approvals_pass_through_both_ways(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    async with hosting(open_storage(), agent=scripted(demo_script)) as host:
        proxy = host.proxy(conversation="c")
        asked = await ask(proxy, "delete notes.txt", stream=stream)
        (wish,) = asked.user_input_requests
        yes = Message("user", [wish.to_function_approval_response(approved=True)])
        done = await ask(proxy, yes, stream=stream)

    assert wish.function_call.name == "delete_file"
    assert "notes.txt is deleted" in done.text
    assert done.user_input_requests == []


async def test_a_whole_conversation_that_is_handed_on_is_said_once(
    open_storage: OpenStorage,
) -> None:
    agent = scripted()
    history: list[Any] = []

    async with hosting(open_storage(), agent=agent) as host:
        for number in range(3):
            # A client that keeps the conversation, as web pages do: each time with a
            # session made anew, and the messages as they came over the wire.
            history.append(Message("user", [f"{number}"], message_id=f"u{number}"))
            history = [Message.from_dict(one.to_dict()) for one in history]
            session = AgentSession(session_id="thread")
            response = await host.proxy().run(history, session=session)
            history += response.messages
        turns = await host.turns("thread")

    assert [text for role, text in seen(agent) if role == "user"] == ["0", "1", "2"]
    assert len(seen(agent)) == 5
    assert [len(turn.params["messages"]) for turn in turns] == [1, 1, 1]


async def test_messages_of_others_that_come_again_are_said_once(
    open_storage: OpenStorage,
) -> None:
    agent = scripted()
    said = [
        Message("user", ["first"], message_id="u1"),
        Message("assistant", ["of another"], message_id="b1"),
        Message("user", ["second"], message_id="u2"),
    ]

    async with hosting(open_storage(), agent=agent) as host:
        await host.proxy(conversation="c").run(said[:1])
    async with hosting(open_storage(), agent=agent) as host:
        await host.proxy(conversation="c").run(said)

    assert [text for _, text in seen(agent)] == [
        "first",
        "You said first. Bye.",
        "of another",
        "second",
    ]


async def test_an_agent_with_a_history_of_its_own_is_told_a_message_once() -> None:
    heard: list[list[str]] = []

    class Own(OwnHistory):
        async def run(self, messages: Any, **options: Any) -> Any:
            heard.append([message.text for message in messages])
            return await super().run(messages, **options)

    first = Message("user", ["first"], message_id="u1")
    other = Message("assistant", ["of another"], message_id="b1")

    async with hosting(agent=Own()) as host:
        proxy = host.proxy(conversation="c")
        await proxy.run(first)
        await proxy.run([first, other, "second"])

    assert heard == [["first"], ["of another", "second"]]


async def test_the_same_words_again_are_a_new_message() -> None:
    agent = scripted()
    again = Message("user", ["ping"])

    async with hosting(agent=agent) as host:
        session = host.proxy().create_session()
        for _ in range(3):
            await host.proxy().run("ping", session=session)
            await host.proxy().run(again, session=session)

    assert [text for role, text in seen(agent) if role == "user"] == ["ping"] * 6


# --- sessions -------------------------------------------------------------------------


async def test_a_session_names_the_conversation_and_carries_nothing(
    open_storage: OpenStorage,
) -> None:
    agent = scripted()

    async with hosting(open_storage(), agent=agent) as host:
        proxy = host.proxy()
        session = proxy.create_session(session_id="c1")
        await proxy.run("one", session=session)
        stored = json.loads(json.dumps(session.to_dict()))
    async with hosting(open_storage(), agent=agent) as host:
        await host.proxy().run("two", session=AgentSession.from_dict(stored))
        said = await host.said("c1")

    assert session.state == {}
    assert [text for role, text in seen(agent) if role == "user"] == ["one", "two"]
    assert len(said) == 4


async def test_a_services_session_id_is_the_conversation() -> None:
    async with hosting(agent=EchoAgent()) as host:
        proxy = host.proxy()
        await proxy.run("Hi", session=proxy.get_session("c1", session_id="local"))

        assert await host.conversations() == {"c1"}


async def test_a_session_id_of_several_parts_is_refused() -> None:
    async with hosting(agent=EchoAgent()) as host:
        proxy = host.proxy()
        session = proxy.get_session({"thread": "t", "turn": "1"})

        with pytest.raises(InvalidRequest, match="must be the id of a conversation"):
            await proxy.run("Hi", session=session)


async def test_runs_without_a_session_know_nothing_of_each_other() -> None:
    agent = scripted()

    async with hosting(agent=agent) as host:
        proxy = host.proxy()
        first = await proxy.run("one")
        second = await proxy.run("two")
        named = {one.additional_properties["conversation"] for one in (first, second)}

        assert await host.conversations() == named
    assert seen(agent) == [("user", "two")]


async def test_a_given_conversation_is_that_of_every_run() -> None:
    async with hosting(agent=EchoAgent()) as host:
        proxy = host.proxy(conversation="c1")
        await proxy.run("without")
        await proxy.run("made here", session=proxy.create_session())
        await proxy.run("made elsewhere", session=AgentSession())

        assert await host.conversations() == {"c1"}
        assert proxy.create_session().session_id == "c1"


@pytest.mark.parametrize(("name", "conversation"), [("no name", None), ("agent", "")])
def test_a_name_that_cannot_be_an_actors_is_refused_at_once(
    name: str, conversation: str | None
) -> None:
    client: Any = None

    with pytest.raises(InvalidActorId):
        AgentProxy(client, name, conversation=conversation)
