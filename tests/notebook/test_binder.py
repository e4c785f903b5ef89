"""What a Jupyter Server does with the settings that Binder starts it with."""

import json
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.jupyter_server import JupyterServer

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]

_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Extensions": "permessage-deflate",
}


def test_what_a_kernel_says_is_compressed_in_binder(tmp_path: Path) -> None:
    started = subprocess.run(
        [str(ROOT / "binder/start"), "printenv", "JUPYTER_CONFIG_PATH"],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "REPO_DIR": str(ROOT)},
    )

    server = JupyterServer(tmp_path / "jupyter", config=Path(started.stdout.strip()))
    try:
        agreed = _agreed_extensions(server.address("any.ipynb"))
    finally:
        server.stop()

    assert agreed.startswith("permessage-deflate")


def _agreed_extensions(address: str) -> str:
    """What a kernel's connection agrees upon; the kernel ends with its server."""
    url = urlsplit(address)
    token = parse_qs(url.query)["token"][0]
    headers = {"Authorization": f"token {token}"}
    connection = HTTPConnection(url.hostname or "", url.port or 0, timeout=60)
    try:
        connection.request("POST", "/api/kernels", headers=headers)
        kernel = json.load(connection.getresponse())["id"]
        path = f"/api/kernels/{kernel}/channels"
        connection.request("GET", path, headers={**headers, **_UPGRADE})
        answer = connection.getresponse()
        assert answer.status == 101
        return answer.headers.get("Sec-WebSocket-Extensions", "")
    finally:
        connection.close()
