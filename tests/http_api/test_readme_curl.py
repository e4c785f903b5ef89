"""The curl lines of the README and of the guide, by a real curl, as they stand."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime_nb.http_api.server import EmbeddedServer
from tests.http_api.served import ServedRuntime
from tests.http_api.test_main import serving

ROOT = Path(__file__).parents[2]
TOKEN = "sec" + "ret"  # as in the README

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl"),
]


def shell(script: str, **variables: str) -> str:
    done = subprocess.run(
        ["sh", "-e", "-c", script],  # noqa: S607 - whichever the machine has
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "NO_PROXY": "*", **variables},
    )
    return done.stdout


def blocks(page: str, heading: str) -> list[str]:
    """The shell blocks under a heading."""
    text = (ROOT / page).read_text(encoding="utf-8")
    part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", part, re.DOTALL)


def curl_of_readme(address: str) -> str:
    script = blocks("README.md", "Over HTTP")[0]
    return script[script.index("curl") :].replace("localhost:8000", address)


@pytest.fixture
def embedded(served: ServedRuntime) -> Iterator[EmbeddedServer]:
    with_token = EmbeddedServer(served.client, served.runtime, token=TOKEN).start()
    yield with_token
    with_token.stop()


def test_the_readmes_line_works_on_the_embedded_server(embedded: EmbeddedServer):
    answer = json.loads(shell(curl_of_readme(embedded.url.removeprefix("http://"))))

    assert answer["messages"][0]["content"] == "Echo: Hello"
    assert answer["conversation_id"] == "http-echo"


def test_the_readmes_line_works_on_the_command(tmp_path: Path):
    with serving("--token", TOKEN, "--storage", "memory:", cwd=tmp_path) as running:
        line = curl_of_readme(running.url.removeprefix("http://"))
        streamed = line.replace("curl -s", 'curl -s -N -H "Accept: text/event-stream"')

        answer = json.loads(shell(line))
        events = shell(streamed)
        running.stop()

    assert answer["messages"][0]["content"] == "Echo: Hello"
    assert "event: response" in events


def guide(embedded: EmbeddedServer, heading: str, **more: str) -> list[str]:
    """What each command under a heading of the guide prints."""
    script = blocks("docs/http.md", heading)[0].replace("\\\n", " ")
    auth = f"Authorization: Bearer {embedded.token}"
    lines = [line for line in script.splitlines() if line.startswith("curl")]
    return [shell(line, URL=embedded.url, AUTH=auth, **more) for line in lines]


def test_the_guide_streams_and_goes_on_after_a_cut(embedded: EmbeddedServer):
    whole, rest = guide(embedded, "Stream, and go on after a cut")

    assert "id: 2\n" in whole
    assert rest.split("\n\n", 1)[1] in whole
    assert "id: 2\n" not in rest
    assert "event: response" in rest


def test_the_guide_talks_and_works_in_the_background(embedded: EmbeddedServer):
    (answer,) = guide(embedded, "Talk")
    accepted, _, cancelled = guide(embedded, "In the background")

    assert "Echo: Hello" in answer
    assert accepted.startswith("HTTP/1.1 202")
    assert "cancelled" in cancelled


def test_the_guide_approves_a_tool_call(embedded: EmbeddedServer):
    asked, *_ = guide_first(embedded)
    approval_id = json.loads(asked)["approvals"][0]["approval_id"]
    url, auth = embedded.url, f"Authorization: Bearer {embedded.token}"
    *_, decide = blocks("docs/http.md", "Approve a tool call")[0].strip().splitlines()

    answer = json.loads(shell(decide, URL=url, AUTH=auth, ID=approval_id))

    assert answer["status"] == "completed"
    assert "deleted" in answer["messages"][-1]["content"].lower()


def guide_first(embedded: EmbeddedServer) -> list[str]:
    script = blocks("docs/http.md", "Approve a tool call")[0].replace("\\\n", " ")
    auth = f"Authorization: Bearer {embedded.token}"
    lines = script.splitlines()[:2]
    return [shell(line, URL=embedded.url, AUTH=auth) for line in lines]
