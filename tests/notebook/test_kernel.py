"""What a person does in a notebook, in real kernels."""

import time
from typing import Any

import pytest

from tests.notebook.conftest import StartKernel
from tests.notebook.kernels import Kernel

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(120)]

START = """
import asyncio, threading
from concurrent.futures import Future
import agent_runtime_nb.notebook.start as notebook
from agent_runtime_nb.agents.samples import EchoAgent

gate = Future()

async def patient(message, history):
    "Answers when the gate is open; wakes no loop before."
    await asyncio.shield(asyncio.wrap_future(gate))
    return f"at last: {message} after {len(history)} messages"

rt = notebook.start(EchoAgent(), patient%s)
"""

TURNS = """
async def turns(agent, conversation="analysis"):
    view = await rt.directory.read_actor(ActorId(agent, conversation))
    return [(str(turn.status), turn.params["messages"][0]["content"]) for turn in view.turns]

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
"""

ON_THE_NOTEBOOK = START % ""
IN_A_THREAD = START % ', loop="thread"'
BOTH_LOOPS = pytest.mark.parametrize("start", [ON_THE_NOTEBOOK, IN_A_THREAD])


def last_line(kernel: Kernel, code: str) -> Any:
    return kernel.run(code).lines[-1]


# --- starting and asking --------------------------------------------------------------


@BOTH_LOOPS
def test_a_cell_starts_and_the_next_one_asks(kernel: Kernel, start: str) -> None:
    shown = kernel.run(start + "\nrt").display
    answer = kernel.run('await rt.ask("echo", "Hello")').display

    assert "state.db" in shown["text/plain"]
    assert "echo, patient" in shown["text/html"]
    assert answer["text/html"] == "<p>Echo: Hello</p>\n"
    assert "echo/analysis" in answer["text/plain"]


def test_asking_in_the_cell_that_starts_waits_for_the_storage(kernel: Kernel) -> None:
    cell = kernel.run(ON_THE_NOTEBOOK + '\nprint(await rt.ask("echo", "at once"))')

    assert cell.lines == ["Echo: at once"]


def test_a_storage_that_cannot_be_opened_is_told_by_the_first_use(
    kernel: Kernel,
) -> None:
    kernel.run('open("broken.db", "wb").write(b"not a database" * 1000)')
    kernel.run(START % ', storage="broken.db"')

    cell = kernel.finish(kernel.send('await rt.ask("echo", "Hello")'))
    again = kernel.run(START % ', storage="fine.db"' + '\nawait rt.ask("echo", "Hi")')

    assert cell.error.startswith("Corrupt")
    assert again.display["text/html"] == "<p>Echo: Hi</p>\n"


@BOTH_LOOPS
def test_running_the_cell_again_keeps_the_runtime_and_takes_the_new_agent(
    kernel: Kernel, start: str
) -> None:
    kernel.run("def clerk(message, history): return 'old'")
    kernel.run(start)
    kernel.run(
        "first = rt; _ = notebook.start(clerk); print(await rt.ask('clerk', '?'))"
    )

    kernel.run("def clerk(message, history): return 'new'")
    kernel.run(start + "\nnotebook.start(clerk)")

    assert last_line(kernel, "print(await rt.ask('clerk', '?'))") == "new"
    assert last_line(kernel, "print(rt is first, list(rt.agents))") == (
        "True ['echo', 'patient', 'clerk']"
    )
    threads = "len([t for t in threading.enumerate() if t.name == 'agent-runtime-nb'])"
    expected = "1" if start == IN_A_THREAD else "0"
    assert last_line(kernel, f"print({threads})") == expected


# --- stopping the wait ----------------------------------------------------------------


