"""What people type first, and what they get wrong: each ends in a sentence."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.exceptions import InvalidRequest, NotRunning, TurnFailed
from agent_runtime_nb.notebook import start as notebook
from agent_runtime_nb.notebook._home import wait_in_cell
from agent_runtime_nb.notebook.runtime import NotebookRuntime
from agent_runtime_nb.notebook.start import start

Start = Callable[..., NotebookRuntime]


@pytest.fixture
async def begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """`start` on memory, in a process where nothing was started; stopped at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT_RUNTIME_STORAGE", "memory:")
    process = notebook._kernel
    monkeypatch.setattr(process, "runtime", None)
    yield start
    if process.runtime is not None:
        await process.runtime.stop(drain=0.0)


async def test_new_conversations_of_one_second_are_different_ones(begin: Start) -> None:
    rt = begin("echo")

    names = [rt.new_conversation() for _ in range(4)]

    assert len(set(names)) == 4


async def test_a_text_that_is_none_is_not_taken_for_the_agents_name(
    begin: Start,
) -> None:
    rt = begin("echo")
    text: Any = None

    with pytest.raises(TurnFailed, match=r"messages\[0\].content: must be"):
        await rt.ask("echo", text)


async def test_a_loop_of_another_word_is_refused(begin: Start) -> None:
    word: Any = "threads"

    with pytest.raises(InvalidRequest, match='loop: is "notebook" or "thread"'):
        begin("echo", loop=word)


@pytest.mark.parametrize("use", ["chat", "dashboard", "serve"])
async def test_a_stopped_runtime_gives_no_view_and_no_server(
    begin: Start, use: str
) -> None:
    rt = begin("echo")
    await rt.stop()

    with pytest.raises(NotRunning):
        getattr(rt, use)()


async def test_an_error_after_an_interrupted_wait_is_in_nobodys_output() -> None:
    future: Future[None] = Future()
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, of: complaints.append(of)
    )

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait_in_cell(future), 0.01)
    future.set_exception(ValueError("too late"))
    await _turns()
    del future
    gc.collect()

    assert complaints == []


async def _turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


SCRIPT = """
import asyncio
import agent_runtime_nb as arn

async def main(text):
    rt = arn.start("echo", storage="state.db")
    print(await rt.ask(text, conversation="c1"))

asyncio.run(main("one"))
asyncio.run(main("two"))
"""


def test_a_script_may_run_main_twice_without_stop(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("Echo: one\nEcho: two\n", "")
