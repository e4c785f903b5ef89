"""The watcher over the tests goes red when a token is shown, in a run of its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.token_watch import RANDOM_TOKEN

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]

SHOWING = """
import logging, sys
from agent_runtime_nb.http_api.guard import Access, GuardOptions

def test_logs(): logging.getLogger("x").info("nobody hears"); log("hidden in %s")
def log(text): logging.getLogger("x").warning(text, {"deep": GuardOptions().token})
def test_logs_an_error():
    try: raise ValueError(GuardOptions().token)
    except ValueError: logging.getLogger("x").exception("failed")
def test_prints(): print(GuardOptions().token)
def test_writes(): print(GuardOptions().token, file=sys.stderr)
def test_raises(): raise ValueError(GuardOptions().token)
def test_rotates(): Access("the-first-one").replace("the-second-one"); print("a the-second-one")
def test_shows_nothing(): print(repr(GuardOptions()), repr(Access("the-first-one")))
"""

SAVING = """
import secrets
from agent_runtime_nb.http_api.guard import GuardOptions

def test_saves_what_it_gave(tmp_path):
    (tmp_path / "one.ipynb").write_text(GuardOptions(token="given-by-a-test").token)

def test_saves_what_another_process_made(tmp_path):
    (tmp_path / "two.ipynb").write_text(f'"Bearer {secrets.token_urlsafe(32)}"')
"""


def run_tests(source: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest over these tests, watched; leaves nothing that shows a token."""
    with tempfile.TemporaryDirectory() as folder:
        return _run_tests(Path(folder), source)


def _run_tests(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_made.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    words = ["-p", "tests.token_watch", "-q", "-rA", "--basetemp", str(folder / "tmp")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, "test_made.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_test_that_shows_a_token_fails() -> None:
    done = run_tests(SHOWING)

    red = {
        line.split()[1].partition("::")[2]
        for line in done.stdout.splitlines()
        if line.startswith(("FAILED", "ERROR"))
    }
    assert done.returncode == 1, done.stdout
    assert red == {
        "test_logs",
        "test_logs_an_error",
        "test_prints",
        "test_writes",
        "test_raises",
        "test_rotates",
    }
    assert not RANDOM_TOKEN.search(done.stdout)  # it is not told once more


def test_a_run_that_saves_a_token_in_a_notebook_fails() -> None:
    done = run_tests(SAVING)

    assert "2 passed" in done.stdout
    last = done.stdout.partition("the token of a server appears in: ")[2]
    assert "one.ipynb" in last
    assert "two.ipynb (it looks like a token)" in last
    assert done.returncode == 1
