"""The main journeys in Notebook 7."""

import pytest
from playwright.sync_api import expect

from tests.browser.cells import CHAT, START, WHOLE, WORKER, WORKER_CHAT
from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_send_stream_tool_approval_and_stop_work_in_notebook_7(
    open_notebook: OpenNotebook,
) -> None:
    notebook = open_notebook(WORKER, WORKER_CHAT, front_end="notebook")
    notebook.run()
    panel = notebook.panel()

    panel.ask("weather in Oslo")
    expect(panel.last.get_by_test_id("tool")).to_have_attribute("data-state", "done")
    panel.ask("delete notes.txt")
    panel.root.get_by_test_id("approve").click()
    panel.expect_turns("completed", "completed", "completed")
    expect(panel.answer(2)).to_contain_text("notes.txt is deleted")
    panel.say("count")
    panel.expect_words(5)
    panel.composer.press("Escape")

    panel.expect_turns("completed", "completed", "completed", "cancelled")
    assert panel.answers()[-1].startswith("1 2 3")


def test_a_conversation_survives_reload_and_restart_in_notebook_7(
    open_notebook: OpenNotebook,
) -> None:
    notebook = open_notebook(START, CHAT, front_end="notebook")
    notebook.run()
    notebook.save()
    notebook.panel().say("count")
    notebook.panel().expect_words(5)

    notebook.reload()
    notebook.panel().expect_words(10)
    notebook.execute("gate.set()")
    notebook.panel().expect_turns("completed")
    notebook.restart_kernel()
    notebook.run()
    panel = notebook.panel()
    panel.expect_turns("completed")
    panel.ask("hello")

    assert panel.answers() == [f"Answer 1: {WHOLE}", "Hello 2."]
