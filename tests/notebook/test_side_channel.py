"""Stop over HTTP while the main thread, and with it the kernel's loop, is blocked.

These tests block their own loop on purpose: it stands for the kernel's.
"""

import queue
import threading
import time
from typing import Any

import httpx2
import pytest

from agent_runtime_nb.agents.samples import scripted_agent
from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.notebook.runtime import NotebookRuntime
from tests.notebook.conftest import Start

PAGE = "http://127.0.0.1:8888"


class Comm:
    """The connection of a widget to one page; keeps what arrives there."""

    comm_id = "comm"

    def __init__(self) -> None:
        self.arrived: queue.Queue[dict[str, Any]] = queue.Queue()
        self._handler: Any = None

    def on_msg(self, handler: Any) -> None:
        self._handler = handler

    def send(self, data: Any = None, buffers: Any = None) -> None:
        if data["method"] == "custom":
            self.arrived.put(data["content"])

    def close(self, *_args: Any, **_options: Any) -> None:
        pass

    def say(self, kind: str, **content: Any) -> None:
        message = {"method": "custom", "content": {"type": kind, **content}}
        self._handler({"content": {"data": message}, "buffers": []})

    def ticket(self) -> dict[str, Any]:
        """The kernel's next message about the side channel."""
        while (message := self.arrived.get(timeout=10))["type"] != "ticket":
            pass
        return message

    def until(self, word: str) -> None:
        """Wait until a message says this."""
        while word not in str(self.arrived.get(timeout=10)):
            pass


def post(ticket: dict[str, Any], verb: str, **body: Any) -> httpx2.Response:
    headers = {"Origin": PAGE, "X-Agent-Ticket": ticket["ticket"]}
    url = f"{ticket['urls'][0]}/tickets/{verb}"
    return httpx2.post(url, json=body, headers=headers, trust_env=False)


@pytest.fixture
def endless() -> Any:
    """An agent that speaks until it is stopped."""
    return scripted_agent(lambda _: ["word " * 100_000], name="endless", delay=0.01)


@pytest.fixture
def rt(begin: Start, endless: Any) -> NotebookRuntime:
    return begin(endless, loop="thread", storage="memory:")


async def test_a_panel_learns_of_a_server_that_begins_later_changes_its_token_and_ends(
    rt: NotebookRuntime,
):
    comm = Comm()
    panel = rt.chat(comm=comm)
    comm.say("side_channel", origin=PAGE, state="asking")
    before = comm.ticket()

    server = rt.serve()
    begun = comm.ticket()
    there = post(begun, "renew")
    server.rotate_token()
    changed = comm.ticket()
    old, new = post(begun, "renew"), post(changed, "renew")
    server.stop()
    over = comm.ticket()

    assert not before["open"]
    assert "rt.serve()" in before["reason"]
    assert begun["urls"][0] == server.url
    assert begun["server"] == server.tickets.server
    assert [one.status_code for one in (there, old, new)] == [202, 401, 202]
    assert over == {**before}
    panel.close()


async def test_stop_over_the_side_channel_works_while_the_main_thread_is_busy(
    rt: NotebookRuntime,
):
    comm = Comm()
    panel = rt.chat(comm=comm, conversation="c1")
    rt.serve()
    comm.say("side_channel", origin=PAGE, state="asking")
    ticket = comm.ticket()
    comm.say("send", text="go", message_id="m1")
    comm.until("word word")

    started = time.monotonic()
    answer = post(ticket, "cancel", message_id="m1")
    comm.until("cancelled")  # by the widget channel: this works all the time
    seconds = time.monotonic() - started

    # The browser's tests ask for a second; by itself the turn ends after 1,000.
    assert answer.status_code == 202
    assert seconds < 5
    panel.close()


async def test_on_the_notebooks_own_loop_no_ticket_is_given(begin: Start, endless: Any):
    rt = begin(endless, loop="notebook", storage="memory:")
    rt.serve()
    comm = Comm()
    panel = rt.chat(comm=comm)
    comm.say("side_channel", origin=PAGE, state="asking")
    await rt.ready()

    ticket = comm.ticket()

    assert not ticket["open"]
    assert 'loop="thread"' in ticket["reason"]
    panel.close()


async def test_a_closed_panel_follows_no_server_and_holds_no_ticket(
    rt: NotebookRuntime,
):
    comm = Comm()
    panel = rt.chat(comm=comm)
    server = rt.serve()
    comm.say("side_channel", origin=PAGE, state="asking")
    ticket = comm.ticket()

    panel.close()
    over = threading.Event()
    panel._call(over.set)
    assert over.wait(10)

    assert post(ticket, "renew").status_code == 403
    server.stop()
    assert rt._side_channel._listeners == []


async def test_a_panel_that_could_not_be_made_keeps_no_server_from_ending(
    rt: NotebookRuntime,
):
    server = rt.serve()

    with pytest.raises(InvalidRequest, match="freeze"):
        rt.chat(freeze="x")
    server.stop()
    await rt.stop()

    assert not server.running
    assert rt.runtime.state == "stopped"
