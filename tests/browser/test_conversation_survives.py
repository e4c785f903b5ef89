"""A conversation outlives its views, the page and the kernel."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.cells import BOARD, CHAT, SECOND_CHAT, START, WHOLE
from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

OPEN_THE_GATE = "gate.set()"


def test_a_second_panel_shows_the_same_at_the_same_time(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(START, CHAT, SECOND_CHAT)
    lab.run()
    one, other = lab.panel(0), lab.panel(1)

    one.say("count")
    other.expect_words(10)
    expect(other.last).to_have_attribute("data-status", "running")
    other.root.get_by_test_id("stop").click()
    one.expect_turns("cancelled")
    other.expect_turns("cancelled")
    other.say("hello")
    one.expect_turns("cancelled", "completed")
    other.expect_turns("cancelled", "completed")

    assert one.questions() == other.questions() == ["count", "hello"]
    assert one.answers() == other.answers()
    assert one.answers()[1] == "Hello 2."


def test_a_page_reloaded_in_the_middle_of_an_answer_shows_all_of_it_once(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(START, CHAT, alone=True)
    lab.run()
    lab.save()

    lab.panel().say("count")
    lab.panel().expect_words(10)
    lab.reload()
    panel = lab.panel()
    expect(panel.last).to_have_attribute("data-status", "running")
    panel.expect_words(60)
    lab.execute(OPEN_THE_GATE)
    panel.expect_turns("completed")

    assert panel.questions() == ["count"]
    assert panel.answers() == [f"Answer 1: {WHOLE}"]


def test_a_restarted_kernel_has_every_turn_once_and_in_order(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    lab = open_notebook(START, CHAT, BOARD)
    lab.run()
    panel = lab.panel()
    lab.execute(OPEN_THE_GATE)
    panel.say("count")
    panel.expect_turns("completed")
    panel.say("hello")
    panel.expect_turns("completed", "completed")

    lab.restart_kernel()
    expect(panel.root.get_by_test_id("banner")).to_contain_text("Run the start cell")
    assert panel.questions() == ["count", "hello"]
    lab.page.screenshot(path=screenshots / "kernel_gone.png")
    lab.run()

    panel.expect_turns("completed", "completed")
    assert panel.questions() == ["count", "hello"]
    assert panel.answers() == [f"Answer 1: {WHOLE}", "Hello 2."]
    panel.say("again")
    panel.expect_turns("completed", "completed", "completed")
    assert panel.answers()[2] == "Hello 3."
    expect(lab.board().cell("counter/work", "turns")).to_have_text("3")
    lab.page.screenshot(path=screenshots / "restarted.png")


def test_a_turn_that_a_dead_kernel_leaves_behind_is_marked_and_can_be_run_again(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    lab = open_notebook(START, CHAT, BOARD)
    lab.run()
    panel = lab.panel()
    panel.say("hello")
    panel.expect_turns("completed")
    panel.say("count")
    panel.expect_words(60)  # later than the first checkpoint

    lab.kill_kernel()
    lab.run()

    panel.expect_turns("completed", "interrupted")
    expect(panel.last.get_by_test_id("mark")).to_contain_text("Interrupted")
    assert panel.answers()[0] == "Hello 1."
    assert panel.answers()[1].startswith("Answer 2: 1 2 3")
    lab.page.screenshot(path=screenshots / "interrupted.png")
    lab.execute(OPEN_THE_GATE)
    panel.last.get_by_test_id("retry").click()
    panel.expect_turns("completed", "interrupted", "completed")
    expect(panel.last.get_by_test_id("answer")).to_have_text(f"Answer 2: {WHOLE}")
    # What was left behind is folded, and there for who wants to see it.
    earlier = panel.root.get_by_test_id("earlier-try")
    expect(earlier).to_contain_text("interrupted")
    earlier.locator("summary").first.click()
    expect(earlier.get_by_test_id("answer")).to_contain_text("Answer 2: 1 2 3")
    lab.page.screenshot(path=screenshots / "run_again.png")
