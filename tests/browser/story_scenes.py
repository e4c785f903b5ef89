"""The scenes of the story book: conversations that end in each state of the panel."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from tests.browser.story_agent import PICTURE
from tests.widgets.front_end import FrontEnd, Picture


class Stage(Protocol):
    """Where a scene is played: a kernel that can be stopped and started again."""

    async def open(self, conversation: str, **options: Any) -> FrontEnd: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


Scene: TypeAlias = Callable[[Stage], Awaitable[FrontEnd]]
SCENES: dict[str, Scene] = {}

MAIN = "trip-to-oslo"


def _scene(scene: Scene) -> Scene:
    SCENES[scene.__name__.strip("_").replace("_", "-")] = scene
    return scene


def say(page: FrontEnd, message_id: str, text: str, **more: Any) -> None:
    """Send a message from the page."""
    page.say("send", message_id=message_id, text=text, **more)


async def ask(
    page: FrontEnd, message_id: str, text: str, status: str = "completed"
) -> None:
    """Send a message and wait for the end of its turn."""
    say(page, message_id, text)
    await page.until(_is(message_id, status))


def _is(message_id: str, *statuses: str) -> Callable[[Picture], Any]:
    def holds(picture: Picture) -> Any:
        turns = picture["turns"]
        return any(t["id"] == message_id and t["status"] in statuses for t in turns)

    return holds


def _says(text: str) -> Callable[[Picture], Any]:
    return lambda picture: text in json.dumps(picture["turns"], ensure_ascii=False)


@_scene
async def _empty(stage: Stage) -> FrontEnd:
    starters = ["Plan a weekend in Oslo", "What can you do?", "Compare night trains"]
    return await stage.open(MAIN, starters=starters)


@_scene
async def _answer(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Plan three days in Oslo under 400 €")
    return page


@_scene
async def _streaming(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Hello")
    say(page, "m2", "Stream a plan for three days in Oslo")
    await page.until(_says("1. The Op"))
    return page


@_scene
async def _queued(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    say(page, "m1", "Stream a plan for three days in Oslo")
    await page.until(_says("1. The Op"))
    say(page, "m2", "and with kids?")
    say(page, "m3", "We would rather take the train, if it goes over night")
    await page.until(_is("m3", "waiting"))
    return page


@_scene
async def _waiting_for_the_first_word(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    say(page, "m1", "Wait and see")
    await page.until(_is("m1", "running"))
    return page


@_scene
async def _thinking(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    say(page, "m1", "Ponder: is the train cheaper?")
    await page.until(_says("400 €."))
    return page


@_scene
async def _thought(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Think: is the train cheaper?")
    return page


@_scene
async def _tool_running(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    say(page, "m1", "Watch the prices in Oslo")
    await page.until(_says('"kind": "tool"'))
    return page


@_scene
async def _tool_with_rich_result(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Compare the prices of hotels")
    return page


@_scene
async def _tool_failed(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Book the train to Oslo")
    return page


@_scene
async def _approval(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Delete the old draft")
    return page


@_scene
async def _approval_with_hidden_characters(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Sneaky little task")
    return page


@_scene
async def _approved_once(stage: Stage) -> FrontEnd:
    return await _answered(stage, "once")


@_scene
async def _approved_for_the_conversation(stage: Stage) -> FrontEnd:
    return await _answered(stage, "conversation")


@_scene
async def _denied(stage: Stage) -> FrontEnd:
    return await _answered(stage, "deny", reason="The draft is still needed.")


async def _answered(stage: Stage, decision: str, **more: str) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Delete the old draft")
    [item] = [i for i in page.picture["turns"][0]["items"] if i["kind"] == "approval"]
    answer = {"request_id": item["id"], "decision": decision, **more}
    page.say("answer", turn="m1", **answer)
    await page.until(lambda picture: len(picture["turns"]) > 1)
    await page.until(lambda picture: picture["turns"][1]["status"] == "completed")
    # It is read again behind the turn.
    allowed = ["delete_file"] if decision == "conversation" else []
    await page.until(lambda picture: picture["allowed_tools"] == allowed)
    return page


@_scene
async def _stopped(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    say(page, "m1", "Stream a plan for three days in Oslo")
    await page.until(_says("1. The Op"))
    page.say("stop", message_id="m1")
    await page.until(_is("m1", "cancelled"))
    return page


@_scene
async def _failed(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Fail, please", "failed")
    return page


@_scene
async def _retried(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Fail, please", "failed")
    page.say("retry", turn="m1")
    await page.until(lambda picture: len(picture["turns"]) > 1)
    await page.until(lambda picture: picture["turns"][1]["status"] == "failed")
    return page


@_scene
async def _interrupted(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Hello")
    say(page, "m2", "Stream a plan for three days in Oslo")
    await page.until(_says("1. The Op"))
    say(page, "m3", "and with kids?")
    await page.until(_is("m3", "waiting"))
    await stage.stop()
    await stage.start()
    return await stage.open(MAIN)


@_scene
async def _discarded(stage: Stage) -> FrontEnd:
    page = await _interrupted(stage)
    page.say("discard", turn="m2")
    await page.until(lambda picture: picture["turns"][1].get("discarded"))
    return page


@_scene
async def _restored(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Hello")
    await stage.stop()
    await stage.start()
    page = await stage.open(MAIN)
    await ask(page, "m2", "Think: is the train cheaper?")
    return page


@_scene
async def _runtime_stopped(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Hello")
    await stage.stop()
    await page.until(lambda picture: picture["phase"] == "stopped")
    await stage.start()
    return page


@_scene
async def _long_history(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    for number in range(1, 61):
        say(page, f"m{number}", f"Hello number {number}")
    await page.until(_is("m60", "completed"))
    page = await stage.open(MAIN)
    page.say("earlier", before=page.picture["turns"][0]["position"])
    await page.heard("page")
    return page


@_scene
async def _maths(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Maths, please")
    return page


@_scene
async def _image(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    say(page, "m1", "Hello, what is this?", media=[PICTURE])
    await page.until(_is("m1", "completed"))
    return page


@_scene
async def _read_only(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Think: is the train cheaper?")
    return await stage.open(MAIN, read_only=True)


@_scene
async def _branches(stage: Stage) -> FrontEnd:
    page = await stage.open(MAIN)
    await ask(page, "m1", "Hello")
    await ask(page, "m2", "Think: is the train cheaper?")
    page.say("edit", turn="m2", message_id="m3", text="Think: and by bus?", media=[])
    await page.until(lambda picture: picture["instance_id"] != MAIN)
    await page.until(_is("m3", "completed"))
    await page.until(lambda picture: picture.get("branches"))
    return page


@_scene
async def _conversations(stage: Stage) -> FrontEnd:
    for name in ("a question about taxes", "trip-to-rome", MAIN):
        page = await stage.open(name)
        await ask(page, f"m-{name}", "Hello")
    page.say("list")
    await page.heard("conversations")
    return page
