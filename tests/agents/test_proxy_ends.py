"""`AgentProxy`: how runs end, and what becomes of a turn whose caller goes away."""

import asyncio
from typing import Any

import pytest
from agent_framework import Message

from agent_runtime_nb.agents.proxy import AgentProxy
from agent_runtime_nb.agents.samples import EchoAgent, scripted_agent
from agent_runtime_nb.exceptions import InvalidRequest, TurnFailed, UnknownActorType
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from tests.agents.helpers import Gate, scripted
from tests.agents.proxy_helpers import (
    OpenStorage,
    SenderOnly,
    ask,
    hosting,
    open_storage,
    read,
    told,
)
from tests.fakes import background, settled, soon

__all__ = ["open_storage"]  # a fixture


# --- ends -----------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_turn_raises_what_it_recorded(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    script = ["I begin, ", ConnectionError("line is dead")]

    async with hosting(open_storage(), agent=scripted(script)) as host:
        with pytest.raises(TurnFailed) as caught:
            await ask(host.proxy(), "Hi", stream=stream)

    assert str(caught.value) == "the turn failed: ConnectionError: line is dead"
    assert caught.value.retryable
    response: Any = caught.value.response
    assert response.data["messages"][0]["content"] == "I begin, "


async def test_the_place_in_the_users_code_is_told() -> None:
    def broken(message: str) -> str:
        raise ValueError("oh")

    async with hosting(agent=broken) as host:
        with pytest.raises(TurnFailed, match=r"ValueError: oh \(in broken, line"):
            await host.proxy().run("Hi")


def test_what_is_no_client_is_refused_before_anything_is_said() -> None:
    runtime: Any = object()

    with pytest.raises(InvalidRequest, match=r"no send_request.*such as rt\.client"):
        AgentProxy(runtime, "echo")


async def test_a_proxy_shows_where_its_runs_go() -> None:
    async with hosting(agent=EchoAgent()) as host:
        proxy = AgentProxy(host.client, "agent", conversation="c1")

        assert repr(proxy) == "AgentProxy('agent', conversation='c1')"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_client_raises_comes_through(*, stream: bool) -> None:
    async with hosting(agent=EchoAgent()) as host:
        with pytest.raises(UnknownActorType):
            await ask(host.proxy("nobody"), "Hi", stream=stream)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_answer_is_what_there_is_of_it_and_marked(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["one two three four"], delay=1, sleep=gate.sleep)

    async with hosting(open_storage(), agent=agent) as host:
        message = Message("user", ["Hi"], message_id="m1")
        proxy = host.proxy(conversation="c")
        running = background(ask(proxy, message, stream=stream))
        await soon(gate.reached.wait())
        await host.client.cancel(ActorId("agent", "c"), "m1")
        response = await soon(running)

    assert response.additional_properties["status"] == "cancelled"
    *_, partial, note = response.messages
    assert partial.text == "one two"
    assert note.text == "[This answer was stopped before it was finished.]"
    assert note.additional_properties == {"status": "cancelled"}


