"""Tools and approvals, before and after the kernel was restarted."""

import pytest
from playwright.sync_api import expect

from tests.browser.cells import WORKER, WORKER_CHAT
from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_a_tool_call_shows_its_name_its_arguments_and_its_result(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()

    panel.ask("weather in Oslo")
    tool = panel.last.get_by_test_id("tool")
    expect(tool).to_have_attribute("data-state", "done")
    tool.locator("summary").click()

    expect(tool).to_contain_text("get_weather")
    expect(tool).to_contain_text('"city": "Oslo"')
    expect(tool).to_contain_text("Oslo: ")


def test_an_approval_is_still_asked_after_a_restart_and_runs_the_tool_once(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    panel.ask("delete first.txt")
    panel.root.get_by_test_id("approve").click()
    panel.expect_turns("completed", "completed")
    expect(panel.answer(1)).to_contain_text("first.txt is deleted")
    panel.ask("delete second.txt")

    lab.restart_kernel()
    lab.run()
    approve = panel.root.get_by_test_id("approve")
    expect(approve).to_be_visible()
    expect(panel.root.get_by_test_id("approval").last).to_contain_text("second.txt")
    approve.click()

    panel.expect_turns(*["completed"] * 4)
    expect(panel.last.get_by_test_id("answer")).to_contain_text("second.txt is deleted")
    expect(approve).to_have_count(0)


def test_what_is_denied_is_not_done_and_the_agent_reads_why(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    panel.ask("delete notes.txt")

    panel.root.get_by_test_id("deny").click()
    panel.root.get_by_test_id("deny-reason").fill("I still need it.")
    panel.root.get_by_test_id("deny-send").click()
    panel.expect_turns("completed", "completed")

    expect(panel.turns.first).to_contain_text("I still need it.")
    expect(panel.last.get_by_test_id("tool")).to_contain_text("I still need it.")
    expect(panel.last.get_by_test_id("answer").last).to_contain_text("I leave it")
    expect(panel.root).not_to_contain_text("notes.txt is deleted")


def test_a_tool_that_was_allowed_for_the_conversation_asks_no_more_in_it(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    panel.ask("delete first.txt")

    panel.root.get_by_test_id("approve-conversation").click()
    panel.expect_turns("completed", "completed")
    panel.ask("delete second.txt")

    expect(panel.last.get_by_test_id("approval")).to_have_count(0)
    answer = panel.last.get_by_test_id("answer").last
    expect(answer).to_contain_text("second.txt is deleted")
    panel.root.get_by_test_id("menu-button").click()
    panel.root.get_by_test_id("new-conversation").click()
    expect(panel.turns).to_have_count(0)
    panel.ask("delete third.txt")
    expect(panel.root.get_by_test_id("approve")).to_be_visible()
