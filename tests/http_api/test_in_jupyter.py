"""The embedded server in a kernel of a real Jupyter server, through its proxy."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.browser.jupyter_server import JupyterServer

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(180)]

SERVE = """
import json, signal
import agent_runtime_nb as arn
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
rt = arn.start(arn.EchoAgent(), arn.scripted_agent(delay=0.05), storage="memory:")
server = rt.serve()
after = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
print(json.dumps([server.url, server.token, server.proxied_path, before == after]))
"""
# It must not wait for its loop: that is what it holds up, until it is released.
BLOCKED = """
import pathlib, time
while not pathlib.Path({!r}).exists():
    time.sleep(0.02)
"""
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


class Kernel:
    """A kernel that Jupyter Server has started, and a client of it."""

    def __init__(self, jupyter: JupyterServer, runtime: Path) -> None:
        self._jupyter = jupyter
        made = json.loads(jupyter._request("api/kernels", "POST"))
        self._id = made["id"]
        self._client = BlockingKernelClient()
        self._client.load_connection_file(str(runtime / f"kernel-{self._id}.json"))
        self._client.start_channels()
        self._client.wait_for_ready(60)

    def run(self, code: str) -> tuple[str, list[dict[str, Any]]]:
        """What a cell prints, and its rich outputs."""
        said: list[str] = []
        shown: list[dict[str, Any]] = []

        def note(message: dict[str, Any]) -> None:
            content = message["content"]
            assert message["msg_type"] != "error", content["traceback"]
            said.append(content.get("text", ""))
            if "data" in content:
                shown.append(content["data"])

        self._client.execute_interactive(code, timeout=60, output_hook=note)
        return "".join(said), shown

    def start(self, code: str) -> None:
        """Begin a cell."""
        self._client.execute(code)

    def shut_down(self) -> float:
        """The seconds that Jupyter needs to shut it down."""
        self._client.stop_channels()
        started = time.monotonic()
        self._jupyter._request(f"api/kernels/{self._id}", "DELETE")
        return time.monotonic() - started


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    server = JupyterServer(tmp_path_factory.mktemp("jupyter"))
    # It says its address a moment before it listens.
    patient = httpx2.HTTPTransport(retries=8)
    with httpx2.Client(transport=patient, trust_env=False) as http:
        http.get(server.url + "api")
    yield server
    server.stop()


@pytest.fixture
def kernel(jupyter: JupyterServer) -> Iterator[Kernel]:
    made = Kernel(jupyter, jupyter.root.parent / "runtime")
    yield made
    made.shut_down()


class Served:
    """The output of `rt.serve()`, and the server's URL through Jupyter."""

    def __init__(self, jupyter: JupyterServer, kernel: Kernel) -> None:
        said, _ = kernel.run(SERVE)
        self.url, self.token, self.proxied, self.signals_kept = json.loads(said)
        self.http = httpx2.Client(
            base_url=jupyter.url.rstrip("/") + self.proxied,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
            trust_env=False,
        )
        # A browser that has the notebook open has Jupyter's cookie.
        self.http.get(f"{jupyter.url}lab?token={jupyter._token}")


@pytest.fixture
def served(jupyter: JupyterServer, kernel: Kernel) -> Iterator[Served]:
    found = Served(jupyter, kernel)
    yield found
    found.http.close()


def test_everything_works_through_the_proxy_streams_too(served: Served):
    docs = served.http.get("/docs")
    described = served.http.get("/openapi.json")
    assets = re.findall(r'(?:src|href)="(docs/[^"]+)"', docs.text)
    answer = served.http.post("/agents/echo/run", json=HELLO)
    later = served.http.post(
        "/agents/echo/run", json=HELLO, headers={"Prefer": "respond-async"}
    )
    arrived: list[float] = []
    with served.http.stream(
        "POST",
        "/agents/scripted/run",
        json={"messages": [{"role": "user", "content": "weather in Paris"}]},
        headers={"Accept": "text/event-stream"},
    ) as stream:
        text = ""
        for chunk in stream.iter_text():
            arrived.append(time.monotonic())
            text += chunk

    assert docs.status_code == described.status_code == 200
    assert len(assets) == 2
    assert {served.http.get(f"/{one}").status_code for one in assets} == {200}
    assert answer.json()["messages"][0]["content"] == "Echo: Hello"
    assert later.status_code == 202
    # With the prefix, so that a browser finds it as it stands.
    assert later.headers["location"].startswith(served.proxied + "/agents/echo/")
    assert "event: response" in text
    assert len(arrived) > 3, "the proxy has collected the stream"
    assert served.signals_kept


def test_the_proxy_does_not_open_it_without_the_token(served: Served):
    answer = served.http.get("/agents", headers={"Authorization": ""})

    assert answer.status_code == 401


def test_running_the_cell_again_gives_the_same_server(served: Served, kernel: Kernel):
    said, _ = kernel.run(SERVE)

    assert json.loads(said)[:2] == [served.url, served.token]


def test_the_repr_shows_the_url_through_the_proxy_and_a_saved_notebook_no_token(
    served: Served, kernel: Kernel, tmp_path: Path
):
    _, shown = kernel.run("server")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "server",
                outputs=[
                    nbformat.v4.new_output("execute_result", data) for data in shown
                ],
            )
        ]
    )
    saved = tmp_path / "saved.ipynb"
    nbformat.write(notebook, saved)

    text = saved.read_text()
    assert f"{served.proxied}/docs" in text
    assert "curl" in text
    assert served.token not in text


def test_while_a_cell_blocks_the_loop_health_answers_and_a_run_waits(
    served: Served, kernel: Kernel, tmp_path: Path
):
    end_of_cell = tmp_path / "end"
    with httpx2.Client(
        base_url=served.url,
        headers={"Authorization": f"Bearer {served.token}"},
        timeout=30,
        trust_env=False,
    ) as http:
        kernel.start(BLOCKED.format(str(end_of_cell)))
        health = http.get("/health")
        while health.json()["status"] == "ok":  # the cell has not begun yet
            health = http.get("/health")
        with ThreadPoolExecutor(1) as side:
            run = side.submit(http.post, "/agents/echo/run", json=HELLO)
            meanwhile = [http.get("/health").json()["status"] for _ in range(5)]
            answered_early = run.done()
            end_of_cell.touch()
            answer = run.result()

    assert {health.json()["status"], *meanwhile} <= {"blocked", "degraded"}
    assert not answered_early
    assert answer.json()["messages"][0]["content"] == "Echo: Hello"


def test_a_kernel_with_open_streams_shuts_down_within_five_seconds(
    jupyter: JupyterServer,
):
    kernel = Kernel(jupyter, jupyter.root.parent / "runtime")
    served = Served(jupyter, kernel)
    slow = {"messages": [{"role": "user", "content": "slow"}], "stream": True}
    with (
        served.http.stream(
            "POST", f"{served.url}/agents/scripted/run", json=slow
        ) as first,
        served.http.stream(
            "POST",
            f"{served.url}/agents/scripted/run",
            json={**slow, "conversation_id": "c2"},
        ) as second,
    ):
        assert first.status_code == second.status_code == 200

        seconds = kernel.shut_down()

    served.http.close()
    assert seconds < 5
