"""Conversations as things: read, named, forked, exported, imported, run again."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.conversations.files import (
    import_conversation,
    list_conversations,
    read_conversation,
    to_json,
    to_markdown,
    to_notebook,
)
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    RequestNotFound,
    SchemaTooNew,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    RequestStatus,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from tests.agents.helpers import model_of, scripted, seen, weather_script
from tests.fakes import HandlingActor

ME = ActorId("agent", "c1")
OTHER = ActorId("agent", "c2")


class Host:
    """A runtime with a scripted agent and an actor that counts in its state."""

    def __init__(self, storage: IActorStateStorage) -> None:
        self.agent: Any = scripted()
        self.runtime = InProcessActorRuntime(storage)
        self.runtime.register_actor_type("agent", lambda _: AgentActor(self.agent))
        self.runtime.register_actor_type("counter", lambda _: HandlingActor(_count))
        self.client = InProcessActorClient(self.runtime)

    async def ask(
        self, text: str, actor_id: ActorId = ME, **options: Any
    ) -> ActorResponseMessage:
        params = {"messages": [{"role": "user", "content": text}]}
        handle = await self.client.send_request(actor_id, "run", params, **options)
        return await handle.get_response()


async def _count(context: Any, request: Any) -> Any:
    count = await context.read_state("count", 0) + 1
    await context.write_state("count", count)
    return count


@pytest.fixture(params=["memory", "sqlite"])
def open_storage(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], IActorStateStorage]:
    """Opens the same data again and again, as processes one after another do."""
    if request.param == "sqlite":
        return lambda: SqliteStateStorage(tmp_path / "state.db")
    memory = InMemoryStateStorage()
    return lambda: memory


@pytest.fixture
async def host(open_storage: Callable[[], IActorStateStorage]) -> AsyncIterator[Host]:
    """A running host."""
    host = Host(open_storage())
    await host.runtime.start()
    yield host
    await host.runtime.stop(drain=0)


async def texts(host: Host, actor_id: ActorId) -> list[str]:
    """What was asked in the turns of a conversation."""
    conversation = await read_conversation(host.runtime, actor_id)
    return [turn.params["messages"][0]["content"] for turn in conversation.turns]


# --- names


async def test_a_name_is_kept_beside_the_turns_and_survives_them(
    host: Host, open_storage: Callable[[], IActorStateStorage]
):
    await host.ask("one")

    await host.runtime.rename(ME, "  My \n talk ")
    await host.ask("two")
    await host.runtime.stop()
    again = Host(open_storage())
    await again.runtime.start()

    listed = [one async for one in list_conversations(again.runtime)]
    assert [(one.actor_id, one.name) for one in listed] == [(ME, "My talk")]
    assert (await read_conversation(again.runtime, ME)).title == "My talk"
    await again.runtime.stop()


async def test_a_name_can_be_taken_away(host: Host):
    await host.ask("one")
    await host.runtime.rename(ME, "a name")

    await host.runtime.rename(ME, None)

    assert (await read_conversation(host.runtime, ME)).title == "c1"


async def test_a_name_has_nothing_that_one_cannot_see(host: Host):
    await host.ask("one")

    await host.runtime.rename(ME, "a\u202eb \x00c 👩\u200d👧")

    title = (await read_conversation(host.runtime, ME)).title
    assert title == "a b c 👩\u200d👧"


@pytest.mark.parametrize("name", ["", "   ", "\u202e", "x" * 201])
async def test_a_name_that_cannot_be_shown_is_refused(host: Host, name: str):
    await host.ask("one")

    with pytest.raises(InvalidRequest, match="name"):
        await host.runtime.rename(ME, name)


async def test_what_does_not_exist_cannot_be_named_and_does_not_come_to_be(host: Host):
    with pytest.raises(RequestNotFound, match="agent/c1 is not stored"):
        await host.runtime.rename(ME, "a name")

    assert [one async for one in list_conversations(host.runtime)] == []


# --- forks


async def test_a_fork_has_the_turns_up_to_one_and_goes_its_own_way(host: Host):
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


# --- export and import


async def test_an_exported_conversation_imported_is_the_same_and_goes_on(host: Host):
    await host.ask("one", message_id="id-one")
    await host.ask("two")
    await host.runtime.rename(ME, "Talk")
    exported = json.dumps(to_json(await read_conversation(host.runtime, ME)))

    await import_conversation(host.runtime, json.loads(exported), to=OTHER)
    await host.ask("three", OTHER)

    copied = await read_conversation(host.runtime, OTHER)
    original = await read_conversation(host.runtime, ME)
    assert list(copied.turns[:2]) == list(original.turns)
    assert copied.title == "Talk"
    assert next(text for _, text in seen(host.agent)) == "one"


async def test_what_was_discarded_is_not_seen_by_the_model_after_an_import_either(
    host: Host,
):
    def fails_first(messages: Any) -> list[Any]:
        if len(model_of(host.agent).calls) == 1:
            raise ValueError("no")
        return ["fine"]

    host.agent = scripted(fails_first)
    host.runtime.register_actor_type("agent", lambda _: AgentActor(host.agent))
    await host.ask("bad", message_id="m")
    await host.ask("good")
    await host.runtime.discard(ME, "m")
    exported = json.dumps(to_json(await read_conversation(host.runtime, ME)))

    await import_conversation(host.runtime, json.loads(exported), to=OTHER)
    await host.ask("more", OTHER)
    by_copy = seen(host.agent)
    await host.ask("more")

    assert by_copy == seen(host.agent)
    assert [text for _, text in by_copy] == ["good", "fine", "more"]
    assert await texts(host, OTHER) == ["bad", "good", "more"]


async def test_a_file_that_knows_of_nothing_discarded_is_still_imported(host: Host):
    await host.ask("one")
    exported = to_json(await read_conversation(host.runtime, ME))
    del exported["discarded"]

    await import_conversation(host.runtime, exported, to=OTHER)

    assert await texts(host, OTHER) == ["one"]


async def test_an_import_never_overwrites(host: Host):
    await host.ask("one")
    exported = to_json(await read_conversation(host.runtime, ME))

    with pytest.raises(InvalidRequest, match="exists already"):
        await import_conversation(host.runtime, exported)


async def test_turns_that_are_not_there_cannot_be_discarded_by_an_import(host: Host):
    with pytest.raises(InvalidRequest, match="discarded"):
        await host.runtime.import_turns(OTHER, [], discarded=["nobody"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": "something"}, "format"),
        ({"version": "1"}, "version"),
        ({"turns": "none"}, "turns"),
        ({"turns": [{"x": 1}]}, r"turns\[0\]\.ended_at"),
        ({"turns": [17]}, r"turns\[0\]"),
        ({"discarded": "id-one"}, "discarded"),
        ({"discarded": [1]}, "discarded"),
    ],
)
async def test_a_file_that_is_no_conversation_is_refused_by_its_place(
    host: Host, change: dict[str, Any], problem: str
):
    await host.ask("one")
    exported = to_json(await read_conversation(host.runtime, ME)) | change

    with pytest.raises(InvalidRequest, match=problem):
        await import_conversation(host.runtime, exported, to=OTHER)


@pytest.mark.parametrize(
    "change",
    [
        {"contents": [{"type": "nonsense?", "text": 5}, 17]},
        {"contents": None},
        {"message_id": None, "role": "user", "contents": "Hello"},
    ],
)
async def test_a_file_with_a_message_that_cannot_be_read_is_refused_whole(
    host: Host, change: dict[str, Any]
):
    await host.ask("one")
    exported = to_json(await read_conversation(host.runtime, ME))
    exported["turns"][0]["entries"][1] |= change

    with pytest.raises(
        InvalidRequest, match=r"turns\[0\]\.entries\[1\]: is no message"
    ):
        await import_conversation(host.runtime, exported, to=OTHER)

    assert not (await host.runtime.read_actor(OTHER)).turns


async def test_a_conversation_of_a_newer_version_is_refused(host: Host):
    await host.ask("one")
    exported = to_json(await read_conversation(host.runtime, ME)) | {"version": 2}

    with pytest.raises(SchemaTooNew):
        await import_conversation(host.runtime, exported, to=OTHER)


async def test_markdown_tells_who_said_what_and_what_tools_did(host: Host):
    host.agent = scripted(weather_script)
    host.runtime.register_actor_type("agent", lambda _: AgentActor(host.agent))
    await host.ask("weather?")
    await host.runtime.rename(ME, "Weather")

    text = to_markdown(await read_conversation(host.runtime, ME))

    assert text.startswith("# Weather\n\n**You**\n\nweather?\n\n")
    assert "Calls `" in text
    assert "Result:\n\n```" in text


async def test_markdown_tells_how_turns_ended_and_why(host: Host):
    await host.ask("one")
    conversation = await read_conversation(host.runtime, ME)
    [turn] = conversation.turns
    error = {"error": {"type": "ValueError", "message": "no *such* city"}}
    failed = replace(turn, status=RequestStatus.FAILED, data=error)
    withdrawn = replace(failed, status=RequestStatus.CANCELLED, data={}, attempts=0)

    text = to_markdown(replace(conversation, turns=[failed, withdrawn]))

    first, second = text.split("**You**")[1:]
    assert first.endswith(
        "*(failed before it was finished)*\n\n```\nno *such* city\n```\n\n"
    )
    assert second.endswith("*(withdrawn before it began)*\n")


async def test_a_message_that_breaks_out_of_a_fence_stays_in_it(host: Host):
    conversation = await read_conversation(host.runtime, ME)
    await host.ask("one")
    conversation = await read_conversation(host.runtime, ME)
    [turn] = conversation.turns
    turn.entries[-1]["contents"] = [
        {"type": "function_result", "call_id": "1", "result": "```\n# not a title"}
    ]

    text = to_markdown(conversation)

    assert "````\n```\n# not a title\n````" in text


async def test_the_notebook_form_is_a_valid_notebook(host: Host):
    nbformat = pytest.importorskip("nbformat")
    await host.ask("one")

    notebook = to_notebook(await read_conversation(host.runtime, ME))

    nbformat.validate(notebook)
    assert [cell["source"] for cell in notebook["cells"]][1] == "**You**\n\none"


# --- again, or not at all


async def test_a_turn_that_failed_runs_again_in_its_place(host: Host):
    def fails_first(messages: Any) -> list[Any]:
        if len(model_of(host.agent).calls) == 1:
            raise ValueError("no")
        return ["fine"]

    host.agent = scripted(fails_first)
    host.runtime.register_actor_type("agent", lambda _: AgentActor(host.agent))
    failed = await host.ask("one", message_id="m")

    new_id = await host.runtime.run_again(ME, "m")
    handle = await host.client.get_response(ME, new_id)
    answered = await handle.get_response()

    assert failed.status is RequestStatus.FAILED
    assert (new_id, answered.status) == ("m~2", RequestStatus.COMPLETED)
    assert seen(host.agent) == [("user", "one")]
    old = await (await host.client.get_response(ME, "m")).get_response()
    assert old.status is RequestStatus.FAILED


async def test_asked_twice_to_run_again_it_runs_once(host: Host):
    await host.ask("one", message_id="m")

    ids = [await host.runtime.run_again(ME, "m") for _ in range(2)]
    await (await host.client.get_response(ME, ids[0])).get_response()

    assert ids == ["m~2", "m~2"]
    assert len(model_of(host.agent).calls) == 2


async def test_what_never_was_cannot_run_again(host: Host):
    await host.ask("one")

    with pytest.raises(RequestNotFound):
        await host.runtime.run_again(ME, "never")


async def test_a_discarded_turn_is_no_longer_seen_by_the_model_but_can_be_read(
    host: Host,
):
    def fails_first(messages: Any) -> list[Any]:
        if len(model_of(host.agent).calls) == 1:
            raise ValueError("no")
        return ["fine"]

    host.agent = scripted(fails_first)
    host.runtime.register_actor_type("agent", lambda _: AgentActor(host.agent))
    await host.ask("bad", message_id="m")

    done = [await host.runtime.discard(ME, "m") for _ in range(2)]
    await host.ask("good")

    assert done == [True, False]
    assert seen(host.agent) == [("user", "good")]
    assert await texts(host, ME) == ["bad", "good"]


async def test_a_turn_that_completed_is_not_discarded(host: Host):
    await host.ask("one", message_id="m")

    with pytest.raises(InvalidRequest, match="has completed"):
        await host.runtime.discard(ME, "m")
