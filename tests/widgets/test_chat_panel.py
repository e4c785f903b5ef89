"""The chat panel over a real runtime, driven through its comm."""

from typing import Any

import pytest
from agent_framework import Content

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from tests.widgets.front_end import FrontEnd, Picture, reduce_chat
from tests.widgets.panels import Panels, comm_of, ended, look, texts, without_times


async def test_a_message_is_answered_in_the_panel(panels: Panels) -> None:
    _, page = await panels.open("echo/c1")

    page.say("send", message_id="m1", text="Hello")

    turn = await page.until(ended("completed"))
    assert turn["id"] == "m1"
    assert texts(turn, "user") == "Hello"
    assert texts(turn) == "Echo: Hello"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("help", "completed"),
        ("think", "completed"),
        ("weather in Oslo", "completed"),
        ("delete a.txt", "completed"),
        ("fail", "failed"),
    ],
)
async def test_what_streamed_looks_like_what_is_stored(
    panels: Panels, text: str, status: str
) -> None:
    _, followed = await panels.open()
    followed.say("send", message_id="m1", text=text)
    await followed.until(ended(status))

    _, reopened = await panels.open()

    assert without_times(reopened.picture) == without_times(followed.picture)
    assert len(reopened.picture["turns"][0]["items"]) >= 2


async def test_a_notice_stays_when_the_turn_ends(panels: Panels) -> None:
    _, page = await panels.open()

    page.say("send", message_id="m1", text="cut")

    turn = await page.until(ended("completed"))
    assert turn["items"][-1]["kind"] == "notice"
    assert turn["items"][-1]["level"] == "warning"


async def test_a_tool_call_shows_its_arguments_and_its_result(panels: Panels) -> None:
    _, page = await panels.open()

    page.say("send", message_id="m1", text="weather in Oslo")

    turn = await page.until(ended("completed"))
    [tool] = [item for item in turn["items"] if item["kind"] == "tool"]
    assert tool["name"] == "get_weather"
    assert "Oslo" in tool["arguments"]
    assert tool["result"].startswith("Oslo: ")
    assert not tool["failed"]


async def test_two_views_and_a_second_panel_show_the_same(panels: Panels) -> None:
    panel, first = await panels.open()
    first.say("send", message_id="m1", text="help")
    late = FrontEnd(comm_of(panel), reduce_chat)
    _, other = await panels.open()

    for page in (first, late, other):
        await page.until(ended("completed"))

    assert without_times(first.picture) == without_times(late.picture)
    assert without_times(first.picture) == without_times(other.picture)


async def test_a_lost_batch_in_the_middle_is_repaired(panels: Panels) -> None:
    _, page = await panels.open()
    page.lose = 1

    page.say("send", message_id="m1", text="slow")
    await page.until(lambda _: page.resyncs)
    await page.until(lambda picture: picture["turns"])
    page.say("stop", message_id="m1")

    await page.until(ended("cancelled"))
    assert page.resyncs == 1


async def test_a_lost_last_batch_is_found_by_the_next_ping(panels: Panels) -> None:
    panel, page = await panels.open("echo/c1")
    other = await look(panel)
    page.lose = 100

    page.say("send", message_id="m1", text="Hello")
    await other.until(ended("completed"))
    page.lose = 0
    page.say("ping")

    assert texts(await page.until(ended("completed"))) == "Echo: Hello"


async def test_stop_is_acknowledged_and_keeps_the_partial_text(panels: Panels) -> None:
    _, page = await panels.open("gated/c1")
    page.say("send", message_id="m1", text="go")
    await page.until(lambda picture: picture["turns"] and texts(picture["turns"][0]))

    page.say("stop", message_id="m1")

    turn = await page.until(ended("cancelled"))
    assert texts(turn) == "partial"
    batches = [one["changes"] for one in page.messages if one["type"] == "batch"]
    told = [change.get("set", {}).get("status") for one in batches for change in one]
    assert "stopping" in told


async def test_a_waiting_message_can_be_withdrawn(panels: Panels) -> None:
    _, page = await panels.open("gated/c1")
    page.say("send", message_id="m1", text="first")
    page.say("send", message_id="m2", text="second")
    await page.until(ended("waiting", turn=1))

    page.say("stop", message_id="m2")

    await page.until(ended("cancelled", turn=1))
    assert page.picture["turns"][0]["status"] == "running"
    page.say("stop", message_id="m1")
    await page.until(ended("cancelled", turn=0))


