"""The chat panel over a real runtime, driven through its comm."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from agent_framework import Content
from anywidget import AnyWidget

from agent_runtime_nb._client import InProcessActorClient
from agent_runtime_nb.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.widgets._channel import MessageBudget
from agent_runtime_nb.widgets.chat_panel import ChatPanel
from tests.widgets.front_end import FakeComm, FrontEnd, Picture, reduce_chat


class Panels:
    """Makes panels with a front end each."""

    def __init__(
        self, client: InProcessActorClient, runtime: InProcessActorRuntime
    ) -> None:
        self.client = client
        self.runtime = runtime
        self.made: list[ChatPanel] = []

    def panel(self, actor: str = "scripted/c1", **options: Any) -> ChatPanel:
        actor_id = ActorId.parse(actor)
        panel = ChatPanel(
            self.client, self.runtime, actor_id, comm=FakeComm(), **options
        )
        self.made.append(panel)
        return panel

    async def open(
        self, actor: str = "scripted/c1", **options: Any
    ) -> tuple[ChatPanel, FrontEnd]:
        panel = self.panel(actor, **options)
        return panel, await look(panel)


def comm_of(panel: ChatPanel) -> FakeComm:
    comm = panel.comm
    assert isinstance(comm, FakeComm)
    return comm


async def look(panel: ChatPanel) -> FrontEnd:
    front_end = FrontEnd(comm_of(panel), reduce_chat)
    await front_end.until(lambda picture: picture["phase"] == "live")
    return front_end


@pytest.fixture
def panels(
    client: InProcessActorClient, runtime: InProcessActorRuntime
) -> Iterator[Panels]:
    panels = Panels(client, runtime)
    yield panels
    for panel in panels.made:
        panel.close()


def ended(status: str, turn: int = -1) -> Any:
    """Whether a turn has ended with a status."""

    def holds(picture: Picture) -> Any:
        turns = picture["turns"]
        there = len(turns) > turn
        return there and turns and turns[turn]["status"] == status and turns[turn]

    return holds


def texts(turn: Any, kind: str = "text") -> str:
    return "".join(item["text"] for item in turn["items"] if item["kind"] == kind)


def without_times(picture: Picture) -> Any:
    times = ("started_at", "duration")
    return [
        {key: value for key, value in turn.items() if key not in times}
        for turn in picture["turns"]
    ]


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

    page.say("retry", turn="m1", message_id="m2")

    again = await page.until(ended("failed", turn=1))
    assert failed["error"]["message"]
    assert again["id"] == "m2"
    assert texts(again, "user") == "fail"
    view = await runtime.read_actor(ActorId("scripted", "c1"))
    assert view.turns[1].metadata["retry_of"] == "m1"


@pytest.mark.parametrize(
    ("approved", "words"), [(True, "not really, this is a demo"), (False, "I leave it")]
)
async def test_an_approval_is_asked_and_answered(
    panels: Panels,
    approved: bool,  # noqa: FBT001 - a case of the table
    words: str,
) -> None:
    _, page = await panels.open()
    page.say("send", message_id="m1", text="delete a.txt")
    asked = await page.until(ended("completed"))
    [request] = [item for item in asked["items"] if item["kind"] == "approval"]

    page.say("answer", turn="m1", request_id=request["id"], approved=approved)

    turn = await page.until(ended("completed", turn=1))
    assert words in texts(turn)
    assert [item["name"] for item in turn["items"] if item["kind"] == "tool"] == [
        "delete_file"
    ]
    [answered] = [
        item for item in page.picture["turns"][0]["items"] if item["kind"] == "approval"
    ]
    assert answered["answer"] is approved


async def test_the_answer_to_an_approval_is_the_frameworks_own(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open()
    page.say("send", message_id="m1", text="delete a.txt")
    asked = await page.until(ended("completed"))
    request = asked["items"][-1]
    page.say("answer", turn="m1", request_id=request["id"], approved=True)
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


async def test_a_handler_on_a_foreign_thread_hands_over_to_the_home_loop(
    panels: Panels,
) -> None:
    _, page = await panels.open("echo/c1")
    say = threading.Thread(
        target=lambda: page.say("send", message_id="m1", text="from elsewhere")
    )

    say.start()

    assert texts(await page.until(ended("completed"))) == "Echo: from elsewhere"
    say.join()


async def test_a_closed_panel_has_no_tasks_and_leaves_the_turn_alone(
    panels: Panels, client: InProcessActorClient
) -> None:
    panel, page = await panels.open()
    page.say("send", message_id="m1", text="think")
    await page.until(lambda picture: picture["turns"])
    following = panel._following
    assert following is not None

    panel.close()
    await asyncio.wait([following], timeout=5)

    assert following.cancelled()
    handle = await client.get_response(ActorId("scripted", "c1"), "m1")
    assert (await handle.get_response()).status == "completed"


async def test_a_panel_that_nobody_looks_at_stops_watching_and_comes_back(
    panels: Panels,
) -> None:
    panel = panels.panel("echo/c1", lease=0.4)
    first = await look(panel)
    following = panel._following
    assert following is not None
    first.say("send", message_id="m1", text="Hello")
    await asyncio.wait([following], timeout=5)
    watching = panel._following

    again = await look(panel)

    assert following.cancelled()
    assert watching is None
    assert texts(await again.until(ended("completed"))) == "Echo: Hello"


async def test_a_panel_that_was_never_displayed_has_no_task(panels: Panels) -> None:
    panel = panels.panel()

    await asyncio.get_running_loop().run_in_executor(None, lambda: None)

    assert len(panel._owner) == 0


async def test_a_fast_answer_is_sent_in_few_messages(panels: Panels) -> None:
    budget = MessageBudget(per_second=100)
    _, page = await panels.open(budget=budget)

    page.say("send", message_id="m1", text="help")

    turn = await page.until(ended("completed"))
    batches = [one for one in page.messages if one["type"] == "batch"]
    assert len(texts(turn).split()) > 60
    assert len(batches) <= 10


async def test_the_saved_output_can_be_read_without_widgets(panels: Panels) -> None:
    panel, page = await panels.open("echo/c1", title="Parrot")
    page.say("send", message_id="m1", text="Hello")
    await page.until(ended("completed"))

    data, _ = panel._repr_mimebundle_()

    assert data["text/plain"] == "ChatPanel('echo/c1', 1 turn)"
    assert data["text/markdown"] == ("**Parrot · c1**\n\n> Hello\n\nEcho: Hello\n")
    assert "application/vnd.jupyter.widget-view+json" in data


async def test_a_front_end_cannot_change_what_the_kernel_knows(panels: Panels) -> None:
    panel, page = await panels.open("echo/c1")
    page.say("send", message_id="m1", text="Hello")
    await page.until(ended("completed"))

    comm_of(panel).deliver(
        {"method": "update", "state": {"snapshot": {"turns": []}}, "buffer_paths": []}
    )

    assert len(panel.channel.snapshot()["turns"]) == 1


async def test_only_the_picture_and_the_bundle_are_in_the_saved_state(
    panels: Panels,
) -> None:
    inherited: set[str] = set(AnyWidget.class_traits(sync=True))

    panel, _ = await panels.open("echo/c1")

    names: list[str] = list(panel.traits(sync=True))
    assert set(names) - inherited == {"snapshot", "_esm", "_css", "_anywidget_id"}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "ping",
        {"type": "send"},
        {"type": "switch", "instance_id": ""},
        {"type": "earlier", "before": "x"},
        {"type": "unheard-of"},
    ],
)
async def test_a_message_of_the_wrong_shape_does_no_harm(
    panels: Panels, content: Any
) -> None:
    panel, page = await panels.open("echo/c1")

    comm_of(panel).deliver({"method": "custom", "content": content})
    page.say("send", message_id="m1", text="Hello")

    await page.until(ended("completed"))


async def test_a_runtime_that_stops_is_said_in_the_panel(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open("echo/c1")

    await runtime.stop(drain=0)

    await page.until(lambda picture: picture["phase"] == "offline")
    assert page.picture["detail"]
