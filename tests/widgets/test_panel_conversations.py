"""What a person does with conversations in the panel, over a real runtime."""

import json
from typing import Any

import pytest

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import EchoAgent
from agent_runtime_nb.conversations.json_format import import_conversation
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel
from tests.widgets.front_end import FakeComm
from tests.widgets.panels import Panels, answered, ended, is_shown, look, say, texts

# --- list and search ------------------------------------------------------------------


async def test_the_list_is_searched_in_names_and_ids(
    panels: Panels, client: InProcessActorClient, runtime: InProcessActorRuntime
) -> None:
    for name in ("alps", "beach", "city"):
        await say(client, f"echo/{name}", "hi")
    await runtime.rename(ActorId("echo", "beach"), "Holiday in the ALPS")
    _, page = await panels.open("echo/city")

    everything = await answered(page, "list")
    found = await answered(page, "list", search="Alps")
    nothing = await answered(page, "list", search="desert")

    assert [one["instance_id"] for one in everything["items"]] == [
        "alps",
        "beach",
        "city",
    ]
    assert [one["name"] for one in found["items"]] == [None, "Holiday in the ALPS"]
    assert found["search"] == "Alps"
    assert nothing["items"] == []
    assert nothing["next"] is None


async def test_a_long_list_comes_in_pages(
    panels: Panels, client: InProcessActorClient
) -> None:
    for number in range(105):
        await say(client, f"echo/c{number:03}", "hi")
    _, page = await panels.open("echo/c000")

    first = await answered(page, "list")
    second = await answered(page, "list", after=first["next"])

    assert len(first["items"]) == 100
    assert [one["instance_id"] for one in second["items"]] == [
        f"c{number:03}" for number in range(100, 105)
    ]
    assert second["next"] is None


# --- names and deletion ---------------------------------------------------------------


async def test_a_new_name_is_seen_at_once_in_every_panel(
    panels: Panels, client: InProcessActorClient
) -> None:
    await say(client, "echo/c1", "hi")
    _, one = await panels.open("echo/c1")
    _, two = await panels.open("echo/c1")

    done = await answered(one, "rename", instance_id="c1", name="Plans")

    assert done == {"type": "done", "what": "rename", "instance_id": "c1"}
    for page in (one, two):
        await page.until(lambda picture: picture["name"] == "Plans")
    await answered(one, "rename", instance_id="c1", name=None)
    await two.until(lambda picture: picture["name"] is None)


async def test_a_name_given_in_code_is_noticed(
    panels: Panels, client: InProcessActorClient, runtime: InProcessActorRuntime
) -> None:
    await say(client, "echo/c1", "hi")
    _, page = await panels.open("echo/c1", refresh=0.05)

    await runtime.rename(ActorId("echo", "c1"), "From code")

    await page.until(lambda picture: picture["name"] == "From code")


async def test_a_conversation_without_a_message_cannot_be_named(
    panels: Panels,
) -> None:
    _, page = await panels.open("echo/c1")

    refused = await answered(page, "rename", instance_id="c1", name="Plans")

    assert refused["what"] == "rename"
    assert refused["error"]["message"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Plan a\n weekend in Oslo", "Plan a weekend in Oslo"),
        ("x" * 60, "x" * 47 + "…"),
    ],
)
async def test_a_new_conversation_is_named_by_what_is_said_first(
    panels: Panels, runtime: InProcessActorRuntime, words: str, name: str
) -> None:
    _, page = await panels.open("echo/c1")
    page.say("new")
    picture = await page.until(
        lambda picture: (
            picture["instance_id"] != "c1" and picture["phase"] == "live" and picture
        )
    )

    for message_id, text in (("m1", words), ("m2", "and then")):
        page.say("send", message_id=message_id, text=text)
        await page.until(lambda picture: picture["name"] == name)

    info = (await runtime.read_actor(ActorId("echo", picture["instance_id"]))).info
    assert info is not None
    assert info.name == name


async def test_a_conversation_that_has_an_id_of_its_own_is_not_named(
    panels: Panels,
) -> None:
    _, page = await panels.open("echo/c1")

    page.say("send", message_id="m1", text="hi")
    await page.until(ended("completed"))

    assert page.picture["name"] is None


