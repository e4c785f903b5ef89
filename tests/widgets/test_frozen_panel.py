"""A panel leaves its words in the notebook: on request, or after each turn."""

from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.widgets.chat_panel.frozen import read_transcript
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel
from agent_runtime_nb.widgets.displays import Displays
from tests.widgets.front_end import FrontEnd
from tests.widgets.panels import Panels, ended

VIEW = "application/vnd.jupyter.widget-view+json"


class Notebook:
    """Outputs by display id, as a front end keeps them."""

    def __init__(self) -> None:
        self.outputs: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.updates: list[str] = []
        self.cell: tuple[str | None, str | None] = ("cell", "first run")

    def publish(self, data: Any, metadata: Any, name: str, *, update: bool) -> None:
        assert update == (name in self.outputs)
        self.outputs[name] = dict(data)
        self.metadata[name] = dict(metadata)
        if update:
            self.updates.append(name)

    def place(self) -> tuple[str | None, str | None]:
        return self.cell

    @property
    def data(self) -> list[Any]:
        return list(self.outputs.values())


Shown = tuple[Notebook, ChatPanel, FrontEnd]


async def show(panels: Panels, **options: Any) -> Shown:
    notebook = Notebook()
    displays = Displays(notebook.publish, notebook.place)
    panel, page = await panels.open("echo/c1", displays=displays, settle=0, **options)
    panel._ipython_display_()
    return notebook, panel, page


async def say(page: FrontEnd, number: int, text: str) -> None:
    page.say("send", message_id=f"m{number}", text=text)
    await page.until(
        lambda picture: any(
            turn["id"] == f"m{number}" and turn["status"] == "completed"
            for turn in picture["turns"]
        )
    )


async def told(page: FrontEnd, holds: Callable[[Any], Any]) -> Any:
    def found(_picture: object) -> Any:
        return next((one for one in page.messages if holds(one)), None)

    return await page.until(found)


async def test_a_frozen_panel_is_the_whole_conversation_without_a_view(
    panels: Panels,
) -> None:
    notebook, panel, page = await show(panels)
    for number in range(59):  # more than a page of the panel
        page.say("send", message_id=f"m{number}", text=f"word{number}.")
    await say(page, 59, "word59.")

    await panel.freeze()

    (frozen,) = notebook.data
    assert set(frozen) == {"text/html", "text/markdown", "text/plain"}
    for form in frozen.values():
        assert "Frozen at " in form
        assert "Run the cell again to go on." in form
        assert all(f"Echo: word{number}." in form for number in range(60))


