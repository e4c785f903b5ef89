"""What a directory tells over HTTP is what it tells in process, types and all."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agent_runtime_nb.exceptions import LoopBlocked
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client.client import HttpActorClient
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId, IActorClient
from agent_runtime_nb.runtime_directory import Health, RuntimeDirectory
from tests.contracts.reaches import ONE, RuntimeThread, Talker
from tests.fakes import HandlingActor
from tests.http_api.no_directory import NoDirectory
from tests.same_values import raised, typed

Ends = tuple[
    tuple[IActorClient, RuntimeDirectory], tuple[IActorClient, RuntimeDirectory]
]


@pytest.fixture
async def ends(talker: Talker) -> AsyncIterator[Ends]:
    """One runtime, reached in process and over HTTP, with something of everything."""
    runtime = InProcessActorRuntime()
    runtime.register_actor_type("talker", lambda _: HandlingActor(talker))
    client, home = InProcessActorClient(runtime), RuntimeThread()
    await asyncio.wrap_future(home.run(runtime.start()))
    server = EmbeddedServer(client, runtime).start()
    params = {"n": [1, 1.0, -0.0, 1e22, 2**63, None, True, "ü"]}
    done = await client.send_request(ONE, "run", params, "m1", metadata={"a": "b"})
    await done.get_response()
    await runtime.fork(ONE, to=ActorId("talker", "a/fork"))
    await runtime.rename(ONE, "A näme")
    running = await client.send_request(ONE, "run", "begun wait", "m2")
    await anext(running.watch_updates())
    await client.send_request(ONE, "run", "next", "m3")

    async with HttpActorClient(server.url, token=server.token) as remote:
        yield (client, runtime), (remote, remote.directory)
    await asyncio.get_running_loop().run_in_executor(None, server.stop)
    talker.let_go("wait")
    await asyncio.wrap_future(home.run(runtime.stop(drain=0)))
    home.close()


async def test_what_is_looked_at_is_the_same(ends: Ends) -> None:
    async def look(directory: RuntimeDirectory) -> list[Any]:
        listed = await directory.list_actors(limit=1)
        health = await directory.health()
        # What time it is when somebody looks is no fact of the other end.
        assert type(health.loop_lag) is float
        return [
            await directory.actor_types(),
            replace(health, loop_lag=0.0),
            listed,
            replace(
                (await directory.list_actors(after=listed.next)).items[0],
                running_for=0.0,
            ),
            await directory.list_conversations(),
            await directory.dead_letters(),
            await directory.read_actor(ONE),
            await directory.read_actor(ActorId("talker", "a/fork")),
            await directory.read_actor(ONE, before=1),
        ]

    (_, here), (_, there) = ends

    assert typed(await look(there)) == typed(await look(here))


async def test_responses_and_updates_are_the_same(ends: Ends) -> None:
    async def look(client: IActorClient) -> list[Any]:
        response = await (await client.get_response(ONE, "m1")).get_response()
        watching = client.watch_actor(ONE)
        updates = [await anext(watching) for _ in range(4)]
        return [response, updates]

    (here, _), (there, _) = ends

    assert typed(await look(there)) == typed(await look(here))


class Blocked(NoDirectory):
    """Its runtime does not answer: an error that is a `TimeoutError`, too."""

    async def health(self) -> Health:
        raise LoopBlocked(2.5)


async def test_an_error_that_is_a_timeout_keeps_its_facts() -> None:
    runtime = InProcessActorRuntime()
    server = EmbeddedServer(InProcessActorClient(runtime), Blocked()).start()

    async with HttpActorClient(server.url, token=server.token) as remote:
        with raised(LoopBlocked(2.5)):
            await remote.directory.health()

    await asyncio.get_running_loop().run_in_executor(None, server.stop)
