"""The look for leaks names what was left behind, and nothing else."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.testing.leaks import Leaked, no_leaks
from tests.fakes import HandlingActor, ask, background, echo


async def test_work_that_cleans_up_behind_itself_leaks_nothing() -> None:
    async with no_leaks():
        runtime = InProcessActorRuntime()
        runtime.register_actor_type("worker", lambda _: HandlingActor(echo))
        await runtime.start()
        await ask(runtime, "hello")
        await runtime.stop()


async def wait(event: asyncio.Event) -> None:
    await event.wait()


async def leave_behind(make: Callable[[], Any], held: list[Any]) -> None:
    """Make something and hold it, in a block that should leave nothing."""
    async with no_leaks(patience=0.05):
        held.append(make())


async def test_a_task_left_behind_is_named() -> None:
    never, held = asyncio.Event(), list[Any]()

    with pytest.raises(Leaked, match=r"task Task-\d+: .*test_leaks"):
        await leave_behind(lambda: background(wait(never)), held)

    never.set()
    await held[0]


async def test_a_pending_future_left_behind_is_named() -> None:
    held: list[Any] = []

    with pytest.raises(Leaked, match="pending <Future"):
        await leave_behind(asyncio.get_running_loop().create_future, held)

    held[0].cancel()


async def test_a_thread_left_behind_is_named() -> None:
    never, held = threading.Event(), list[Any]()
    thread = threading.Thread(target=never.wait, name="stays")

    with pytest.raises(Leaked, match="thread stays"):
        await leave_behind(thread.start, held)

    never.set()
    thread.join()


@pytest.mark.skipif("sys.platform != 'linux'", reason="nothing lists open files")
async def test_a_file_left_open_is_named(tmp_path: Path) -> None:
    held: list[Any] = []

    with pytest.raises(Leaked, match=r"left\.txt"):
        await leave_behind(lambda: (tmp_path / "left.txt").open("w"), held)

    held[0].close()


async def test_what_the_work_itself_raises_goes_before_its_leaks() -> None:
    never = asyncio.Event()
    held: list[Any] = []

    def fail() -> None:
        held.append(background(wait(never)))
        raise KeyError

    with pytest.raises(KeyError):
        await leave_behind(fail, held)

    never.set()
    await held[0]
