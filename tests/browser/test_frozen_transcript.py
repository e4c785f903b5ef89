"""What was said stays readable: in the saved notebook, without a kernel, elsewhere."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.cells import DEMO
from tests.browser.conftest import OpenNotebook
from tests.browser.jupyter_server import FrontEnd, JupyterServer
from tests.browser.lab_page import PATIENCE, LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

OpenSaved: TypeAlias = Callable[[LabPage, Path], LabPage]

VIEW = "application/vnd.jupyter.widget-view+json"
CHAT = 'panel = rt.chat("echo")\npanel'
KEPT_CHAT = 'panel = rt.chat("echo", freeze="turn")\npanel'
SAID = "Echo: What is **bold** here?"


def stored_outputs(path: Path, index: int) -> list[Any]:
    """The outputs of a cell as they are in the file."""
    return json.loads(path.read_text())["cells"][index]["outputs"]


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value)


def as_page(notebook: Path) -> str:
    """The notebook as nbconvert makes a page of it."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(notebook)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return notebook.with_suffix(".html").read_text()


@pytest.fixture
def reader(browser: Browser, server: JupyterServer) -> Iterator[OpenSaved]:
    """Opens a notebook that was saved, in a browser that has not seen it before.

    Its kernel knows nothing of the one that is gone. JupyterLab complains that a view
    has no model, so nobody listens to complaints here.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(PATIENCE)

    def open_saved(lab: LabPage, path: Path) -> LabPage:
        lab.save()
        lab.close_notebooks()
        server.end_kernels()
        address = server.address(path.relative_to(server.root).as_posix())
        saved = LabPage(context.new_page(), address)
        saved.open()
        return saved

    yield open_saved
    context.close()


def test_a_frozen_panel_is_read_without_a_kernel_and_on_a_page(
    open_notebook: OpenNotebook,
    reader: OpenSaved,
    notebook_folder: Path,
    screenshots: Path,
) -> None:
    lab = open_notebook(DEMO + "token = rt.serve().token", CHAT)
    lab.run()
    panel = lab.panel()
    panel.ask("What is **bold** here?")
    token = lab.execute("print(token)").strip()

    lab.execute("await panel.freeze()")

    expect(panel.root).to_have_count(0)
    output = lab.page.locator(".jp-RenderedHTML")
    expect(output).to_contain_text("Frozen at")
    expect(output.locator("strong", has_text="bold")).to_be_visible()
    path = notebook_folder / "work.ipynb"
    saved = reader(lab, path)
    output = saved.page.locator(".jp-RenderedHTML")
    expect(output).to_contain_text("Echo: What is bold here?")
    saved.page.screenshot(path=screenshots / "frozen_light.png")
    saved.use_theme("JupyterLab Dark")
    saved.page.screenshot(path=screenshots / "frozen_dark.png")
    saved.use_theme("JupyterLab Light")
    assert token
    assert token not in path.read_text()
    page = as_page(path)
    assert "Echo: What is <strong>bold</strong> here?" in page


def test_freezing_from_the_menu_message_works_after_the_page_was_loaded_again(
    open_notebook: OpenNotebook,
) -> None:
    lab = open_notebook(DEMO, CHAT, alone=True)
    lab.run()
    lab.panel().ask("Hello")
    lab.save()
    lab.reload()
    lab.panel().expect_turns("completed")

    lab.execute("panel._receive({'type': 'freeze'})")

    expect(lab.page.get_by_test_id("chat-panel")).to_have_count(0)
    expect(lab.page.locator(".jp-RenderedHTML")).to_contain_text("Echo: Hello")


def test_after_each_turn_the_file_has_the_answer_and_nobody_is_disturbed(
    open_notebook: OpenNotebook,
    reader: OpenSaved,
    notebook_folder: Path,
    screenshots: Path,
) -> None:
    lab = open_notebook(DEMO, KEPT_CHAT)
    lab.run()
    path = notebook_folder / "work.ipynb"
    panel = lab.panel()
    panel.ask("What is **bold** here?")
    panel.composer.fill("a draft")
    panel.composer.evaluate("(box) => { box.dataset.same = 'yes' }")
    copy = lab.page.locator(".jp-RenderedHTML")

    expect(copy).to_contain_text("What is bold here?")

    expect(copy).to_be_hidden()
    expect(panel.composer).to_be_focused()
    expect(panel.composer).to_have_value("a draft")
    expect(panel.composer).to_have_attribute("data-same", "yes")
    lab.page.screenshot(path=screenshots / "kept_live.png")
    lab.save()
    live, kept = stored_outputs(path, 1)
    assert set(live["data"]) == {VIEW, "text/plain"}
    for kind in ("text/html", "text/markdown", "text/plain"):
        assert "bold" in text_of(kept["data"][kind])
    assert SAID in text_of(kept["data"]["text/plain"])
    saved = reader(lab, path)
    copy = saved.page.locator(".jp-RenderedHTML")
    expect(copy).to_be_visible()
    expect(copy).to_contain_text("Echo: What is bold here?")
    saved.page.screenshot(path=screenshots / "kept_without_kernel.png")
    assert "Echo: What is <strong>bold</strong> here?" in as_page(path)


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_the_copy_is_current_also_after_the_page_was_loaded_again(
    open_notebook: OpenNotebook, notebook_folder: Path, front_end: FrontEnd
) -> None:
    lab = open_notebook(DEMO, KEPT_CHAT, front_end=front_end, alone=True)
    lab.run()
    lab.panel().ask("first")
    copy = lab.page.locator(".jp-RenderedHTML")
    expect(copy).to_contain_text("Echo: first")
    lab.save()
    lab.reload()
    panel = lab.panel()
    panel.expect_turns("completed")
    expect(copy).to_be_hidden()

    panel.ask("second")

    expect(copy).to_contain_text("Echo: second")
    expect(copy).to_be_hidden()
    expect(panel.composer).to_be_focused()
    lab.save()
    _, kept = stored_outputs(notebook_folder / "work.ipynb", 1)
    assert "Echo: second" in text_of(kept["data"]["text/plain"])


def test_without_a_freeze_a_dead_kernel_leaves_nothing_and_the_file_says_so(
    open_notebook: OpenNotebook, notebook_folder: Path
) -> None:
    lab = open_notebook(DEMO, CHAT)
    lab.run()
    lab.panel().ask("Hello")

    lab.kill_kernel()
    lab.save()

    page = as_page(notebook_folder / "work.ipynb")
    assert "Nothing of it is kept here. Run the cell again to go on." in page
    assert "Echo: Hello" not in page
