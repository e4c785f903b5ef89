"""Saying something else than in an earlier message, in a fork of the conversation."""

import json

from agent_runtime_nb.conversations.json_format import import_conversation
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from tests.widgets.panels import Panels, answered, ended, is_shown, say, texts


async def test_an_edit_goes_on_from_before_the_message_in_a_fork(
    panels: Panels, client: InProcessActorClient
) -> None:
    await say(client, "echo/c1", "one", "two", "three")
    panel, page = await panels.open("echo/c1")

    page.say("edit", turn="two", message_id="m9", text="zwei")

    fork = await page.until(
        lambda picture: picture["instance_id"] != "c1" and picture["instance_id"]
    )
    await page.until(is_shown(fork, "one", "zwei"))
    [branch] = await page.until(lambda picture: picture["branches"])
    assert branch == {
        "after": "one",
        "options": [
            {"instance_id": "c1", "name": None},
            {"instance_id": fork, "name": "c1 (fork)"},
        ],
        "index": 1,
    }
    page.say("switch", instance_id="c1")
    await page.until(is_shown("c1", "one", "two", "three"))
    [branch] = await page.until(lambda picture: picture["branches"])
    assert branch["index"] == 0
    assert panel.actor_id == ActorId("echo", "c1")


async def test_the_first_message_can_be_edited(
    panels: Panels, client: InProcessActorClient
) -> None:
    await say(client, "echo/c1", "one")
    _, page = await panels.open("echo/c1")

    page.say("edit", turn="one", message_id="m9", text="uno")

    [branch] = await page.until(lambda picture: picture["branches"])
    await page.until(is_shown(page.picture["instance_id"], "uno"))
    assert branch["after"] is None


async def test_an_edit_that_is_sent_twice_makes_one_fork_and_one_turn(
    panels: Panels, client: InProcessActorClient, runtime: InProcessActorRuntime
) -> None:
    await say(client, "echo/c1", "one", "two")
    _, page = await panels.open("echo/c1")
    edit = {"turn": "two", "message_id": "m9", "text": "zwei"}

    page.say("edit", **edit)
    page.say("edit", **edit)
    fork = await page.until(
        lambda picture: picture["instance_id"] != "c1" and picture["instance_id"]
    )
    await page.until(is_shown(fork, "one", "zwei"))
    page.say("switch", instance_id="c1")
    await page.until(is_shown("c1", "one", "two"))
    page.say("edit", **edit)
    await page.until(is_shown(fork, "one", "zwei"))

    listed = (await runtime.list_conversations("echo")).items
    assert len(listed) == 2


async def test_a_message_that_is_being_answered_is_not_edited(panels: Panels) -> None:
    _, page = await panels.open("gated/c1")
    page.say("send", message_id="m1", text="go")
    await page.until(ended("running"))

    refused = await answered(page, "edit", turn="m1", message_id="m9", text="stay")

    assert refused["message_id"] == "m9"
    assert "stop that first" in refused["error"]["message"]
    assert page.picture["instance_id"] == "c1"
    page.say("stop", message_id="m1")
    await page.until(ended("cancelled"))


async def test_a_fork_keeps_what_was_allowed_and_an_import_does_not(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open()
    page.say("send", message_id="m1", text="delete a.txt")
    asked = await page.until(ended("completed"))
    request = asked["items"][-1]["id"]
    page.say("answer", turn="m1", request_id=request, decision="conversation")
    await page.until(ended("completed", turn=1))
    export = await answered(page, "export", format="json")
    copy = ActorId("scripted", "copy")
    await import_conversation(runtime, json.loads(export["text"]), to=copy)

    page.say("edit", turn="m1-answer", message_id="m9", text="delete b.txt")
    await page.until(lambda picture: picture["instance_id"].startswith("edit-"))
    turn = await page.until(ended("completed", turn=1))
    page.say("switch", instance_id="copy")
    await page.until(lambda picture: len(picture["turns"]) == 2)
    page.say("send", message_id="m10", text="delete c.txt")
    in_copy = await page.until(ended("completed", turn=2))

    assert "b.txt is deleted" in texts(turn)
    assert in_copy["items"][-1]["kind"] == "approval"
