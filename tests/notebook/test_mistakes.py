"""What people type first, and what they get wrong: each ends in a sentence."""

import asyncio
import gc
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.agents.samples import CUT, EchoAgent, scripted_agent
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    NotRunning,
    TurnFailed,
    Unavailable,
    UnknownActorType,
)
from agent_runtime_nb.notebook import start as notebook
from agent_runtime_nb.notebook.loop import wait_in_cell
from agent_runtime_nb.notebook.runtime import NotebookRuntime
from agent_runtime_nb.notebook.start import start
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo

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


@pytest.mark.parametrize("name", ["text", "messages", "conversation"])
async def test_an_answer_that_was_not_awaited_says_to_await_it(
    begin: Start, name: str
) -> None:
    asked = begin("echo").ask("Hi")

    with pytest.raises(AttributeError, match=r"await it first: answer = await rt\.ask"):
        getattr(asked, name)
    with pytest.raises(AttributeError, match=r"a Pending has no 'txt'$"):
        getattr(asked, "txt")  # noqa: B009 - a type checker would refuse it
    assert (await asked).text == "Echo: Hi"


async def test_a_stream_that_is_not_iterated_with_async_says_to_use_it(
    begin: Start,
) -> None:
    stream: Any = begin("echo").stream("Hi")

    with pytest.raises(TypeError, match="use async for: async for update in"):
        list(stream)
    with pytest.raises(TypeError, match="use async for: async for update in"):
        await stream
    assert "".join([update.text async for update in stream]) == "Echo: Hi"


async def test_an_interrupted_wait_says_that_the_answer_goes_on(begin: Start) -> None:
    gate, entered = asyncio.Event(), asyncio.Event()

    async def patient(message: str) -> str:
        entered.set()
        await gate.wait()
        return message

    rt = begin(patient)
    asked, stream = rt.ask("Hi"), rt.stream("you")

    async def wait_for_the_answer() -> Any:
        return await asked

    async def wait_for_an_update() -> Any:
        return await anext(stream)

    interrupted = [
        asyncio.get_running_loop().create_task(waiter())
        for waiter in (wait_for_the_answer, wait_for_an_update)
    ]
    await asyncio.wait_for(entered.wait(), 5)
    said: list[str] = []
    for task in interrupted:
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        said.append(str(caught.value))
    gate.set()

    words = "the wait was interrupted; the answer goes on: {} the same object, or "
    assert said == [
        words.format(verb) + "rt.chat(...)" for verb in ("await", "iterate")
    ]
    assert (await asked).text == "Hi"
    assert [update.text async for update in stream] == ["you"]


async def test_what_there_is_to_know_of_an_answer_is_shown_and_inert(
    begin: Start,
) -> None:
    rt = begin({"cut": scripted_agent(["Half <b>an", CUT], delay=0)})

    answer = await rt.ask("Hi")

    (notice,) = answer.notices
    assert notice["level"] == "warning"
    assert repr(answer).endswith(f", completed)\nwarning: {notice['text']}")
    assert answer._repr_html_().startswith("<p>Half &lt;b&gt;an</p>\n<p><b>warning:")
    assert "model&#x27;s answer" in answer._repr_html_()
    assert answer.text == str(answer) == "Half <b>an"


async def test_a_function_that_raised_is_located_in_the_error(begin: Start) -> None:
    def boom(message: str) -> float:
        return len(message) / 0

    rt = begin(boom)
    line = boom.__code__.co_firstlineno + 1
    words = rf"ZeroDivisionError: division by zero \(in boom, line {line} of test_mis"

    with pytest.raises(TurnFailed, match=words):
        await rt.ask("Hi")


async def test_before_there_is_an_agent_everything_says_to_start_one(
    begin: Start,
) -> None:
    rt = begin()

    for use in (rt.chat, rt.new_conversation):
        with pytest.raises(InvalidRequest, match=r"give one to start\(agent\)"):
            use()
        with pytest.raises(UnknownActorType, match=r"give one to start\(agent\)"):
            use("scripted")
    assert "start(agent)" in repr(rt)
    assert "rt.chat" not in repr(rt)


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


class NeverThere(InMemoryStateStorage):
    """A storage whose server is down."""

    async def open(self, host: HostInfo) -> None:
        raise Unavailable("redis://host", "refused") from ConnectionError(host)


async def test_a_storage_that_does_not_open_is_one_sentence_in_every_cell(
    begin: Start,
) -> None:
    rt = begin(EchoAgent(), storage=NeverThere())

    shown: list[list[str]] = []
    for _ in range(3):
        with pytest.raises(Unavailable, match="redis://host cannot be") as caught:
            await rt.ask("Hi")
        shown.append(traceback.format_exception(caught.value))

    assert not any("ConnectionError" in line for lines in shown for line in lines)
    assert len(shown[2]) == len(shown[1]) <= len(shown[0])