@pytest.mark.parametrize("asked", ["new", "delete"])
async def test_a_function_that_cannot_name_a_new_conversation_loses_nothing(
    panels: Panels, client: InProcessActorClient, asked: str
) -> None:
    def fail() -> ActorId:
        raise LookupError("no more names")

    await say(client, "echo/c1", "hi")
    _, page = await panels.open("echo/c1", new_conversation=fail)

    refused = await answered(page, asked, instance_id="c1")

    assert refused["what"] == asked
    assert "LookupError: no more names" in refused["error"]["message"]
    assert is_shown("c1", "hi")(page.picture)


async def test_a_deleted_conversation_gives_way_to_a_new_one(
    panels: Panels, client: InProcessActorClient, runtime: InProcessActorRuntime
) -> None:
    await say(client, "echo/c1", "hi")
    new = {"new_conversation": lambda: ActorId("echo", "fresh")}
    _, one = await panels.open("echo/c1", **new)
    _, two = await panels.open("echo/c1", **new)

    done = await answered(one, "delete", instance_id="c1")

    await one.until(is_shown("fresh"))
    await two.until(is_shown("c1"))
    assert done["what"] == "delete"
    assert (await runtime.list_actors("echo")).items == ()


async def test_another_conversation_is_deleted_from_the_list(
    panels: Panels, client: InProcessActorClient
) -> None:
    await say(client, "echo/c1", "hi")
    await say(client, "echo/c2", "hi")
    _, page = await panels.open("echo/c1")

    await answered(page, "delete", instance_id="c2")
    listed = await answered(page, "list")

    assert [one["instance_id"] for one in listed["items"]] == ["c1"]
    assert is_shown("c1", "hi")(page.picture)


async def test_what_is_forgotten_is_gone_and_the_conversation_begins_anew(
    panels: Panels, client: InProcessActorClient
) -> None:
    await say(client, "scripted/c1", "help", "think")
    _, one = await panels.open()
    _, two = await panels.open()

    done = await answered(one, "forget")
    for page in (one, two):
        await page.until(is_shown("c1"))
    one.say("send", message_id="m1", text="help")

    for page in (one, two):
        await page.until(is_shown("c1", "help"))
    assert done["what"] == "forget"
    assert "This is message 1 of" in texts(one.picture["turns"][0])


async def test_what_was_on_the_page_is_forgotten_whatever_is_shown_since(
    panels: Panels, client: InProcessActorClient, runtime: InProcessActorRuntime
) -> None:
    await say(client, "echo/c1", "one")
    await say(client, "echo/c2", "two")
    _, page = await panels.open("echo/c1")

    page.say("switch", instance_id="c2")
    await answered(page, "forget", instance_id="c1")

    assert (await runtime.read_actor(ActorId("echo", "c1"))).turns == ()
    assert len((await runtime.read_actor(ActorId("echo", "c2"))).turns) == 1


async def test_what_code_deleted_and_began_anew_is_shown_as_it_is(
    panels: Panels, client: InProcessActorClient, runtime: InProcessActorRuntime
) -> None:
    await say(client, "echo/c1", "one", "two")
    _, page = await panels.open("echo/c1")
    await page.until(is_shown("c1", "one", "two"))

    await runtime.delete_actor(ActorId("echo", "c1"))
    await say(client, "echo/c1", "three")

    await page.until(is_shown("c1", "three"))


async def test_forgetting_takes_back_what_was_allowed(panels: Panels) -> None:
    _, page = await panels.open()
    page.say("send", message_id="m1", text="delete a.txt")
    asked = await page.until(ended("completed"))
    request = asked["items"][-1]["id"]
    page.say("answer", turn="m1", request_id=request, decision="conversation")
    await page.until(lambda picture: picture["allowed_tools"] == ["delete_file"])

    await answered(page, "forget")
    await page.until(is_shown("c1"))
    page.say("send", message_id="m2", text="delete a.txt")

    turn = await page.until(ended("completed"))
    assert turn["items"][-1]["kind"] == "approval"
    assert page.picture["allowed_tools"] == []


