"""`start()` and what it gives, on this process's own loop and in a thread."""

import asyncio
import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter

from agent_runtime_nb.agents.samples import EchoAgent, scripted_agent
from agent_runtime_nb.exceptions import (
    AgentNameTaken,
    InvalidRequest,
    LoopBlocked,
    NotRunning,
    TurnFailed,
    UnknownActorType,
)
from agent_runtime_nb.notebook import start as notebook
from agent_runtime_nb.notebook.conversation_name import conversation_of_notebook
from agent_runtime_nb.notebook.loop import RuntimeLoop, wait_blocking
from agent_runtime_nb.notebook.runtime import NotebookRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.supervision import RestartPolicy
from tests.notebook.conftest import Start

BOTH_LOOPS = pytest.mark.parametrize("loop", ["notebook", "thread"])


# --- asking ---------------------------------------------------------------------------


@BOTH_LOOPS
async def test_an_answer_has_text_messages_status_and_ids(
    begin: Start, loop: str
) -> None:
    rt = begin("echo", loop=loop)

    answer = await rt.ask("Hello", conversation="c1")

    assert answer.text == str(answer) == "Echo: Hello"
    assert answer._repr_html_() == "<p>Echo: Hello</p>\n"
    assert answer.status is RequestStatus.COMPLETED
    assert answer.conversation == "c1"
    assert [message["role"] for message in answer.messages] == ["assistant"]
    assert repr(answer) == "Answer('Echo: Hello', from echo/c1, completed)"
    found = await rt.client.get_response(answer.actor_id, answer.message_id)
    assert (await found.get_response()).status is RequestStatus.COMPLETED


async def test_an_answer_with_a_tool_call_has_the_text_of_all_its_messages(
    begin: Start,
) -> None:
    rt = begin(scripted_agent(delay=0))

    answer = await rt.ask("What is the weather in Paris?")

    roles = [message["role"] for message in answer.messages]
    assert roles == ["assistant", "tool", "assistant"]
    assert answer.text.startswith("Let me look.")
    assert "Here it is" in answer.text
    assert answer.usage is not None


async def test_asks_take_effect_in_call_order_even_if_nobody_awaits_the_first(
    begin: Start,
) -> None:
    rt = begin("echo")

    rt.ask("first")
    await rt.ask("second")

    view = await rt.directory.read_actor(ActorId("echo", "main"))
    said = [turn.params["messages"][0]["content"] for turn in view.turns]
    assert said == ["first", "second"]


async def test_a_failed_turn_is_raised_with_its_reason(begin: Start) -> None:
    rt = begin(scripted_agent(delay=0))

    with pytest.raises(TurnFailed, match="because it was asked to") as caught:
        await rt.ask("fail")

    assert caught.value.status == "failed"


async def test_a_turn_over_its_timeout_fails(begin: Start) -> None:
    async def sleeper(message: str, history: list[Any]) -> str:
        await asyncio.Event().wait()
        return "never"

    rt = begin(sleeper)

    with pytest.raises(TurnFailed) as caught:
        await rt.ask("Hello", timeout=0.1)

    assert caught.value.error_type == "DeadlineExceeded"


async def test_cancelling_a_wait_leaves_the_turn_and_it_can_be_awaited_again(
    begin: Start,
) -> None:
    gate = asyncio.Event()

    async def patient(message: str, history: list[Any]) -> str:
        await gate.wait()
        return "at last"

    pending = begin(patient).ask("Hello")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pending, 0.05)
    gate.set()

    assert (await pending).text == "at last"


async def test_what_is_pending_says_what_it_is(begin: Start) -> None:
    rt = begin("echo")

    pending = rt.ask("Hello", conversation="c1")
    under_way = repr(pending)
    await pending

    assert under_way == "<ask echo/c1: under way; await it for the result>"
    assert repr(pending) == "<ask echo/c1: done; await it for the result>"


# --- streaming ------------------------------------------------------------------------


@BOTH_LOOPS
async def test_a_stream_gives_the_pieces_and_then_the_answer(
    begin: Start, loop: str
) -> None:
    rt = begin(EchoAgent(), loop=loop)

    stream = rt.stream("a b c")
    pieces = [update.text async for update in stream]

    assert len(pieces) > 1
    assert stream.answer is not None
    assert "".join(pieces) == stream.answer.text == "Echo: a b c"
    assert [update async for update in stream] == []


async def test_a_stream_of_a_failing_turn_gives_its_pieces_and_then_raises(
    begin: Start,
) -> None:
    stream = begin(scripted_agent(delay=0)).stream("fail")
    pieces: list[str] = []

    async def read() -> None:
        async for update in stream:
            pieces.append(update.text)  # noqa: PERF401 - it raises in the middle

    with pytest.raises(TurnFailed):
        await read()

    assert "".join(pieces).strip() == "I begin, but then"


