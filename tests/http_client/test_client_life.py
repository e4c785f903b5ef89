"""Who may use a client over HTTP, from where, and how it ends."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from agent_runtime_nb.agents.proxy import AgentProxy
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    NotRunning,
    RemoteError,
)
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client.client import HttpActorClient
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.wait_graph import ASKING
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
)
from tests.fakes import HandlingActor, StartRuntime, background
from tests.http_client.remote_runtime import ONE, Remote, serving, taken, until

HEARS = ActorId("hears", "1")


@pytest.fixture
async def there() -> AsyncIterator[Remote]:
    async with serving() as there:
        yield there


# --- who may, from where, and the end


async def test_a_wrong_token_is_refused_and_shown_nowhere(there: Remote) -> None:
    client = there.client(token="not-the-token")  # noqa: S106 - it is none

    with pytest.raises(RemoteError, match="token") as caught:
        await client.send_request(ONE, "run", 0)

    assert not caught.value.retryable
    for shown in (repr(client), repr(client.directory), str(caught.value)):
        assert "not-the-token" not in shown


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://host", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="base_url"):
        HttpActorClient(url)


async def test_loops_in_threads_share_a_client_and_may_end(there: Remote) -> None:
    client = there.client()
    answers: list[Any] = []

    async def ask(name: str) -> None:
        handle = await client.send_request(ActorId("steps", name), "run", 0)
        answers.append((await handle.get_response()).data)

    def with_a_loop_of_its_own(name: str) -> None:
        asyncio.run(ask(name))

    for name in ("a", "b"):
        thread = threading.Thread(target=with_a_loop_of_its_own, args=(name,))
        thread.start()
        await asyncio.to_thread(thread.join, 10)
    await ask("c")

    assert answers == ["done"] * 3


async def test_a_watch_that_is_dropped_ends_on_the_server(there: Remote) -> None:
    client = there.client()
    watch = client.watch_actor(ONE)
    taking = background(taken(watch))
    streams = there.server._app.state.streams._open
    await until(lambda: len(streams) == 1, client)

    taking.cancel()
    await asyncio.wait([taking])
    del watch, taking
    gc.collect()

    await until(lambda: not streams, client)


async def test_a_closed_client_ends_those_who_wait(there: Remote) -> None:
    client = there.client()
    handle = await client.send_request(ONE, "run", 1)
    waiting = background(handle.get_response())
    watching = background(taken(client.watch_actor(ActorId("steps", "quiet"))))
    await client.directory.health()

    await asyncio.to_thread(client.close)

    for left in (waiting, watching):
        with pytest.raises(NotRunning):
            await left
    with pytest.raises(NotRunning):
        await client.directory.health()


# --- who stands on it


async def test_an_agent_proxy_does_not_notice_the_distance(there: Remote) -> None:
    proxy = AgentProxy(there.client(), "scripted", conversation="c1")

    plain = await proxy.run("weather in Oslo")
    stream = proxy.run("weather in Rome", stream=True)
    pieces = [update.text async for update in stream]

    assert plain.text == "Let me look. Here it is: **Oslo: cloudy, 18 °C**."
    assert "".join(pieces) == (await stream.get_final_response()).text
    assert len(pieces) > 3
    view = await there.runtime.read_actor(ActorId("scripted", "c1"))
    assert len(view.turns) == 2


async def test_a_client_can_be_served_again(there: Remote) -> None:
    """A server whose actors live behind another server."""
    client = there.client()
    outer = await asyncio.to_thread(EmbeddedServer(client, client.directory).start)
    try:
        async with HttpActorClient(outer.url, token=outer.token) as far:
            handle = await far.send_request(ONE, "run", 0)
            answer = await handle.get_response()
            types = await far.directory.actor_types()
    finally:
        await asyncio.to_thread(outer.stop)

    assert answer.data == "done"
    assert [one.name for one in types] == ["echo", "scripted", "steps"]


async def test_a_turn_gives_its_deadline_and_its_trace_to_what_it_asks_far_away(
    there: Remote, start: StartRuntime
) -> None:
    client = there.client()
    heard: list[tuple[Mapping[str, str], float]] = []

    async def hear(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
        turn = ASKING.get()
        assert turn is not None
        heard.append((message.metadata, turn.time_left()))

    async def ask(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
        for timeout in (None, 900.0, 20.0):
            handle = await client.send_request(HEARS, "run", timeout=timeout)
            await handle.get_response()

    there.runtime.register_actor_type("hears", lambda _: HandlingActor(hear))
    near = InProcessActorClient(await start(ask))
    headers = {"traceparent": "00-1-2-01", "mine": "stays"}
    asked = await near.send_request(
        ActorId("worker", "1"), "run", timeout=60.0, metadata=headers
    )
    await asked.get_response()

    assert [one for one, _ in heard] == [{"traceparent": "00-1-2-01"}] * 3
    first, second, third = [left for _, left in heard]
    assert 20 < second <= first <= 60
    assert third <= 20
