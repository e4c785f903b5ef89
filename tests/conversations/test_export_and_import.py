"""Conversations as documents: exported, and imported again."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.conversations.export import to_markdown, to_notebook
from agent_runtime_nb.conversations.json_format import import_conversation, to_json
from agent_runtime_nb.conversations.reading import read_conversation
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    SchemaTooNew,
)
from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
)
from tests.agents.helpers import model_of, scripted, seen, weather_script
from tests.conversations.host import ME, OTHER, Host, texts


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
async def test_a_file_that_is_no_conversation_is_refused_with_its_field(
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


async def test_markdown_shows_who_said_what_and_what_tools_did(host: Host):
    host.agent = scripted(weather_script)
    host.runtime.register_actor_type("agent", lambda _: AgentActor(host.agent))
    await host.ask("weather?")
    await host.runtime.rename(ME, "Weather")

    text = to_markdown(await read_conversation(host.runtime, ME))

    assert text.startswith("# Weather\n\n**You**\n\nweather?\n\n")
    assert "Calls `" in text
    assert "Result:\n\n```" in text


async def test_markdown_shows_how_turns_ended_and_why(host: Host):
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
