"""`python -m agent_runtime_nb.http_api`, as a person starts it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.process

COMMAND = [sys.executable, "-m", "agent_runtime_nb.http_api", "--port", "0"]


def environment() -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("AGENT_RUNTIME")}
    return {**plain, "PYTHONPATH": str(Path().absolute())}


class Running:
    """The process and what it printed until it served."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        assert process.stdout is not None
        while "Ctrl-C" not in self.text:  # pytest's timeout bounds it
            line = process.stdout.readline()
            assert line, (self.text, process.stderr and process.stderr.read())
            self.text += line
        found = re.search(r"http://[\d.]+:\d+", self.text)
        assert found is not None
        self.url = found[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out + err


@contextmanager
def serving(*arguments: str, cwd: Path, **variables: str) -> Generator[Running]:
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**environment(), **variables},
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def fails(*arguments: str, cwd: Path, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**environment(), **variables},
        timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


def said(answer: dict[str, Any]) -> str:
    return answer["messages"][0]["content"]


def test_the_printed_lines_work_as_they_stand_and_sigterm_stops_it(tmp_path: Path):
    with serving(cwd=tmp_path) as running:
        lines = re.findall(r"^(?:export|curl) .*$", running.text, re.MULTILINE)
        outputs = [
            subprocess.run(
                ["sh", "-c", f"{lines[0]}\n{line} -s -S --fail-with-body"],  # noqa: S607
                check=True,
                capture_output=True,
                text=True,
                timeout=30,
            ).stdout
            for line in lines[1:]
        ]
        code, rest = running.stop()

    agents, run, stream = outputs
    assert [one["name"] for one in json.loads(agents)["agents"]][:2] == [
        "echo",
        "mock-ai",
    ]
    assert said(json.loads(run)) == "Echo: Hello"
    assert "event: update" in stream
    assert "event: response" in stream
    assert (code, rest.strip()) == (0, "stopped")
    assert (tmp_path / ".agent_runtime" / "state.db").exists()


def test_a_conversation_is_still_there_after_a_restart(tmp_path: Path):
    storage = ("--storage", str(tmp_path / "kept.db"), "--no-token")
    path = "/agents/echo/conversations/c1/requests/k1"
    body = {
        "conversation_id": "c1",
        "messages": [{"role": "user", "content": "Hello"}],
    }

    with serving(*storage, cwd=tmp_path) as running:
        url = running.url + "/agents/echo/run"
        first = httpx2.post(url, json=body, headers={"Idempotency-Key": "k1"}).json()
        running.stop(signal.SIGINT)
    with serving(*storage, cwd=tmp_path) as running:
        again = httpx2.get(running.url + path).json()
        running.stop()

    assert said(first) == "Echo: Hello"
    assert again == first


def test_a_chosen_token_is_needed_and_never_printed(tmp_path: Path):
    token = "a-chosen-token"  # noqa: S105 - a test's
    in_memory = ("--storage", "memory:")

    with serving(*in_memory, cwd=tmp_path, AGENT_RUNTIME_TOKEN=token) as running:
        without = httpx2.get(running.url + "/agents")
        with_it = httpx2.get(
            running.url + "/agents", headers={"Authorization": f"Bearer {token}"}
        )
        _, rest = running.stop()

    assert without.status_code == 401
    assert with_it.status_code == 200
    assert token not in running.text + rest
    assert "export" not in running.text  # pasting it would set a wrong one
    assert "# with the token that you have chosen" in running.text


def test_no_token_is_for_loopback_alone(tmp_path: Path):
    code, text = fails(
        "--no-token",
        "--host",
        "0.0.0.0",  # noqa: S104 - refused
        "--allow-remote",
        cwd=tmp_path,
    )

    assert code == 2
    assert "loopback" in text


def test_a_token_and_no_token_at_once_are_refused(tmp_path: Path):
    code, text = fails("--token", "t0ken", "--no-token", cwd=tmp_path)

    assert code == 2
    assert "either --token or --no-token" in text


def test_no_token_is_stronger_than_the_environment(tmp_path: Path):
    options = ("--no-token", "--storage", "memory:")
    token = {"AGENT_RUNTIME_TOKEN": "t0ken"}
    with serving(*options, cwd=tmp_path, **token) as running:
        answer = httpx2.get(running.url + "/agents", trust_env=False)

    assert answer.status_code == 200


def test_a_number_that_no_port_has_is_one_sentence(tmp_path: Path):
    code, text = fails("--port", "99999", cwd=tmp_path)

    assert code == 2
    assert "--port" in text
    assert "65535" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("source", "named", "reason"),
    [
        ("", ":agents", "':agents' cannot be hosted as an agent"),
        ("", "mine:", "'mine:' cannot be hosted as an agent"),
        ("", "absent:agents", "No module named 'absent'"),
        ("x = 1\nagents = 1 / 0\n", "mine:agents", "line 2 of mine.py"),
        ("x = 1\nagents = = 2\n", "mine:agents", "mine.py: invalid syntax"),
    ],
)
def test_agents_that_cannot_be_imported_are_one_line_with_the_position(
    tmp_path: Path, source: str, named: str, reason: str
):
    (tmp_path / "mine.py").write_text(source)

    code, text = fails(named, cwd=tmp_path)

    assert code == 1
    assert len(text.splitlines()) == 1
    assert reason in text


