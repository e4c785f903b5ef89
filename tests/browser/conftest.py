"""A JupyterLab for the session, a browser for each module, a page for each test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Request,
    WebSocket,
    expect,
    sync_playwright,
)

from tests.browser.jupyter_server import FrontEnd, JupyterServer
from tests.browser.lab_page import PATIENCE, LabPage, write_notebook
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


# Notebook 7.6 says so of itself, with or without widgets.
_KNOWN_COMPLAINTS = (
    "TypeError: Cannot read properties of undefined (reading 'schema')",
    "Error: Command 'filebrowser:open-path' not registered.",
)


class OpenNotebook(Protocol):
    def __call__(
        self,
        *cells: str,
        name: str = "work",
        height: int = 1000,
        scale: float = 1,
        front_end: FrontEnd = "lab",
    ) -> LabPage: ...


class Witness:
    """What a browser asked for and complained about."""

    def __init__(self, context: BrowserContext) -> None:
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self._complain(str(error.error.stack)))
        context.on("page", lambda page: page.on("websocket", self._on_websocket))

    def _on_request(self, request: Request) -> None:
        self._note(request.url)

    def _on_websocket(self, socket: WebSocket) -> None:
        self._note(socket.url)

    def _note(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.hosts.add(urlsplit(url).hostname or url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            url = message.location["url"]
            self._complain(f"{message.text} ({url})")

    def _complain(self, line: str) -> None:
        if not line.startswith(_KNOWN_COMPLAINTS):
            self.complaints.append(line)


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


# Playwright occupies the thread's event loop, so it ends before other tests begin.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A headless Chromium."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def notebook_folder(server: JupyterServer, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own in JupyterLab, with copies of the notebooks."""
    folder = server.root / request.node.name / "notebooks"
    shutil.copytree(NOTEBOOKS, folder, ignore=shutil.ignore_patterns(".*"))
    return folder


@pytest.fixture
def open_notebook(
    browser: Browser, server: JupyterServer, notebook_folder: Path
) -> Iterator[OpenNotebook]:
    """Opens a notebook of these cells; without any, the quick start.

    Afterwards nothing may have left this machine, and no script complained.
    """
    contexts: list[BrowserContext] = []
    witnesses: list[Witness] = []

    def open_notebook(
        *cells: str,
        name: str = "work",
        height: int = 1000,
        scale: float = 1,
        front_end: FrontEnd = "lab",
    ) -> LabPage:
        context = browser.new_context(
            viewport={"width": 1280, "height": height}, device_scale_factor=scale
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        witnesses.append(Witness(context))
        path = notebook_folder / "01_quickstart.ipynb"
        if cells:
            path = notebook_folder / f"{name}.ipynb"
            write_notebook(path, *cells)
        notebook = path.relative_to(server.root).as_posix()
        address = server.address(notebook, front_end)
        lab = LabPage(context.new_page(), address)
        lab.open()
        return lab

    yield open_notebook
    for context in contexts:
        context.close()
    server.end_kernels()
    assert {host for witness in witnesses for host in witness.hosts} == {"127.0.0.1"}
    complaints = [line for witness in witnesses for line in witness.complaints]
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: the folder that AGENT_RUNTIME_SCREENSHOTS names."""
    named = os.environ.get(SCREENSHOTS)
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
