"""What a client over HTTP does beside the contract: lost connections, threads, ends."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent_runtime_nb._client import InProcessActorClient
from agent_runtime_nb.agent_actor import AgentActor
from agent_runtime_nb.agent_proxy import AgentProxy
from agent_runtime_nb.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    NotRunning,
    OutcomeUnknown,
    RemoteError,
)
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client import HttpActorClient
from agent_runtime_nb.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.sample_agents import EchoAgent, scripted_agent
from tests.fakes import HandlingActor, background
from tests.servers.tcp_faults import TcpFaults

ONE = ActorId("steps", "one")
WORDS = 12


@dataclass
class Steps:
    """Publishes one word for each `go`, and ends after the last."""

    allowed: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    turns: int = 0

    async def __call__(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        self.turns += 1
        for number in range(int(message.params)):
            await self.allowed.acquire()
            context.on_progress_update(message.message_id, number, f"word {number}")
        return "done"

    def go(self, times: int = 1) -> None:
        for _ in range(times):
            self.allowed.release()


@dataclass
class Remote:
    """A runtime here, its server, and a bad wire to it."""

    runtime: InProcessActorRuntime
    server: EmbeddedServer
    wire: TcpFaults
    steps: Steps
    clients: list[HttpActorClient] = field(default_factory=list[HttpActorClient])

    def client(self, retry_for: float = 20.0, **options: Any) -> HttpActorClient:
        options.setdefault("token", self.server.token)
        url = f"http://127.0.0.1:{self.wire.port}"
        client = HttpActorClient(url, retry_for=retry_for, **options)
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving() -> Any:
    runtime, steps = InProcessActorRuntime(), Steps()
    runtime.register_actor_type("steps", lambda _: HandlingActor(steps))
    runtime.register_actor_type("echo", lambda _: AgentActor(EchoAgent()))
    runtime.register_actor_type(
        "scripted", lambda _: AgentActor(scripted_agent(delay=0))
    )
    await runtime.start()
    with TcpFaults(("127.0.0.1", 0)) as wire:
        server = EmbeddedServer(
            InProcessActorClient(runtime),
            runtime,
            allowed_hosts=[f"127.0.0.1:{wire.port}"],
        ).start()
        wire._target = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        there = Remote(runtime, server, wire, steps)
        yield there
        steps.go(1000)
        for client in there.clients:
            await asyncio.to_thread(client.close)
        await asyncio.to_thread(server.stop)
    await runtime.stop(drain=0)


@pytest.fixture
async def there() -> AsyncIterator[Remote]:
    async with serving() as there:
        yield there


async def until(holds: Callable[[], bool], client: HttpActorClient) -> None:
    """Wait for something on the server's side; each look is an exchange."""
    async with asyncio.timeout(10):
        while not holds():
            await client.directory.health()


# --- streams that are cut


async def test_updates_go_on_after_a_cut_at_every_one_of_them(there: Remote) -> None:
    client = there.client()
    handle = await client.send_request(ONE, "run", WORDS)
    seen: list[Any] = []

    there.steps.go()
    async for message in handle.watch_updates():
        seen.append(message.data)
        await asyncio.to_thread(there.wire.cut_all)
        there.steps.go()

    expected = [{"sequence": n, "progress": f"word {n}"} for n in range(WORDS)]
    assert seen == [*expected, "done"]
    assert there.steps.turns == 1


async def test_a_watched_actor_goes_on_after_a_cut_at_every_update(
    there: Remote,
) -> None:
    client = there.client()
    seen: list[Any] = []
    begun = asyncio.Event()

    async def watch() -> None:
        async for update in client.watch_actor(ONE):
            if update.kind == "progress":
                seen.append(update.data)
            await asyncio.to_thread(there.wire.cut_all)
            begun.set()
            there.steps.go()
            if update.kind == "ended":
                return

    handle = await client.send_request(ONE, "run", WORDS)
    watching = background(watch())
    async with asyncio.timeout(30):
        await watching

    assert seen == [f"word {n}" for n in range(WORDS)]
    assert (await handle.get_response()).status is RequestStatus.COMPLETED


async def test_turns_during_an_outage_are_told_afterwards(there: Remote) -> None:
    client = there.client()
    watch = client.watch_actor(ActorId("echo", "c1"))
    first = background(anext(watch))
    await until(lambda: bool(there.server._app.state.streams._open), client)
    here = InProcessActorClient(there.runtime)
    params = {"messages": [{"role": "user", "content": "while you were away"}]}

    await asyncio.to_thread(there.wire.down)
    handle = await here.send_request(ActorId("echo", "c1"), "run", params)
    await handle.get_response()
    await asyncio.to_thread(there.wire.heal)

    async with asyncio.timeout(10):
        seen = [await first]
        while seen[-1].kind != "ended":
            seen.append(await anext(watch))
    assert {update.message_id for update in seen} == {handle.message_id}