async def test_a_long_conversation_is_read_in_pages_until_enough_was_said(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    _, page = await panels.open("echo/c1")
    for number in range(29):
        page.say("send", message_id=f"m{number}", text="word")
    await say(page, 29, "word")
    actor_id = ActorId("echo", "c1")

    whole = await read_transcript(runtime, actor_id, "Parrot", page=7)
    newest = await read_transcript(runtime, actor_id, "Parrot", page=7, largest=1)

    ids = [f"m{number}" for number in range(30)]
    assert ([turn["id"] for turn in whole.turns], whole.more) == (ids, False)
    assert ([turn["id"] for turn in newest.turns], newest.more) == (ids[-7:], True)


async def test_freezing_from_the_menu_is_answered(panels: Panels) -> None:
    notebook, _, page = await show(panels)
    await say(page, 1, "Hello")

    page.say("freeze")

    done = await page.heard("done")
    assert done == {"type": "done", "what": "freeze", "instance_id": "c1"}
    assert "Echo: Hello" in notebook.data[0]["text/plain"]
    assert VIEW not in notebook.data[0]


async def test_a_read_only_panel_may_be_frozen(panels: Panels) -> None:
    notebook, _, page = await show(panels, read_only=True)

    page.say("freeze")

    await page.heard("done")
    assert "Frozen at" in notebook.data[0]["text/plain"]


async def test_a_panel_in_another_widget_says_that_it_has_no_output(
    panels: Panels,
) -> None:
    panel, page = await panels.open("echo/c1")

    page.say("freeze")

    refused = await page.heard("refused")
    assert "has no output of its own" in refused["error"]["message"]
    with pytest.raises(InvalidRequest, match="display the panel itself"):
        await panel.freeze()


async def test_what_is_shown_is_frozen_when_the_runtime_is_gone(
    panels: Panels, runtime: InProcessActorRuntime
) -> None:
    notebook, panel, page = await show(panels)
    await say(page, 1, "Hello")
    await runtime.stop(drain=0)

    await panel.freeze()

    assert "Echo: Hello" in notebook.data[0]["text/plain"]


async def test_after_each_turn_the_copy_has_it_and_the_live_output_is_left_alone(
    panels: Panels,
) -> None:
    notebook, panel, page = await show(panels, freeze="turn")
    live, copy = notebook.outputs

    await say(page, 1, "Hello")
    await told(page, lambda one: "Echo: Hello" in notebook.outputs[copy]["text/html"])

    assert set(notebook.outputs[live]) == {VIEW, "text/plain"}
    assert set(notebook.updates) == {copy}
    assert (
        f'class="tex2jax_ignore mathjax_ignore {panel.mark}"'
        in (notebook.outputs[copy]["text/html"])
    )


async def test_without_being_asked_nothing_is_written(panels: Panels) -> None:
    notebook, _, page = await show(panels)

    await say(page, 1, "Hello")
    page.say("ping")
    await page.heard("pong")

    assert notebook.updates == []


async def test_a_page_that_missed_an_update_gets_it_when_it_asks(
    panels: Panels,
) -> None:
    notebook, panel, page = await show(panels, freeze="turn")
    await say(page, 1, "Hello")
    newest = await told(page, lambda one: one["type"] == "saved" and one["revision"])

    page.say("saved_data")

    data = await page.heard("saved_data")
    assert newest["model_id"] == panel.model_id
    assert newest["frozen"] is False
    assert data["metadata"]["agent_runtime_nb"]["copy"] == panel.mark
    assert "live" not in data
    assert data["copy"] in notebook.data


async def test_a_frozen_output_stays_as_it_is(panels: Panels) -> None:
    notebook, panel, page = await show(panels, freeze="turn")
    await say(page, 1, "Hello")
    await panel.freeze()
    live, copy = map(dict, notebook.data)
    count = len(notebook.updates)

    await say(page, 2, "Again")
    panel._transcript_changed()
    keeping = panel._keeping
    assert keeping is not None
    await keeping

    assert "Frozen at" in live["text/html"]
    assert "Echo: Hello" in copy["text/html"]
    assert VIEW not in live
    assert (notebook.data, len(notebook.updates)) == ([live, copy], count)


async def test_a_panel_in_two_cells_is_frozen_in_both_and_not_where_a_cell_ran_again(
    panels: Panels,
) -> None:
    notebook, panel, _ = await show(panels)
    notebook.cell = ("cell", "second run")
    panel._ipython_display_()
    panel._ipython_display_()
    notebook.cell = ("other", "only run")
    panel._ipython_display_()

    await panel.freeze()

    assert [VIEW in data for data in notebook.data] == [True, False, False, False]


async def test_another_conversation_is_kept_when_it_is_shown(panels: Panels) -> None:
    notebook, _, page = await show(panels, freeze="turn")
    await say(page, 1, "Hello")

    page.say("switch", instance_id="c2")
    await page.until(lambda picture: picture["instance_id"] == "c2")
    await told(page, lambda _: "echo · c2" in notebook.data[1]["text/plain"])

    assert "Hello" not in notebook.data[1]["text/plain"]


async def test_a_panel_that_has_not_looked_yet_says_that_nothing_is_kept(
    panels: Panels,
) -> None:
    notebook = Notebook()
    panel = panels.panel("echo/c1", displays=Displays(notebook.publish, notebook.place))

    panel._ipython_display_()

    (shown,) = notebook.data
    assert "Nothing of it is kept here." in shown["text/html"]
    assert "Nothing was said" not in shown["text/html"]
    assert shown["text/plain"] == (
        "Conversation echo/c1 (rt.chat('echo', 'c1') to open)"
    )


async def test_freeze_has_two_values(panels: Panels) -> None:
    with pytest.raises(InvalidRequest, match='must be "never" or "turn"'):
        panels.panel(freeze="always")


async def test_a_turn_that_runs_is_kept_as_unfinished(panels: Panels) -> None:
    notebook, displays = Notebook(), Displays
    panel, page = await panels.open(
        "gated/c1", displays=displays(notebook.publish, notebook.place)
    )
    panel._ipython_display_()
    page.say("send", message_id="m1", text="Hello")
    await page.until(ended("running"))

    await panel.freeze()

    assert "*Not finished yet*" in notebook.data[0]["text/plain"]
