"""The panel and the dashboard over a client of another process's HTTP API."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client.client import HttpActorClient
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.widgets.actor_dashboard.dashboard import ActorDashboard
from agent_runtime_nb.widgets.chat_panel.panel import ChatPanel
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


async def test_a_tool_is_allowed_for_the_conversation_over_http(
    panel: ChatPanel,
) -> None:
    front_end = await look(panel)
    front_end.say("send", text="delete a.txt", message_id="m1")
    asked = await front_end.until(ended("completed"))
    request = asked["items"][-1]["id"]

    front_end.say("answer", turn="m1", request_id=request, decision="conversation")
    await front_end.until(ended("completed", turn=1))
    front_end.say("send", text="delete b.txt", message_id="m3")
    turn = await front_end.until(ended("completed", turn=2))

    assert "b.txt is deleted" in texts(turn)
    await front_end.until(lambda picture: picture["allowed_tools"] == ["delete_file"])


async def test_a_message_is_edited_in_a_fork_over_http(panel: ChatPanel) -> None:
    front_end = await look(panel)
    front_end.say("send", text="weather in Oslo", message_id="m1")
    await front_end.until(ended("completed"))

    front_end.say("edit", turn="m1", text="weather in Rome", message_id="m2")

    fork = await front_end.until(
        lambda picture: (
            picture["instance_id"] != "c1" and ended("completed")(picture) and picture
        )
    )
    assert "Rome" in texts(fork["turns"][0])
    [branch] = await front_end.until(lambda picture: picture["branches"])
    assert branch["options"][0]["instance_id"] == "c1"


async def test_retry_discard_rename_and_forget_work_over_http(
    panel: ChatPanel,
) -> None:
    front_end = await look(panel)
    front_end.say("send", text="fail", message_id="m1")
    await front_end.until(ended("failed"))

    front_end.say("retry", turn="m1")
    again = await front_end.until(ended("failed", turn=1))
    front_end.say("discard", turn="m1~2")
    await front_end.until(lambda picture: picture["turns"][1]["discarded"])
    front_end.say("rename", instance_id="c1", name="Trouble")
    await front_end.until(lambda picture: picture["name"] == "Trouble")
    front_end.say("forget")
    await front_end.until(lambda picture: picture["turns"] == [])

    assert again["retry_of"] == "m1"
    assert front_end.picture["name"] is None


async def test_a_name_given_by_somebody_else_is_noticed_over_http(
    remote: HttpActorClient,
    client: InProcessActorClient,
    runtime: InProcessActorRuntime,
) -> None:
    actor_id = ActorId("scripted", "c1")
    params = {"messages": [{"role": "user", "content": "think"}]}
    handle = await client.send_request(actor_id, "run", params)
    await handle.get_response()
    panel = ChatPanel(remote, remote.directory, actor_id, comm=FakeComm(), refresh=0.05)
    front_end = await look(panel)

    await runtime.rename(actor_id, "From elsewhere")

    await front_end.until(lambda picture: picture["name"] == "From elsewhere")
    panel.close()


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
