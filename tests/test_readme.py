"""What the README shows works as it stands there."""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block(language: str, containing: str) -> str:
    found = [one for one in blocks(language) if containing in one]
    assert len(found) == 1, f"{len(found)} blocks of {language} contain {containing!r}"
    return found[0]


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(command: str, folder: Path) -> Generator[None]:
    module = command.removeprefix("python ").split()
    process = subprocess.Popen(
        [sys.executable, *module],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "curl" in line:  # printed once it listens
                break
        yield
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def test_the_lower_level_runs_as_written_in_a_script(tmp_path: Path) -> None:
    printed = run(block("python", "async def main"), tmp_path)

    assert "pending" in printed
    assert printed.splitlines()[-1].startswith("completed")
    assert "Echo: Hi" in printed
    assert (tmp_path / "state.db").exists()


def test_every_python_block_compiles() -> None:
    for code in blocks("python"):
        flags = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT: as in a cell
        compile(code, "README.md", "exec", flags=flags)


def test_the_first_block_is_enough_for_a_panel(tmp_path: Path) -> None:
    code = block("python", 'rt.chat("scripted")                   ')

    printed = run(code + "\nprint(type(rt.chat('scripted')).__name__)", tmp_path)

    assert printed.strip() == "ChatPanel"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_lines_work_as_written(tmp_path: Path) -> None:
    port = free_port()
    command, _, curl = block("sh", "http_api").partition("\n")

    with serving(f"{command} --port {port}", tmp_path):
        done = subprocess.run(  # noqa: S602 - the line as a shell takes it
            curl.replace(":8000", f":{port}"),
            shell=True,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    answer = json.loads(done.stdout)
    assert answer["messages"][0]["content"] == "Echo: Hello"
    assert (answer["status"], answer["conversation_id"]) == ("completed", "http-echo")
