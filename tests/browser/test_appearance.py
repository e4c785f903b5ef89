"""What it looks like: every part readable in both themes, and the README's picture."""

from pathlib import Path

import pytest
from playwright.sync_api import FloatRect, expect

from tests.browser.cells import BOARD, DEMO, PANEL_AND_BOARD
from tests.browser.conftest import OpenNotebook
from tests.browser.contrast import contrasts
from tests.browser.lab_page import Board, LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# WCAG 2.2, level AA, for text of any size.
READABLE = 4.5


def test_every_part_of_a_conversation_can_be_read_in_both_themes(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    lab = open_notebook(DEMO, PANEL_AND_BOARD, height=2300)
    lab.run()
    panel = lab.panel()

    for message in ("What is the weather in Paris?", "think", "fail", "help"):
        panel.ask(message)
    panel.ask("delete notes.txt")
    panel.root.get_by_test_id("approve").click()
    expect(panel.answer(5)).to_contain_text("notes.txt is deleted")
    panel.ask("delete more.txt")
    expect(panel.root.get_by_test_id("approve")).to_be_visible()

    for details in ("tool", "reasoning", "failure"):
        panel.root.get_by_test_id(details).first.locator("summary").click()

    # The board's style sheet comes later and must not undo the panel's.
    paragraph = panel.answer(3).locator("p").first
    expect(paragraph).to_have_css("margin-bottom", "10px")
    assert unreadable(lab) == {}
    lab.page.screenshot(path=screenshots / "light.png")
    try:
        lab.use_theme("JupyterLab Dark")
        assert unreadable(lab) == {}
        lab.page.screenshot(path=screenshots / "dark.png")
    finally:
        lab.use_theme("JupyterLab Light")


def unreadable(lab: LabPage) -> dict[str, float]:
    measured = {**contrasts(lab.panel().root), **contrasts(lab.board().root)}
    assert len(measured) > 20
    return {name: ratio for name, ratio in measured.items() if ratio < READABLE}


def test_panel_and_board_fit_a_window_and_make_the_readmes_picture(
    open_notebook: OpenNotebook, screenshots: Path
) -> None:
    cells = (DEMO.strip(), 'rt.chat("scripted")', BOARD)
    lab = open_notebook(*cells, name="demo", height=1300, scale=2)
    lab.collapse_side_bar()
    lab.run()
    panel, board, actor = lab.panel(), lab.board(), "scripted/demo"
    for name in ("ada", "grace", "ada", "grace", "ada", "ada"):
        lab.execute(f'await rt.ask("echo", "I am {name}.", conversation="{name}")')
    panel.ask("What is the weather in Paris?")
    panel.say("Tell me about actors, slow please")
    panel.expect_words(50)

    expect(board.row(actor)).to_have_attribute("data-activity", "running")
    for view in (panel.root, board.root):
        expect(view).to_be_in_viewport(ratio=1)
    picture = screenshots / "chat-panel.png"
    lab.page.screenshot(path=picture, clip=notebook_down_to(board))


def notebook_down_to(board: Board) -> FloatRect:
    """The part of the window from the notebook's tab to the board's lower edge."""
    outer = board.root.page.locator("#jp-main-dock-panel").bounding_box()
    inner = board.root.bounding_box()
    assert outer is not None
    assert inner is not None
    return {**outer, "height": inner["y"] + inner["height"] + 14 - outer["y"]}