@BOTH_LOOPS
def test_an_interrupt_ends_the_wait_and_not_the_turn(
    kernel: Kernel, start: str
) -> None:
    kernel.run(start + TURNS)
    cell = kernel.send('print("asking"); await rt.ask("patient", "one")')
    kernel.wait_for_text(cell, "asking")

    begin = time.monotonic()
    kernel.interrupt()
    kernel.finish(cell)
    waited = time.monotonic() - begin
    kernel.run('gate.set_result(None); await rt.ask("patient", "two")')

    assert cell.error.startswith("CancelledError: the wait was interrupted; the answer")
    assert waited < 1.0
    assert last_line(kernel, 'print(await turns("patient"))') == (
        "[('completed', 'one'), ('completed', 'two')]"
    )


def test_a_function_of_a_cell_that_raises_is_located_in_that_cell(
    kernel: Kernel,
) -> None:
    kernel.run(ON_THE_NOTEBOOK)
    kernel.run("def boom(message):\n    return 1 / 0\n\nrt = notebook.start(boom)")

    cell = kernel.finish(kernel.send("await rt.ask('boom', 'Hi')"))

    assert cell.error == (
        "TurnFailed: the turn failed: ZeroDivisionError: division by zero "
        "(in boom, line 2 of Cell In[2])"
    )


def test_an_interrupted_stream_goes_on_where_it_was(kernel: Kernel) -> None:
    kernel.run(
        ON_THE_NOTEBOOK
        + """
async def narrator(message, history):
    yield "once "
    await asyncio.shield(asyncio.wrap_future(gate))
    yield "upon a time"

notebook.start(narrator)
stream = rt.stream("narrator", "tell")
"""
    )
    reading = "async for update in stream: print(update.text, flush=True)"
    cell = kernel.send(reading)
    kernel.wait_for_text(cell, "once")

    kernel.interrupt()
    kernel.finish(cell)
    rest = kernel.run("gate.set_result(None)\n" + reading)

    assert cell.status == "error"
    assert "".join(rest.text.split("\n")) == "upon a time"
    assert last_line(kernel, "print(stream.answer)") == "once upon a time"


def test_a_turn_goes_on_while_a_cell_blocks_if_the_loop_has_a_thread(
    kernel: Kernel,
) -> None:
    kernel.run(IN_A_THREAD)
    kernel.run(
        """
done = threading.Event()
async def signal(message, history):
    done.set()
    return "signalled"
notebook.start(signal)
"""
    )

    cell = kernel.run('pending = rt.ask("signal", "now"); print(done.wait(10))')

    assert cell.lines == ["True"]
    assert last_line(kernel, "print(await pending)") == "signalled"


# --- without await --------------------------------------------------------------------


@BOTH_LOOPS
def test_a_synchronous_ask_loses_no_queued_cell(kernel: Kernel, start: str) -> None:
    kernel.run(start + "\nthreading.Timer(0.5, gate.set_result, [None]).start()")

    cells = [
        kernel.send('print(rt.ask_sync("patient", "one"))'),
        kernel.send("print('second')"),
        kernel.send('print(rt.ask_sync("echo", "third"))'),
        kernel.send('print(await rt.ask("echo", "fourth"))'),
    ]

    texts = [kernel.finish(cell).lines for cell in cells]
    assert texts == [
        ["at last: one after 0 messages"],
        ["second"],
        ["Echo: third"],
        ["Echo: fourth"],
    ]


def test_an_ask_from_a_thread_that_the_cell_waits_for_ends_with_an_error(
    kernel: Kernel,
) -> None:
    kernel.run(ON_THE_NOTEBOOK)

    cell = kernel.run(
        """
from agent_runtime_nb.notebook import loop as runtime_loop
caught = []
def work():
    try:
        pending = rt.ask("echo", "from a thread")
        runtime_loop.wait_blocking(pending._future, rt._runtime_loop, silence=0.5)
    except Exception as error:
        caught.append(error)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(type(caught[0]).__name__, caught[0])
"""
    )

    assert cell.text.startswith("LoopBlocked the runtime's event loop has not answered")
    assert 'loop="thread"' in cell.text