async def test_a_stream_that_cannot_go_on_says_so(there: Remote) -> None:
    client = there.client(retry_for=0.1)
    handle = await client.send_request(ONE, "run", 2)
    updates = handle.watch_updates()
    there.steps.go()
    await anext(updates)

    await asyncio.to_thread(there.wire.down)

    with pytest.raises(RemoteError, match="the stream broke") as caught:
        await anext(updates)
    assert caught.value.retryable


async def test_events_that_were_missed_are_not_passed_over(there: Remote) -> None:
    client = there.client()
    events = client.directory.watch_events()
    first = background(anext(events))
    await until(lambda: bool(there.server._app.state.streams._open), client)
    await client.send_request(ONE, "run", 0)
    assert await first

    await asyncio.to_thread(there.wire.cut_all)

    with pytest.raises(RemoteError, match="the stream broke"):
        async for _ in events:
            pass


# --- requests that are cut


async def test_a_request_whose_answer_is_lost_runs_once(there: Remote) -> None:
    client = there.client()
    there.steps.go(10)
    cut = there.wire.cut_after_answer(b"POST /actors/requests")

    handle = await client.send_request(ONE, "run", 1)
    response = await handle.get_response()

    assert cut.is_set()
    assert (response.status, there.steps.turns) == (RequestStatus.COMPLETED, 1)
    view = await client.directory.read_actor(ONE)
    assert [turn.message_id for turn in view.turns] == [handle.message_id]


async def test_what_may_have_arrived_is_not_called_refused(there: Remote) -> None:
    client = there.client(retry_for=0)
    there.steps.go(10)
    there.wire.cut_after_answer(b"POST /actors/requests")

    with pytest.raises(OutcomeUnknown):
        await client.send_request(ONE, "run", 1, "id-1")

    again = await client.send_request(ONE, "run", 1, "id-1")
    assert (await again.get_response()).data == "done"
    assert there.steps.turns == 1


async def test_what_would_do_more_twice_is_not_tried_again(there: Remote) -> None:
    client = there.client()
    await (await client.send_request(ONE, "run", 0)).get_response()
    there.wire.cut_after_answer(b"POST /directory/verbs/fork")

    with pytest.raises(RemoteError, match="may or may not have happened"):
        await client.directory.fork(ONE)

    page = await client.directory.list_actors("steps")
    assert len(page.items) == 2


async def test_a_wait_for_an_answer_survives_a_cut(there: Remote) -> None:
    client = there.client()
    handle = await client.send_request(ONE, "run", 1)
    waiting = background(handle.get_response())
    await client.directory.health()

    await asyncio.to_thread(there.wire.cut_all)
    there.steps.go()

    assert (await waiting).data == "done"


async def test_a_server_that_comes_back_in_time_is_reached(there: Remote) -> None:
    client = there.client()
    await asyncio.to_thread(there.wire.down)
    sending = background(client.send_request(ONE, "run", 0))
    await asyncio.to_thread(there.wire.heal)

    handle = await sending

    assert (await handle.get_response()).data == "done"


async def test_a_server_that_is_away_is_an_error_after_the_retries(
    there: Remote,
) -> None:
    client = there.client(retry_for=0.1)
    await asyncio.to_thread(there.wire.down)

    with pytest.raises(RemoteError, match="not reached") as caught:
        await client.send_request(ONE, "run", 0)

    assert caught.value.retryable
    assert str(there.wire.port) in str(caught.value)


async def test_a_deadline_holds_while_the_wire_is_dead(there: Remote) -> None:
    client = there.client()
    await client.directory.health()
    await asyncio.to_thread(there.wire.black_hole)

    with pytest.raises(DeadlineExceeded):
        await client.send_request(ONE, "run", 0, timeout=0.2)
    await asyncio.to_thread(there.wire.heal)


async def test_requests_of_one_caller_keep_their_order_over_a_cut(
    there: Remote,
) -> None:
    client = there.client()
    there.wire.cut_after_answer(b"POST /actors/requests")

    sends = [client.send_request(ONE, "run", 0, f"id-{n}") for n in range(8)]
    handles = await asyncio.gather(*sends)
    for handle in handles:
        await handle.get_response()

    view = await client.directory.read_actor(ONE)
    assert [turn.message_id for turn in view.turns] == [f"id-{n}" for n in range(8)]


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

    for name in ("a", "b"):  # each with a loop that is gone afterwards
        thread = threading.Thread(target=lambda name=name: asyncio.run(ask(name)))
        thread.start()
        await asyncio.to_thread(thread.join, 10)
    await ask("c")

    assert answers == ["done"] * 3


async def test_a_watch_that_is_dropped_ends_on_the_server(there: Remote) -> None:
    client = there.client()
    watch = client.watch_actor(ONE)
    taking = background(anext(watch))
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
    watching = background(anext(client.watch_actor(ActorId("steps", "quiet"))))
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
