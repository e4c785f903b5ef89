"""A notebook in a JupyterLab of its own, in a headless browser."""

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.jupyter_server import JupyterServer
from tests.browser.lab_page import PATIENCE, LabPage, write_notebook
from tools.chromium import NO_CHROMIUM, find_chromium

_FLAGS = ["--no-sandbox", "--disable-gpu"]


@contextmanager
def open_notebook(
    *cells: str, prepare: Callable[[Page], object] = lambda _page: None
) -> Generator[LabPage]:
    """A notebook of these cells, none of which has run.

    `prepare` is given the page before it loads anything.

    Raises:
        RuntimeError: if there is no Chromium.
    """
    chromium = find_chromium()
    if chromium is None:
        raise RuntimeError(NO_CHROMIUM)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = JupyterServer(Path(folder) / "jupyter")
        try:
            write_notebook(server.root / "work.ipynb", *cells)
            browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            page.set_default_timeout(PATIENCE)
            prepare(page)
            lab = LabPage(page, server.address("work.ipynb"))
            lab.open()
            yield lab
        finally:
            server.stop()