async def test_retry_sends_the_same_message_as_a_new_request(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open()
    page.say("send", message_id="m1", text="fail")
    failed = await page.until(ended("failed"))

    page.say("retry", turn="m1")
    page.say("retry", turn="m1")

    again = await page.until(ended("failed", turn=1))
    assert failed["error"]["message"]
    assert again["id"] == "m1~2"
    assert texts(again, "user") == "fail"
    view = await runtime.read_actor(ActorId("scripted", "c1"))
    assert view.turns[1].metadata["retry_of"] == "m1"


async def test_a_turn_that_is_no_longer_kept_can_be_retried(
    panels: Panels, client: InProcessActorClient
) -> None:
    for number in range(52):
        message = {"role": "user", "content": str(number)}
        handle = await client.send_request(
            ActorId("echo", "long"), "run", {"messages": [message]}, f"m{number}"
        )
        await handle.get_response()
    _, page = await panels.open("echo/long")

    page.say("retry", turn="m0")

    turn = await page.until(lambda picture: _turn_of(picture, "m0~2", "completed"))
    assert texts(turn, "user") == "0"
    assert turn["retry_of"] == "m0"


def _turn_of(picture: Picture, message_id: str, status: str) -> Any:
    for turn in picture["turns"]:
        if turn["id"] == message_id and turn["status"] == status:
            return turn
    return None


@pytest.mark.parametrize(
    ("decision", "words"),
    [("once", "not really, this is a demo"), ("deny", "I leave it")],
)
async def test_an_approval_is_asked_and_answered(
    panels: Panels,
    decision: str,
    words: str,
) -> None:
    _, page = await panels.open()
    page.say("send", message_id="m1", text="delete a.txt")
    asked = await page.until(ended("completed"))
    [request] = [item for item in asked["items"] if item["kind"] == "approval"]

    page.say("answer", turn="m1", request_id=request["id"], decision=decision)

    turn = await page.until(ended("completed", turn=1))
    assert words in texts(turn)
    [tool] = [item for item in turn["items"] if item["kind"] == "tool"]
    assert tool["name"] == "delete_file"
    assert (tool["denied"], tool["failed"]) == (decision == "deny", False)
    [answered] = [
        item for item in page.picture["turns"][0]["items"] if item["kind"] == "approval"
    ]
    assert answered["answer"] == ("denied" if decision == "deny" else "once")


async def test_the_answer_to_an_approval_is_the_frameworks_own(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open()
    page.say("send", message_id="m1", text="delete a.txt")
    asked = await page.until(ended("completed"))
    request = asked["items"][-1]
    page.say("answer", turn="m1", request_id=request["id"], decision="once")
    await page.until(ended("completed", turn=1))

    view = await runtime.read_actor(ActorId("scripted", "c1"))

    [response] = view.turns[1].params["messages"][0]["contents"]
    asked_for = [
        content
        for entry in view.turns[0].entries
        for content in entry["contents"]
        if content["type"] == "function_approval_request"
    ]
    own = Content.from_dict(asked_for[0]).to_function_approval_response(approved=True)
    assert response == own.to_dict()


async def test_a_refused_message_is_told_with_its_reason(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open("nobody/c1")

    page.say("send", message_id="m1", text="Hello?")

    refused = await page.heard("refused")
    assert refused["message_id"] == "m1"
    assert refused["error"]["type"] == "UnknownActorType"
    assert "nobody" in refused["error"]["message"]


async def test_a_message_that_is_too_long_is_refused_and_not_cut(
    panels: Panels,
) -> None:
    _, page = await panels.open("echo/c1")

    page.say("send", message_id="m1", text="x" * 1_000_001)

    refused = await page.heard("refused")
    assert "1,000,001 characters" in refused["error"]["message"]
    assert page.picture["turns"] == []


async def test_an_answer_that_comes_second_leaves_the_question_answered(
    panels: Panels,
) -> None:
    panel, page = await panels.open()
    page.say("send", message_id="m1", text="delete notes.txt")
    asked = await page.until(ended("completed"))
    [request] = [item for item in asked["items"] if item["kind"] == "approval"]
    turn = panel._transcript.turn("m1")
    assert turn is not None
    page.say("answer", turn="m1", request_id=request["id"], decision="once")
    await page.until(ended("completed", 1))

    # As a panel does in which somebody had decided before it saw this answer.
    turn.answer(request["id"], "denied", None, lambda _: None)
    await panel._requests.answer(panel.actor_id, turn)

    assert (await page.heard("refused"))["error"]["type"] == "MessageIdReused"
    assert turn.open_approvals == []


async def test_a_message_sent_again_is_answered_once(panels: Panels) -> None:
    _, page = await panels.open("echo/c1")

    page.say("send", message_id="m1", text="Hello")
    page.say("send", message_id="m1", text="Hello")
    page.say("send", message_id="m2", text="Bye")

    await page.until(ended("completed", turn=1))
    assert [turn["id"] for turn in page.picture["turns"]] == ["m1", "m2"]


async def test_the_panel_starts_with_fifty_turns_and_has_the_earlier_ones(
    panels: Panels, client: InProcessActorClient
) -> None:
    for number in range(53):
        message = {"role": "user", "content": str(number)}
        handle = await client.send_request(
            ActorId("echo", "long"), "run", {"messages": [message]}
        )
        await handle.get_response()
    _, page = await panels.open("echo/long")

    page.say("earlier", before=page.picture["turns"][0]["position"])

    answer = await page.heard("page")
    assert len(page.picture["turns"]) == 50
    assert page.picture["more"]
    assert [texts(turn, "user") for turn in answer["turns"]] == ["0", "1", "2"]
    assert not answer["more"]


async def test_a_conversation_can_be_begun_listed_and_switched_to(
    panels: Panels,
) -> None:
    panel, page = await panels.open(
        "echo/c1", new_conversation=lambda: ActorId("echo", "c2")
    )
    page.say("send", message_id="m1", text="Hello")
    await page.until(ended("completed"))

    page.say("new")
    await page.until(lambda picture: picture["instance_id"] == "c2")
    begun = list(page.picture["turns"])
    page.say("list")
    listed = await page.heard("conversations")
    page.say("switch", instance_id="c1")
    await page.until(ended("completed"))

    assert begun == []
    assert [item["instance_id"] for item in listed["items"]] == ["c1"]
    assert panel.actor_id == ActorId("echo", "c1")


async def test_a_message_goes_to_the_conversation_that_it_was_written_in(
    panels: Panels, client: InProcessActorClient
) -> None:
    _, page = await panels.open("echo/c1")
    page.say("switch", instance_id="c2")

    page.say("send", message_id="m1", instance_id="c1", text="Hello")

    await page.until(lambda picture: picture["instance_id"] == "c2")
    handle = await client.get_response(ActorId("echo", "c1"), "m1")
    assert (await handle.get_response()).status == "completed"
    assert page.picture["turns"] == []