def test_the_old_nest_asyncio_is_refused(kernel: Kernel) -> None:
    kernel.run(ON_THE_NOTEBOOK + "\nasyncio._nest_patched = True")

    cell = kernel.finish(kernel.send('rt.ask_sync("echo", "Hello")'))

    assert "InvalidRequest" in cell.error
    assert "await rt.ask" in cell.error


# --- restarting -----------------------------------------------------------------------


@pytest.mark.parametrize("kill", [False, True])
@BOTH_LOOPS
def test_a_conversation_survives_a_restart_of_the_kernel(
    kernel: Kernel, start: str, *, kill: bool
) -> None:
    kernel.run(start + '\ngate.set_result(None); await rt.ask("patient", "before")')

    kernel.restart(kill=kill)
    kernel.run(start + TURNS)

    answer = last_line(
        kernel, 'gate.set_result(None); print(await rt.ask("patient", "after"))'
    )
    assert answer == "at last: after after 2 messages"
    assert last_line(kernel, 'print(await turns("patient"))') == (
        "[('completed', 'before'), ('completed', 'after')]"
    )


def test_a_kernel_with_a_running_turn_shuts_down_soon(
    start_kernel: StartKernel,
) -> None:
    kernel = start_kernel()
    kernel.run(IN_A_THREAD + '\nrt.ask("patient", "never answered")')
    kernel.run("await rt.ready()")

    assert kernel.shut_down() < 4.0


def test_two_kernels_in_one_folder_share_the_file(start_kernel: StartKernel) -> None:
    first, second = start_kernel(), start_kernel()
    first.run(ON_THE_NOTEBOOK + '\nawait rt.ask("echo", "mine")')
    second.run(ON_THE_NOTEBOOK + TURNS)

    refused = second.finish(second.send('await rt.ask("echo", "mine, too")'))
    second.run('await rt.ask("echo", "another", conversation="c2")')

    assert refused.error.startswith("ActorOwnedElsewhere")
    assert last_line(second, 'print(await turns("echo"))') == "[('completed', 'mine')]"
    assert last_line(second, 'print(await turns("echo", "c2"))') == (
        "[('completed', 'another')]"
    )


def test_a_second_kernel_can_take_a_conversation_over(
    start_kernel: StartKernel,
) -> None:
    first, second = start_kernel(), start_kernel()
    first.run(ON_THE_NOTEBOOK + '\nawait rt.ask("echo", "mine")')
    second.run(START % ", take_over=True" + TURNS)

    second.run('await rt.ask("echo", "mine now")')
    refused = first.finish(first.send('await rt.ask("echo", "still mine?")'))

    assert refused.error.startswith("StaleEpoch")
    assert last_line(second, 'print(await turns("echo"))') == (
        "[('completed', 'mine'), ('completed', 'mine now')]"
    )


# --- the level below ------------------------------------------------------------------

LOWER_LEVEL = """
from agent_runtime_nb import (
    ActorId, AgentActor, EchoAgent, InProcessActorClient, InProcessActorRuntime,
    SqliteStateStorage,
)
runtime = InProcessActorRuntime(storage=SqliteStateStorage("state.db"))
runtime.register_actor_type("echo", lambda context: AgentActor(EchoAgent()))
await runtime.start()
client = InProcessActorClient(runtime)
handle = await client.send_request(ActorId("echo", "c1"), "run", {"messages": [{"role": "user", "content": "Hi"}]})
async for update in handle.watch_updates():
    print(update.status)
response = await handle.get_response()
print(response.data["messages"][0]["content"])
await runtime.stop()
"""


def test_the_lower_level_runs_as_written_in_a_cell(kernel: Kernel) -> None:
    cell = kernel.run(LOWER_LEVEL)

    assert cell.lines == ["pending", "pending", "completed", "Echo: Hi"]
