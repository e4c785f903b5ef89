"""Many conversations in one panel: the menu, branches, and what can be taken away."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.cells import WORKER, WORKER_CHAT
from tests.browser.conftest import OpenNotebook
from tests.browser.lab_page import ChatPanel

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def choose(panel: ChatPanel, name: str) -> None:
    """Open the menu, if it is not open, and take one of its items."""
    if panel.root.get_by_test_id("menu").count() == 0:
        panel.root.get_by_test_id("menu-button").click()
    panel.root.get_by_test_id(name).click()


def give_name(panel: ChatPanel, name: str) -> None:
    """Give the conversation that is shown a name."""
    choose(panel, "rename")
    box = panel.root.get_by_test_id("rename-input")
    box.fill(name)
    box.press("Enter")
    expect(panel.root.get_by_test_id("conversation")).to_have_text(name)


def find(panel: ChatPanel, words: str) -> Locator:
    """The conversations that the list finds."""
    panel.root.get_by_test_id("conversations").click()
    panel.root.get_by_test_id("conversation-search").fill(words)
    return panel.root.get_by_test_id("conversation-item")


# Whether what is seen at the middle of an element is the element.
_ON_TOP = """
(element) => {
  const { x, y, width, height } = element.getBoundingClientRect();
  const seen = document.elementFromPoint(x + width / 2, y + height / 2);
  return element.contains(seen);
}
"""

_SCROLLS = """
(element) => {
  const output = element.closest(".jp-OutputArea-output");
  return output.scrollHeight > output.clientHeight + 1;
}
"""


def test_the_menu_of_an_empty_panel_is_not_cut_off(open_notebook: OpenNotebook) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    panel.root.scroll_into_view_if_needed()

    panel.root.get_by_test_id("menu-button").click()
    items = panel.root.get_by_role("menuitem").all()

    assert len(items) >= 9
    hidden = [item.inner_text() for item in items if not item.evaluate(_ON_TOP)]
    assert hidden == []
    assert not panel.root.evaluate(_SCROLLS)


def test_a_conversation_gets_a_name_and_is_found_by_it(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    panel.ask("weather in Oslo")
    give_name(panel, "Trip to Oslo")
    choose(panel, "new-conversation")
    expect(panel.turns).to_have_count(0)
    panel.ask("weather in Rome")
    give_name(panel, "Roman holiday")

    found = find(panel, "oSLO")
    expect(found).to_have_count(1)
    found.click()

    expect(panel.root.get_by_test_id("conversation")).to_have_text("Trip to Oslo")
    panel.expect_turns("completed")
    assert panel.questions() == ["weather in Oslo"]


def test_a_deleted_conversation_is_gone_for_good(open_notebook: OpenNotebook) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    panel.ask("weather in Oslo")

    choose(panel, "delete")
    panel.root.get_by_test_id("delete-confirm").click()
    expect(panel.turns).to_have_count(0)
    known = lab.execute(
        "page = await rt.directory.list_conversations('worker')\n"
        "print([info.actor_id.instance_id for info in page.items])"
    )

    assert known.strip() == "[]"
    panel.ask("weather in Rome")
    assert panel.questions() == ["weather in Rome"]


def test_a_conversation_is_exported_as_markdown_json_and_notebook(
    open_notebook: OpenNotebook, tmp_path: Path
) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    panel.ask("weather in Oslo")
    texts: dict[str, str] = {}

    for kind in ("markdown", "json", "notebook"):
        with lab.page.expect_download() as download:
            choose(panel, f"export-{kind}")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        texts[path.suffix] = path.read_text(encoding="utf-8")

    assert set(texts) == {".md", ".json", ".ipynb"}
    assert "weather in Oslo" in texts[".md"]
    assert json.loads(texts[".json"])["turns"][0]["status"] == "completed"
    assert json.loads(texts[".ipynb"])["nbformat"] == 4


def test_an_edited_message_makes_a_branch_and_the_old_one_stays(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(WORKER, WORKER_CHAT)
    lab.run()
    panel = lab.panel()
    panel.ask("weather in Oslo")
    panel.ask("weather in Rome")

    edit(panel, 1, "weather in Lima")
    panel.expect_turns("completed", "completed")
    expect(panel.answer(1).last).to_contain_text("Lima")
    assert panel.questions() == ["weather in Oslo", "weather in Lima"]
    expect(panel.root).not_to_contain_text("Rome")
    panel.root.get_by_test_id("branch-previous").click()
    expect(panel.answer(1).last).to_contain_text("Rome")
    assert panel.questions() == ["weather in Oslo", "weather in Rome"]
    panel.root.get_by_test_id("branch-next").click()

    expect(panel.answer(1).last).to_contain_text("Lima")
    panel.ask("think")
    assert len(panel.questions()) == 3


def edit(panel: ChatPanel, index: int, text: str) -> None:
    """Change one of the person's messages and send it again."""
    turn = panel.turns.nth(index)
    turn.hover()
    turn.get_by_test_id("edit").click()
    box = panel.root.get_by_test_id("edit-input")
    box.fill(text)
    box.press("Enter")