# --- who is asked, and where ----------------------------------------------------------


async def test_an_unknown_agent_is_refused_at_once(begin: Start) -> None:
    rt = begin("echo", "mock-ai")

    with pytest.raises(UnknownActorType, match="echo, mock-ai"):
        rt.ask("eco", "Hello")


async def test_a_new_conversation_becomes_the_default_of_its_agent(
    begin: Start,
) -> None:
    rt = begin("echo", "mock-ai")

    names = [rt.new_conversation("echo"), rt.new_conversation("echo")]

    assert len({*names, "main"}) == 3
    assert (await rt.ask("echo", "Hello")).conversation == names[-1]
    assert (await rt.ask("mock-ai", "Hello")).conversation == "main"


@pytest.mark.parametrize(
    ("session", "name"),
    [
        ("folder/My analysis.ipynb", "My analysis"),
        ("folder\\01_quickstart.ipynb", "01_quickstart"),
        ("7d1c0f6e-console", "main"),
        ("", "main"),
    ],
)
def test_the_default_conversation_is_named_after_the_notebook(
    monkeypatch: pytest.MonkeyPatch, session: str, name: str
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", session)

    assert conversation_of_notebook() == name


# --- starting again -------------------------------------------------------------------


async def test_starting_again_adds_agents_to_the_same_runtime(begin: Start) -> None:
    rt = begin("echo")

    again = begin("mock-ai")

    assert again is rt
    assert list(rt.agents) == ["echo", "mock-ai"]


async def test_starting_again_without_arguments_gives_the_runtime(
    begin: Start,
) -> None:
    assert begin("echo", loop="thread") is begin()


async def test_starting_again_on_the_same_storage_is_fine(
    begin: Start, tmp_path: Path
) -> None:
    rt = begin("echo", storage=tmp_path / "state.db")

    assert begin("echo", storage=f"sqlite:///{tmp_path / 'state.db'}") is rt


async def test_starting_again_on_another_storage_is_refused(
    begin: Start, tmp_path: Path
) -> None:
    begin("echo")

    with pytest.raises(InvalidRequest, match=r"storage: .*rt\.stop\(\) first"):
        begin("echo", storage=tmp_path / "state.db")


async def test_starting_again_on_another_loop_is_refused(begin: Start) -> None:
    begin("echo")

    with pytest.raises(InvalidRequest, match=r"loop: .*rt\.stop\(\) first"):
        begin("echo", loop="thread")


async def test_a_clash_of_names_changes_nothing(begin: Start) -> None:
    rt = begin("echo")

    with pytest.raises(AgentNameTaken):
        begin({"new": EchoAgent()}, {"new": EchoAgent()})

    assert list(rt.agents) == ["echo"]


async def test_after_stopping_a_new_runtime_opens_the_same_file(
    begin: Start, tmp_path: Path
) -> None:
    first = begin("echo", storage=tmp_path / "state.db")
    await first.ask("Hello")

    first.stop()
    second = begin("echo", storage=tmp_path / "state.db")

    assert second is not first
    await second.ask("again")
    view = await second.directory.read_actor(ActorId("echo", "main"))
    assert len(view.turns) == 2


@BOTH_LOOPS
async def test_asking_after_the_stop_says_that_it_is_stopped(
    begin: Start, loop: str
) -> None:
    rt = begin("echo", loop=loop)
    await rt.stop()

    with pytest.raises(NotRunning, match="stopped"):
        await rt.ask("Hello")


async def test_the_first_use_and_ready_tell_why_the_storage_did_not_open(
    begin: Start, tmp_path: Path
) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database" * 1000)
    rt = begin("echo", storage=tmp_path / "state.db")

    for use in (rt.ready(), rt.ask("Hello"), rt.directory.health()):
        with pytest.raises(Exception, match="damaged"):
            await use
    with pytest.raises(Exception, match="damaged"):
        rt.ask("Hello")
    assert "failed: the storage" in repr(rt)


# --- without await --------------------------------------------------------------------


def test_a_script_asks_without_a_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rt = NotebookRuntime(
        notebook.Host("echo", storage="memory:"), RuntimeLoop.find(None)
    )

    answers = [rt.ask_sync("one").text, rt.ask_sync("echo", "two").text]
    rt.stop().wait()

    assert answers == ["Echo: one", "Echo: two"]
    assert rt.loop == "thread"


async def test_tab_completes_what_a_runtime_can_do(begin: Start) -> None:
    rt = begin("echo")

    completer = IPCompleter(namespace={"rt": rt, "runtime": rt.runtime})

    with provisionalcompleter():
        of_rt = {match.text for match in completer.completions("rt.", 3)}
        of_runtime = {match.text for match in completer.completions("runtime.", 8)}

    assert {"ask", "chat", "loop"} <= of_rt
    assert {"start", "state"} <= of_runtime


async def test_a_thread_asks_without_await(begin: Start) -> None:
    rt = begin("echo")

    answer = await asyncio.to_thread(rt.ask_sync, "from a thread")

    assert answer.text == "Echo: from a thread"


async def test_a_blocking_wait_on_a_silent_loop_ends_and_drops_the_work() -> None:
    runtime_loop = RuntimeLoop(asyncio.get_running_loop())
    ran: list[str] = []
    caught: list[BaseException] = []

    async def work() -> None:
        ran.append("work")

    def wait() -> None:
        try:
            wait_blocking(
                runtime_loop.submit(work(), name="work"), runtime_loop, silence=0.2
            )
        except LoopBlocked as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(10)  # blocks the loop that the thread needs
    for _ in range(5):
        await asyncio.sleep(0)

    assert "0.2 s" in str(caught[0])
    assert ran == []


# --- leaving the loop -----------------------------------------------------------------


def test_leaving_answers_who_waits_and_refuses_who_comes() -> None:
    runtime_loop = RuntimeLoop.find("thread")
    began = threading.Event()

    async def never_ending() -> None:
        began.set()
        await asyncio.Event().wait()

    waiting = runtime_loop.submit(never_ending(), name="wait")
    assert began.wait(10)
    runtime_loop.submit(runtime_loop.leave(), name="leave").exception(timeout=10)

    assert isinstance(waiting.exception(timeout=10), NotRunning)
    with pytest.raises(NotRunning):
        runtime_loop.submit(never_ending(), name="too late")


async def test_what_was_submitted_just_before_leaving_is_answered() -> None:
    runtime_loop = RuntimeLoop(asyncio.get_running_loop())
    left = runtime_loop.leave()

    waiting = runtime_loop.submit(asyncio.Event().wait(), name="just before")
    await left

    with pytest.raises(NotRunning):
        await asyncio.wrap_future(waiting)


# --- views ----------------------------------------------------------------------------


async def test_the_runtime_says_what_it_hosts_and_where(begin: Start) -> None:
    rt = begin("echo", {"weather": EchoAgent(name="<b>")})

    opening = repr(rt)
    await rt.ready()

    assert "state" not in opening
    assert "running" in repr(rt)
    assert "echo, weather" in repr(rt)
    assert "memory (gone when the process ends)" in repr(rt)
    assert 'await rt.ask("echo", "Hello")' in repr(rt)
    assert "echo, weather" in rt._repr_html_()
    assert "&quot;Hello&quot;" in rt._repr_html_()


@BOTH_LOOPS
async def test_the_agents_answer_over_http_and_one_server_is_enough(
    begin: Start, loop: str
) -> None:
    rt = begin("echo", loop=loop)
    server = rt.serve()
    request = urllib.request.Request(  # noqa: S310 - our own loopback server
        f"{server.url}/agents/echo/run",
        data=json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode(),
        headers={
            "Authorization": f"Bearer {server.token}",
            "Content-Type": "application/json",
        },
    )

    def fetch() -> Any:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return json.load(response)

    body = await asyncio.to_thread(fetch)

    assert body["messages"][-1]["content"] == "Echo: Hi"
    assert rt.serve() is server
    with pytest.raises(InvalidRequest, match=f"{server.url} already: stop"):
        rt.serve(port=1)
    await rt.stop()
    assert not server.running


@BOTH_LOOPS
async def test_the_panel_shows_the_default_conversation(
    begin: Start, loop: str
) -> None:
    rt = begin("echo", loop=loop)

    panel = rt.chat(title="Echo", starters=["Hello"], read_only=True)
    board = rt.dashboard()

    picture = panel.channel.snapshot()
    assert panel.actor_id == ActorId("echo", "main")
    assert (picture["starters"], picture["read_only"]) == (["Hello"], True)
    assert repr(board) == "ActorDashboard(0 actors)"
    panel.close()
    board.close()


async def test_the_restart_policy_of_the_last_start_holds(begin: Start) -> None:
    def policy(rt: NotebookRuntime) -> RestartPolicy:
        return rt.runtime._actors.policy(ActorId("echo", "c")).restart

    patient = RestartPolicy(max_restarts=10)

    given = policy(begin("echo", restart=patient))
    taken_away = policy(begin("echo"))

    assert (given, taken_away) == (patient, RestartPolicy())
