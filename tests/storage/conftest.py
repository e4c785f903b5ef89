"""What the tests of one storage share."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Child = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def child() -> Iterator[Child]:
    """Starts a function of `children` in a process, which ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(what: str, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.storage.children", what]
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
