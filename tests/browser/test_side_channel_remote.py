"""Stop on another machine, while a cell blocks the kernel: through Jupyter's proxy.

In a browser of its own, which resolves names in its own way.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Playwright

from tests.browser.blocked_kernel import (
    COUNTER,
    START,
    lands_at_once,
    stop_while_blocked,
    wait_for_side_channel,
)
from tests.browser.jupyter_server import JupyterServer
from tests.browser.lab_page import PATIENCE, LabPage, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

REMOTE = "notebook.test"


@pytest.fixture
def remote(
    chromium: str, playwright: Playwright, tmp_path: Path
) -> Iterator[tuple[Browser, JupyterServer]]:
    """A Jupyter server whose page has another name than this machine's."""
    (tmp_path / "more").mkdir()
    allowed = {"ServerApp": {"allow_remote_access": True}}
    config = tmp_path / "more" / "jupyter_server_config.json"
    config.write_text(json.dumps(allowed))
    server = JupyterServer(tmp_path / "jupyter", config.parent)
    rules = f"MAP {REMOTE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    try:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", f"--host-resolver-rules={rules}"],
        )
        yield browser, server
        browser.close()
    finally:
        server.stop()


def test_on_another_machine_stop_works_through_jupyters_proxy(
    remote: tuple[Browser, JupyterServer],
) -> None:
    browser, server = remote
    name = f"{REMOTE}:{urlsplit(server.url).port}"
    serve = f'server = rt.serve(allowed_hosts=["{name}"])'
    write_notebook(server.root / "work.ipynb", START, COUNTER, serve)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    address = server.address("work.ipynb").replace("127.0.0.1", REMOTE, 1)
    lab = LabPage(page, address)
    lab.open()
    lab.run("start")
    lab.run("chat")
    panel = lab.panel()
    wait_for_side_channel(lab, panel, "closed")
    lab.run("serve")
    wait_for_side_channel(lab, panel, "open")

    what = "Stop during a blocking cell, through Jupyter's proxy"
    assert lands_at_once(lab, lambda: stop_while_blocked(lab, panel, what))
    taken = [url for url in asked if "/tickets/" in url]
    assert taken
    assert all(f"{name}/proxy/" in url for url in taken)
    server.end_kernels()