@pytest.mark.parametrize(
    "command", [["agent_runtime_nb.http_api"], ["agent_runtime_nb", "serve"]]
)
def test_without_its_packages_the_command_names_the_extra_in_one_line(
    tmp_path: Path, command: list[str]
):
    (tmp_path / "ag_ui").mkdir()
    missing = "raise ModuleNotFoundError('No module named ag_ui', name='ag_ui')\n"
    (tmp_path / "ag_ui" / "__init__.py").write_text(missing)

    done = subprocess.run(
        [sys.executable, "-m", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=30,
    )

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert 'pip install "agent-runtime-nb[http]"' in done.stderr


def test_a_remote_address_must_be_allowed(tmp_path: Path):
    code, text = fails("--host", "0.0.0.0", cwd=tmp_path)  # noqa: S104 - refused

    assert code == 1
    assert "can be reached from other machines" in text
    assert "--allow-remote" in text
    assert "Traceback" not in text


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path):
    in_memory = ("--storage", "memory:")
    with serving(*in_memory, cwd=tmp_path) as running:
        port = running.url.rpartition(":")[2]

        code, text = fails(*in_memory, "--port", port, cwd=tmp_path)

    assert code == 1
    assert f"port {port} on 127.0.0.1 is already in use" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("storage", ["gopher:nowhere"])
def test_a_storage_that_is_not_known_is_one_sentence(tmp_path: Path, storage: str):
    code, text = fails("--storage", storage, cwd=tmp_path)

    assert code == 1
    assert "storage: " in text
    assert "Traceback" not in text


def test_agents_of_a_module_are_served_by_the_command_too(tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        "from agent_runtime_nb import EchoAgent\n"
        "def shout(message, history):\n    return message.upper()\n"
        "agents = [shout, EchoAgent()]\n"
    )
    command = [sys.executable, "-m", "agent_runtime_nb", "serve", "mine:agents"]
    with subprocess.Popen(
        [*command, "--port", "0", "--token", "t0ken", "--storage", "memory:"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
    ) as process:
        try:
            running = Running(process)
            answer = httpx2.post(
                f"{running.url}/agents/shout/run",
                json={"messages": [{"role": "user", "content": "hello"}]},
                headers={"Authorization": "Bearer t0ken"},
                trust_env=False,
            )
            code, _ = running.stop()
        finally:
            process.kill()

    assert answer.json()["messages"][0]["content"] == "HELLO"
    assert code == 0


def test_a_half_set_environment_is_named_and_the_rest_is_served(tmp_path: Path):
    with serving(cwd=tmp_path, AZURE_OPENAI_API_KEY="canary-key") as running:
        _, text = running.stop()

    assert "no agent 'azure': set AZURE_OPENAI_ENDPOINT or" in text
    assert "canary-key" not in running.text + text


def test_a_turn_that_outlasts_the_drain_is_interrupted(tmp_path: Path):
    (tmp_path / "slow.py").write_text(
        "import asyncio\n"
        "async def slow(message, history):\n"
        "    await asyncio.Event().wait()\n"
    )
    headers = {"Authorization": "Bearer t0ken", "Idempotency-Key": "k1"}
    path = "/agents/slow/conversations/c1/requests/k1"
    options = ("--token", "t0ken", "--storage", "state.db", "--drain", "0.5")
    with serving("slow:slow", *options, cwd=tmp_path) as running:
        httpx2.post(
            f"{running.url}/agents/slow/run",
            json={
                "conversation_id": "c1",
                "messages": [{"role": "user", "content": "hello"}],
            },
            headers={**headers, "Prefer": "respond-async"},
            trust_env=False,
        )
        code, _ = running.stop()
    with serving("slow:slow", *options, cwd=tmp_path) as running:
        found = httpx2.get(running.url + path, headers=headers, trust_env=False)
        running.stop()

    assert code == 0
    assert found.json()["status"] == "interrupted"


def test_an_answer_that_is_waited_for_does_not_make_the_drain_twice_as_long(
    tmp_path: Path,
):
    (tmp_path / "slow.py").write_text(
        "import asyncio\n"
        "async def slow(message, history):\n"
        "    print('begun', flush=True)\n"
        "    await asyncio.Event().wait()\n"
    )
    options = ("--no-token", "--storage", "memory:", "--drain", "8")
    statuses: list[int] = []
    with serving("slow:slow", *options, cwd=tmp_path) as running:
        body = {"messages": [{"role": "user", "content": "hello"}]}

        def wait_for_the_answer() -> None:
            url = f"{running.url}/agents/slow/run"
            answer = httpx2.post(url, json=body, timeout=30, trust_env=False)
            statuses.append(answer.status_code)

        waiting = threading.Thread(target=wait_for_the_answer)
        waiting.start()
        assert running.process.stdout is not None
        while running.process.stdout.readline() != "begun\n":
            pass
        start = time.monotonic()
        code, _ = running.stop()
        took = time.monotonic() - start
        waiting.join(10)

    assert code == 0
    assert statuses == [503]
    assert 7.5 < took < 15.5  # 8 and what an end takes; twice 8 and that before
