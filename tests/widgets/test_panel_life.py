"""How a panel lives: threads, tasks, leases, and what is left in a saved notebook."""

import asyncio
import threading
from typing import Any

import pytest
from anywidget import AnyWidget

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.widgets.channel import MessageBudget
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel
from tests.widgets.panels import Panels, comm_of, ended, look, texts


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

    assert repr(panel) == "ChatPanel('echo/c1', 1 turn)"
    assert data["text/plain"].startswith("Conversation echo/c1 · 1 turn · last: ")
    assert panel.to_markdown() == "**Parrot · c1**\n\n> Hello\n\nEcho: Hello\n"
    assert "<p>Echo: Hello</p>" in data["text/html"]
    assert "Echo: Hello" in data["text/markdown"]
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
    own = {"snapshot", "mark", "_esm", "_css", "_anywidget_id"}
    assert set(names) - inherited == own


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


async def test_a_stopped_runtime_is_said_once_and_asked_no_more(
    panels: Panels,
    runtime: InProcessActorRuntime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    panel, page = await panels.open("echo/c1")
    following = panel._following
    assert following is not None

    await runtime.stop(drain=0)
    await page.until(lambda picture: picture["phase"] == "stopped")
    await asyncio.wait([following], timeout=5)
    page.say("ping")
    again = await _next_following(panel, following)
    await asyncio.wait([again], timeout=5)

    told = [one for one in page.messages if one["type"] == "batch"]
    assert following.done()
    assert again.done()
    assert len(told) == 1
    assert caplog.records == []


async def _next_following(panel: ChatPanel, before: object) -> asyncio.Task[None]:
    async with asyncio.timeout(5):
        while (following := panel._following) is before or following is None:
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    return following


async def test_a_panel_that_has_not_looked_yet_does_not_claim_to_be_empty(
    panels: Panels,
) -> None:
    panel = panels.panel("echo/c1")

    assert repr(panel) == "ChatPanel('echo/c1')"


async def test_a_panel_of_an_empty_conversation_says_so(panels: Panels) -> None:
    panel, _ = await panels.open("echo/c1")

    assert repr(panel) == "ChatPanel('echo/c1', no turns yet)"
