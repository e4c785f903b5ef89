"""Browser windows with JupyterLab in them, and witnesses of what happens there."""

from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Request,
    WebError,
    WebSocket,
)

from tests.browser.complaints import is_jupyters_own
from tests.browser.jupyter_server import FrontEnd, JupyterServer
from tests.browser.lab_page import PATIENCE, LabPage

WIDTH = 1280


class Witness:
    """What a browser asked for and complained about."""

    def __init__(self, context: BrowserContext) -> None:
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
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

    def _on_error(self, thrown: WebError) -> None:
        # TranscriptCopy that were thrown have no stack.
        self._complain(thrown.error.stack or thrown.error.message)

    def _complain(self, complaint: str) -> None:
        if not is_jupyters_own(complaint):
            self.complaints.append(complaint)


class Window:
    """A window of a browser that has stored nothing yet, and its witness."""

    def __init__(self, browser: Browser, height: int, scale: float = 1) -> None:
        self._context = browser.new_context(
            viewport={"width": WIDTH, "height": height}, device_scale_factor=scale
        )
        self._context.set_default_timeout(PATIENCE)
        self.witness = Witness(self._context)
        self.page = self._context.new_page()

    def close(self) -> None:
        """Close it and forget what it has stored."""
        self._context.close()


class Windows:
    """Opens notebooks; one after the other in the same JupyterLab where that will do.

    JupyterLab takes seconds to load, and a notebook in it tenths of a second.
    """

    def __init__(self, browser: Browser, server: JupyterServer) -> None:
        self._browser = browser
        self._server = server
        self._shared: Window | None = None
        self._own: list[Window] = []

    def open_in_lab(self, notebook: str, height: int) -> LabPage:
        """Open a notebook in the JupyterLab that there is."""
        address = self._server.address(notebook)
        if self._shared is None:
            self._shared = Window(self._browser, height)
            lab = LabPage(self._shared.page, address)
            lab.open()
            return lab
        self._shared.page.set_viewport_size({"width": WIDTH, "height": height})
        lab = LabPage(self._shared.page, address)
        lab.open_beside(notebook)
        return lab

    def open_alone(
        self, notebook: str, height: int, scale: float, front_end: FrontEnd
    ) -> LabPage:
        """Load a front end for one notebook, in a window of its own."""
        window = Window(self._browser, height, scale)
        self._own.append(window)
        lab = LabPage(window.page, self._server.address(notebook, front_end))
        lab.open()
        return lab

    def tidy_up(self, *, keep: bool) -> tuple[set[str], list[str]]:
        """Close all notebooks and end their kernels.

        Args:
            keep: whether the shared window may be used again.

        Returns:
            the hosts that were asked, and the complaints, since the last time.
        """
        witnesses = [window.witness for window in self._own]
        for window in self._own:
            window.close()
        self._own = []
        shared, self._shared = self._shared, None
        if shared is not None:
            witnesses.append(shared.witness)
            if keep:
                LabPage(shared.page, "").close_notebooks()
                self._shared = shared
            else:
                shared.close()
        self._server.end_kernels()
        hosts = {host for witness in witnesses for host in witness.hosts}
        complaints = [line for witness in witnesses for line in witness.complaints]
        for witness in witnesses:
            witness.complaints.clear()
        return hosts, complaints

    def close(self) -> None:
        """Close the shared window; the next notebook loads JupyterLab anew."""
        if self._shared is not None:
            self._shared.close()
        self._shared = None
