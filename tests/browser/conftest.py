"""A Jupyter server, a browser, and notebooks in its windows."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.browser.jupyter_server import FrontEnd, JupyterServer
from tests.browser.lab_page import PATIENCE, LabPage, write_notebook
from tests.browser.windows import Windows
from tools.chromium import NO_CHROMIUM, find_chromium

SCREENSHOTS = "AGENT_RUNTIME_SCREENSHOTS"
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

_FLAGS = [
    "--no-sandbox",  # containers run tests as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # What leaves the machine fails, and is seen.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


class OpenNotebook(Protocol):
    def __call__(
        self,
        *cells: str,
        name: str = "work",
        height: int = 1000,
        scale: float = 1,
        front_end: FrontEnd = "lab",
        alone: bool = False,
        takes_away: str = "",
    ) -> LabPage: ...


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path."""
    path = find_chromium()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_CHROMIUM)
        pytest.skip(NO_CHROMIUM)
    return path


@pytest.fixture(scope="session")
def server(
    chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    """JupyterLab; not started if there is no browser to look at it."""
    server = JupyterServer(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Starts browsers.

    It occupies the thread's event loop until the last test of this package: none of
    them is asynchronous, and other tests begin after it.
    """
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(chromium: str, playwright: Playwright) -> Iterator[Browser]:
    """A headless Chromium."""
    browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def windows(browser: Browser, server: JupyterServer) -> Iterator[Windows]:
    """Where notebooks are opened."""
    windows = Windows(browser, server)
    yield windows
    windows.close()


@pytest.fixture
def notebook_folder(server: JupyterServer, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own in JupyterLab, with copies of the notebooks."""
    folder = server.root / request.node.name / "notebooks"
    shutil.copytree(NOTEBOOKS, folder, ignore=shutil.ignore_patterns(".*"))
    return folder


@pytest.fixture
def open_notebook(
    windows: Windows,
    server: JupyterServer,
    notebook_folder: Path,
    request: pytest.FixtureRequest,
) -> Iterator[OpenNotebook]:
    """Opens a notebook of these cells; without any, the quick start.

    Most tests do so in one JupyterLab, one after the other, which saves its loading;
    those that load the page again, or look at it in another way, are `alone`.
    Afterwards nothing may have left this machine, and no script complained, except
    about the address, or a part of it, that the test itself takes away.
    """
    gone: list[str] = []

    def open_notebook(
        *cells: str,
        name: str = "work",
        height: int = 1000,
        scale: float = 1,
        front_end: FrontEnd = "lab",
        alone: bool = False,
        takes_away: str = "",
    ) -> LabPage:
        gone.extend([takes_away] if takes_away else [])
        path = notebook_folder / "01_quickstart.ipynb"
        if cells:
            path = notebook_folder / f"{name}.ipynb"
            write_notebook(path, *cells)
        notebook = path.relative_to(server.root).as_posix()
        if alone or scale != 1 or front_end != "lab":
            return windows.open_alone(notebook, height, scale, front_end)
        return windows.open_in_lab(notebook, height)

    failed = request.session.testsfailed
    yield open_notebook
    # Where a test was cut off anything may stand open.
    passed = request.session.testsfailed == failed
    hosts, all_complaints = windows.tidy_up(keep=passed)
    complaints = [
        line for line in all_complaints if not any(part in line for part in gone)
    ]
    assert hosts == {"127.0.0.1"}
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: the folder that AGENT_RUNTIME_SCREENSHOTS names."""
    named = os.environ.get(SCREENSHOTS)
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
