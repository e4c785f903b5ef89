"""The panel and the dashboard over a client of another process's HTTP API."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent_runtime_nb._client import InProcessActorClient
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client import HttpActorClient
from agent_runtime_nb.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.widgets.actor_dashboard import ActorDashboard
from agent_runtime_nb.widgets.chat_panel import ChatPanel
from tests.widgets.front_end import FakeComm, FrontEnd, reduce_board
from tests.widgets.panels import ended, look, texts


@pytest.fixture
async def server(
    client: InProcessActorClient, runtime: InProcessActorRuntime
) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(client, runtime).start()
    yield server
    await asyncio.to_thread(server.stop)


@pytest.fixture
async def remote(server: EmbeddedServer) -> AsyncIterator[HttpActorClient]:
    async with HttpActorClient(server.url, token=server.token) as remote:
        yield remote


@pytest.fixture
async def panel(remote: HttpActorClient) -> AsyncIterator[ChatPanel]:
    actor_id = ActorId("scripted", "c1")
    panel = ChatPanel(remote, remote.directory, actor_id, comm=FakeComm())
    yield panel
    panel.close()


async def test_a_message_is_answered_in_the_panel(panel: ChatPanel) -> None:
    front_end = await look(panel)

    front_end.say("send", text="weather in Oslo", message_id="m1")
    turn = await front_end.until(ended("completed"))

    assert "Oslo: cloudy" in texts(turn)


async def test_a_turn_of_somebody_else_is_seen_in_the_panel(
    panel: ChatPanel, client: InProcessActorClient
) -> None:
    front_end = await look(panel)
    params = {"messages": [{"role": "user", "content": "think"}]}

    await client.send_request(ActorId("scripted", "c1"), "run", params)
    turn = await front_end.until(ended("completed"))

    assert "42" in texts(turn)


async def test_the_panel_says_that_the_server_is_away(
    panel: ChatPanel, server: EmbeddedServer, remote: HttpActorClient
) -> None:
    remote._connection.retry_for = 0.1
    front_end = await look(panel)

    await asyncio.to_thread(server.stop)

    detail = await front_end.until(
        lambda picture: picture["phase"] == "offline" and picture["detail"]
    )
    assert server.url in detail


async def test_the_panel_knows_a_runtime_that_was_stopped(
    panel: ChatPanel, runtime: InProcessActorRuntime
) -> None:
    front_end = await look(panel)

    await runtime.stop(drain=0)

    await front_end.until(lambda picture: picture["phase"] == "stopped")


async def test_the_dashboard_lists_the_actors_over_there(
    remote: HttpActorClient,
) -> None:
    params = {"messages": [{"role": "user", "content": "hi"}]}
    handle = await remote.send_request(ActorId("echo", "c9"), "run", params)
    await handle.get_response()

    comm = FakeComm()
    dashboard = ActorDashboard(remote.directory, comm=comm)
    page = FrontEnd(comm, reduce_board)
    await page.until(lambda picture: picture["head"]["phase"] == "live")
    await page.until(lambda picture: picture["rows"])
    before = [row["id"] for row in page.picture["rows"]]
    await remote.send_request(ActorId("echo", "c10"), "run", params)
    await page.until(lambda picture: len(picture["rows"]) > 1)
    dashboard.close()

    assert before == ["echo/c9"]