# --- export ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "file_name"),
    [
        ("markdown", "echo-My-plans.md"),
        ("json", "echo-My-plans.json"),
        ("notebook", "echo-My-plans.ipynb"),
    ],
)
async def test_the_whole_conversation_is_exported(
    panels: Panels,
    client: InProcessActorClient,
    runtime: InProcessActorRuntime,
    format_: str,
    file_name: str,
) -> None:
    await say(client, "echo/c1", *(f"word-{number}" for number in range(60)))
    await runtime.rename(ActorId("echo", "c1"), "My plans")
    _, page = await panels.open("echo/c1")

    export = await answered(page, "export", format=format_)

    assert export["file_name"] == file_name
    assert "Echo: word-0" in export["text"]
    assert "Echo: word-59" in export["text"]
    if format_ == "json":
        to = ActorId("echo", "copy")
        await import_conversation(runtime, json.loads(export["text"]), to=to)
        assert len((await runtime.read_actor(to, limit=100)).turns) == 60


# --- read only, restored --------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("send", {"message_id": "m9", "text": "x"}),
        ("stop", {"message_id": "hi"}),
        ("retry", {"turn": "hi"}),
        ("discard", {"turn": "hi"}),
        ("edit", {"turn": "hi", "message_id": "m9", "text": "x"}),
        ("rename", {"instance_id": "c1", "name": "x"}),
        ("delete", {"instance_id": "c1"}),
        ("forget", {"instance_id": "c1"}),
        ("new", {}),
    ],
)
async def test_nothing_can_be_changed_in_a_read_only_panel(
    panels: Panels,
    client: InProcessActorClient,
    runtime: InProcessActorRuntime,
    kind: str,
    content: dict[str, Any],
) -> None:
    await say(client, "echo/c1", "hi")
    _, page = await panels.open("echo/c1", read_only=True)

    refused = await answered(page, kind, **content)

    assert page.picture["read_only"] is True
    assert "read-only" in refused["error"]["message"]
    assert refused["what"] == kind
    view = await runtime.read_actor(ActorId("echo", "c1"))
    assert [turn.message_id for turn in view.turns] == ["hi"]
    assert view.info is not None
    assert view.info.name is None


async def test_a_read_only_panel_still_looks_and_exports(
    panels: Panels, client: InProcessActorClient
) -> None:
    await say(client, "echo/c1", "hi")
    await say(client, "echo/c2", "ho")
    _, page = await panels.open("echo/c1", read_only=True)

    listed = await answered(page, "list")
    export = await answered(page, "export", format="markdown")
    page.say("switch", instance_id="c2")

    await page.until(is_shown("c2", "ho"))
    assert len(listed["items"]) == 2
    assert "Echo: hi" in export["text"]


async def test_turns_of_an_earlier_process_are_told_from_those_of_this_one() -> None:
    storage = InMemoryStateStorage()
    first = await echoing(storage)
    await say(InProcessActorClient(first), "echo/c1", "old", "older")
    await first.stop(drain=0)
    second = await echoing(storage)
    client = InProcessActorClient(second)
    panel = ChatPanel(client, second, ActorId("echo", "c1"), comm=FakeComm())
    page = await look(panel)
    fresh = ChatPanel(client, second, ActorId("echo", "c2"), comm=FakeComm())
    other = await look(fresh)

    await say(client, "echo/c1", "new")
    await page.until(is_shown("c1", "old", "older", "new"))
    await say(client, "echo/c2", "new")
    await other.until(is_shown("c2", "new"))
    panel.close()
    fresh.close()
    await second.stop(drain=0)

    assert (page.picture["restored"], page.picture["restored_until"]) == (True, 2)
    assert (other.picture["restored"], other.picture["restored_until"]) == (False, None)


async def echoing(storage: InMemoryStateStorage) -> InProcessActorRuntime:
    runtime = InProcessActorRuntime(storage)
    runtime.register_actor_type("echo", lambda _: AgentActor(EchoAgent()))
    await runtime.start()
    return runtime
