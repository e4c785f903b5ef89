"""What the tests of faults share."""

import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import Handle, echo
from tests.faults.oracle import World

ROOT = Path(__file__).parents[2]

Begin = Callable[..., Awaitable[World]]
Child = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _nothing_leaks(request: pytest.FixtureRequest) -> None:
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("leaves_nothing")


@pytest.fixture
async def begin(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Begin]:
    """Begins a `World`, which ends with the test."""
    worlds: list[World] = []

    async def begin(handle: Handle = echo, *arguments: Any, **more: Any) -> World:
        world = World(handle, caplog.records, *arguments, **more)
        worlds.append(world)
        await world.runtime.start()
        return world

    yield begin
    for world in worlds:
        await world.runtime.stop(drain=0)


@pytest.fixture
def child() -> Iterator[Child]:
    """Starts a function of `children` in a process, which ends with the test.

    With `module` that is the main function of another module beside it.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, module: str = "children") -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", f"tests.faults.{module}"]
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
