"""A notebook in a JupyterLab of its own, in a headless browser, as in Binder."""

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright

from benchmarks.panel.relay import Relay, relay_to
from tests.browser.jupyter_server import JupyterServer
from tests.browser.lab_page import PATIENCE, LabPage, write_notebook
from tools.chromium import NO_CHROMIUM, find_chromium

_FLAGS = ["--no-sandbox", "--disable-gpu"]
_BINDER = Path(__file__).parents[2] / "binder"


@contextmanager
def open_notebook(
    *cells: str, prepare: Callable[[Page], object] = lambda _page: None
) -> Generator[tuple[LabPage, Relay]]:
    """A notebook of these cells, none of which has run, and the way to its server.

    `prepare` is given the page before it loads anything.

    Raises:
        RuntimeError: if there is no Chromium.
    """
    chromium = find_chromium()
    if chromium is None:
        raise RuntimeError(NO_CHROMIUM)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = JupyterServer(Path(folder) / "jupyter", config=_BINDER)
        port = urlsplit(server.url).port or 0
        try:
            write_notebook(server.root / "work.ipynb", *cells)
            browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            page.set_default_timeout(PATIENCE)
            prepare(page)
            with relay_to(port) as relay:
                address = server.address("work.ipynb")
                lab = LabPage(page, address.replace(f":{port}/", f":{relay.port}/", 1))
                lab.open()
                yield lab, relay
                browser.close()
        finally:
            server.stop()
