"""Stop and approvals that land while a cell blocks the kernel, and what is said if not.

How long each took, from the click to what the person sees, is in the log.
"""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.blocked_kernel import (
    COUNTER,
    ON_THE_NOTEBOOKS_LOOP,
    SCRIPTED,
    SERVE,
    START,
    Press,
    block_the_kernel,
    click,
    lands_at_once,
    stop_while_blocked,
    wait_for_side_channel,
)
from tests.browser.conftest import OpenNotebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_stop_lands_within_a_second_while_a_cell_sleeps(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(START, COUNTER, SERVE)
    lab.run()
    panel = lab.panel()
    wait_for_side_channel(lab, panel, "open")

    what = "Stop during a blocking cell, straight to the server"
    assert lands_at_once(lab, lambda: stop_while_blocked(lab, panel, what))
    expect(panel.last).to_have_attribute("data-status", "cancelled")
    expect(panel.root.get_by_test_id("delivery-note")).to_have_count(0)
    lab.save()  # the notebooks that are saved are looked through for tickets


def test_an_approval_lands_within_a_second_while_a_cell_sleeps(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(START, SCRIPTED, SERVE)
    lab.run()
    panel = lab.panel()
    wait_for_side_channel(lab, panel, "open")

    def approve() -> Press:
        panel.ask("delete notes.txt")
        block_the_kernel(lab)
        return click(
            panel,
            panel.root.get_by_test_id("approve"),
            f"[data-testid=turn]:nth-of-type({panel.turns.count() + 1})",
            "an approval during a blocking cell",
        )

    assert lands_at_once(lab, approve)
    expect(panel.last).to_have_attribute("data-status", "completed")
    expect(panel.last).to_contain_text("notes.txt is deleted")


def test_without_a_server_the_panel_names_the_kernels_interrupt_and_that_helps(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    lab = open_notebook(START, COUNTER)
    lab.run()
    panel = lab.panel()
    wait_for_side_channel(lab, panel, "closed")
    panel.say("count")
    panel.expect_words(10)

    block_the_kernel(lab)
    panel.root.get_by_test_id("stop").click()
    reason = panel.root.get_by_test_id("delivery-note")
    expect(reason).to_contain_text("Interrupt")
    expect(reason).to_contain_text("rt.serve()")
    expect(panel.last).to_have_attribute("data-status", "running")
    lab.page.screenshot(path=screenshots / "held_up.png")
    lab.command("kernelmenu:interrupt")

    panel.expect_turns("cancelled")
    expect(reason).to_have_count(0)


def test_on_the_notebooks_own_loop_the_panel_names_the_interrupt_and_the_setting(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(ON_THE_NOTEBOOKS_LOOP, COUNTER, SERVE)
    lab.run()
    panel = lab.panel()
    wait_for_side_channel(lab, panel, "closed")
    panel.say("count")
    panel.expect_words(10)

    block_the_kernel(lab)
    panel.root.get_by_test_id("stop").click()
    reason = panel.root.get_by_test_id("delivery-note")

    expect(reason).to_contain_text("Interrupt")
    expect(reason).to_contain_text('loop="thread"')
    lab.command("kernelmenu:interrupt")
    panel.expect_turns("cancelled")


def test_the_side_channel_opens_and_closes_with_the_server_and_a_reload_finds_it(
    open_notebook: OpenNotebook,
) -> None:
    # A page may be asking the server whether it is there while that ends.
    lab = open_notebook(START, COUNTER, alone=True, takes_away="/tickets/hello")
    lab.run()
    panel = lab.panel()
    wait_for_side_channel(lab, panel, "closed")

    lab.execute(SERVE)
    wait_for_side_channel(lab, panel, "open")
    lab.save()
    lab.reload()
    wait_for_side_channel(lab, lab.panel(), "open")
    lab.execute("server.stop()")

    wait_for_side_channel(lab, lab.panel(), "closed")
