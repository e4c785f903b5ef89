"""Forks: a new conversation that begins as another one."""

from typing import Any

import pytest

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.conversations.json_format import import_conversation, to_json
from agent_runtime_nb.conversations.reading import list_conversations, read_conversation
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    RequestNotFound,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from tests.agents.helpers import scripted, seen
from tests.conversations.host import ME, OTHER, Host, texts
from tests.fakes import HandlingActor


async def test_a_fork_has_the_turns_up_to_one_and_continues_independently(host: Host):
    for text in ("one", "two", "three"):
        await host.ask(text, message_id=f"id-{text}")

    fork = await host.runtime.fork(ME, at="id-two")
    await host.ask("four", fork)

    assert await texts(host, fork) == ["one", "two", "four"]
    assert await texts(host, ME) == ["one", "two", "three"]
    assert [text for role, text in seen(host.agent) if role == "user"] == [
        "one",
        "two",
        "four",
    ]


async def test_a_fork_knows_its_parent_and_where_they_part(host: Host):
    await host.ask("one", message_id="id-one")
    await host.runtime.rename(ME, "Talk")

    fork = await host.runtime.fork(ME, to=OTHER)

    info = (await read_conversation(host.runtime, fork)).info
    assert (info.actor_id, info.parent, info.forked_at) == (OTHER, ME, "id-one")
    assert info.name == "Talk (fork)"


async def test_a_fork_before_the_first_turn_is_empty_and_can_be_used(host: Host):
    await host.ask("one", message_id="id-one")

    fork = await host.runtime.fork(ME, before="id-one")
    await host.ask("another one", fork)

    assert await texts(host, fork) == ["another one"]


async def test_a_fork_before_a_discarded_turn_is_exported_and_imported(host: Host):
    await host.ask("one", message_id="id-one")
    host.agent = scripted([ValueError("no")])
    host.runtime.register_actor_type("agent", lambda _: AgentActor(host.agent))
    await host.ask("bad", message_id="bad")
    await host.runtime.discard(ME, "bad")

    fork = await host.runtime.fork(ME, before="bad")
    forked = await read_conversation(host.runtime, fork)
    await import_conversation(host.runtime, to_json(forked), to=OTHER)

    assert forked.info.discarded == ()
    assert await texts(host, OTHER) == ["one"]


async def test_a_request_of_the_common_part_has_its_recorded_answer_in_the_fork(
    host: Host,
):
    first = await host.ask("one", message_id="id-one")

    fork = await host.runtime.fork(ME)
    again = await host.ask("one", fork, message_id="id-one")

    assert again.data == first.data
    assert await texts(host, fork) == ["one"]


async def test_a_fork_at_the_end_takes_the_state_along(host: Host):
    counter = ActorId("counter", "1")
    await host.ask("", counter)
    await host.ask("", counter)

    fork = await host.runtime.fork(counter)

    assert (await host.ask("", fork)).data == 3
    assert (await host.ask("", counter)).data == 3


async def test_an_actor_with_state_cannot_be_forked_in_its_past(host: Host):
    counter = ActorId("counter", "1")
    await host.ask("", counter, message_id="first")
    await host.ask("", counter)

    with pytest.raises(InvalidRequest, match="only the newest version"):
        await host.runtime.fork(counter, at="first")


async def test_a_conversation_that_the_service_keeps_is_not_forked(host: Host):
    async def keep(context: Any, request: Any) -> None:
        session = {"version": 1, "session": {"service_session_id": "resp_1"}}
        await context.write_state("session", session)

    host.runtime.register_actor_type("kept", lambda _: HandlingActor(keep))
    await host.ask("", ActorId("kept", "1"))

    with pytest.raises(InvalidRequest, match="its service keeps the conversation"):
        await host.runtime.fork(ActorId("kept", "1"))


async def test_a_fork_never_writes_into_a_conversation_that_exists(host: Host):
    await host.ask("one")
    await host.ask("other", OTHER)

    with pytest.raises(InvalidRequest, match="exists already"):
        await host.runtime.fork(ME, to=OTHER)

    assert await texts(host, OTHER) == ["other"]


async def test_a_fork_at_a_request_of_another_conversation_is_refused(host: Host):
    await host.ask("one")

    with pytest.raises(RequestNotFound):
        await host.runtime.fork(ME, at="nobody knows")

    assert len([one async for one in list_conversations(host.runtime)]) == 1


async def test_a_long_conversation_is_forked_whole(host: Host):
    for number in range(95):
        await host.ask(str(number))

    fork = await host.runtime.fork(ME)

    assert await texts(host, fork) == [str(number) for number in range(95)]