async def test_the_stream_of_a_cancelled_answer_ends_with_the_note() -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["one two three four"], delay=1, sleep=gate.sleep)

    async with hosting(agent=agent) as host:
        message = Message("user", ["Hi"], message_id="m1")
        stream = host.proxy(conversation="c").run(message, stream=True)
        reading = background(read(stream))
        await soon(gate.reached.wait())
        await host.client.cancel(ActorId("agent", "c"), "m1")
        updates = await soon(reading)

    texts = [update.text for update in updates]
    assert texts == ["one", " two", "[This answer was stopped before it was finished.]"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_interrupted_answer_is_marked(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["one two three four"], delay=1, sleep=gate.sleep)

    async with hosting(open_storage(), agent=agent) as host:
        running = background(ask(host.proxy(), "Hi", stream=stream))
        await soon(gate.reached.wait())
        await host.runtime.stop(drain=0)
        response = await soon(running)

    assert response.additional_properties["status"] == "interrupted"
    assert response.messages[-1].text.startswith("[This answer was interrupted")


async def test_what_was_withdrawn_before_it_began_has_no_words_but_the_note() -> None:
    gate = Gate(at=0)
    agent = scripted_agent(["never"], delay=1, sleep=gate.sleep)

    async with hosting(agent=agent) as host:
        proxy = host.proxy(conversation="c")
        running = background(proxy.run("first"))
        await soon(gate.reached.wait())
        waiting = background(proxy.run(told()))
        await settled()
        await host.client.cancel(ActorId("agent", "c"), "m1")
        response = await soon(waiting)
        running.cancel()

    assert response.text == "[This answer was stopped before it was finished.]"


# --- callers who go away --------------------------------------------------------------


async def status_of_the_only_turn(host: Any) -> RequestStatus:
    handle = await host.client.get_response(ActorId("agent", "c"), "m1")
    return (await soon(handle.get_response())).status


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_is_cancelled_stops_the_turn(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["one two three"], delay=1, sleep=gate.sleep)

    async with hosting(open_storage(), agent=agent) as host:
        running = background(ask(host.proxy(conversation="c"), told(), stream=stream))
        await soon(gate.reached.wait())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert await status_of_the_only_turn(host) is RequestStatus.CANCELLED
        assert (await host.said("c"))[-1] == "assistant: one two"


async def test_a_caller_may_leave_the_turn_alone() -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["one two three"], delay=1, sleep=gate.sleep)

    async with hosting(agent=agent) as host:
        proxy = host.proxy(conversation="c", cancel_with_caller=False)
        running = background(proxy.run(told()))
        await soon(gate.reached.wait())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        view = await host.runtime.read_actor(ActorId("agent", "c"))
        assert view.running is not None


async def test_a_stream_that_is_closed_early_stops_the_turn() -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["one two three"], delay=1, sleep=gate.sleep)

    async with hosting(agent=agent) as host:
        async with host.proxy(conversation="c").run(told(), stream=True) as stream:
            first = await anext(aiter(stream))
        response = await stream.get_final_response()

        assert await status_of_the_only_turn(host) is RequestStatus.CANCELLED
    assert (first.text, response.text) == ("one", "one")
    assert response.additional_properties["status"] == "cancelled"


async def test_a_caller_who_is_cancelled_while_sending_stops_the_turn() -> None:
    gate = Gate(at=0)
    agent = scripted_agent(["never"], delay=1, sleep=gate.sleep)

    async with hosting(agent=agent) as host:
        sent = asyncio.Event()

        class SlowAnswers(SenderOnly):
            async def send_request(self, *args: Any, **options: Any) -> Any:
                handle = await super().send_request(*args, **options)
                if len(self.options) == 1:
                    sent.set()
                    await asyncio.Event().wait()
                return handle

        proxy = AgentProxy(SlowAnswers(host.client), "agent", conversation="c")
        running = background(proxy.run(told()))
        await soon(sent.wait())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert await status_of_the_only_turn(host) is RequestStatus.CANCELLED
        assert len(await host.turns("c")) == 1


async def test_a_turn_that_cannot_be_cancelled_does_not_keep_its_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hosting(agent=EchoAgent()) as host:
        tried = asyncio.Event()

        class Dead(SenderOnly):
            async def send_request(self, *args: Any, **options: Any) -> Any:
                if tried.is_set():
                    raise ConnectionError("gone")
                tried.set()
                await asyncio.Event().wait()

        running = background(AgentProxy(Dead(host.client), "agent").run("Hi"))
        await soon(tried.wait())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(running)

    assert "could not be cancelled" in caplog.text


async def test_deadline_and_urgency_travel_along() -> None:
    async with hosting(agent=EchoAgent()) as host:
        sender = SenderOnly(host.client)
        proxy = AgentProxy(sender, "agent", timeout=5, when_busy="reject")

        await proxy.run("Hi")

    assert sender.options == [{"timeout": 5, "when_busy": "reject", "metadata": None}]
