"""A client over HTTP on a wire that breaks: nothing is lost, nothing comes twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    DeadlineExceeded,
    OutcomeUnknown,
    RemoteError,
    TooLarge,
)
from agent_runtime_nb.http_client.client import HttpActorClient
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from tests.fakes import background
from tests.http_client.remote_runtime import ONE, Remote, serving, taken, until

WORDS = 12


@pytest.fixture
async def there() -> AsyncIterator[Remote]:
    async with serving() as there:
        yield there


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


async def test_turns_during_an_outage_are_reported_afterwards(there: Remote) -> None:
    client = there.client()
    # From a known cursor: without one it would begin anew after the outage.
    before = (await client.directory.read_actor(ActorId("echo", "c1"))).cursor
    watch = client.watch_actor(ActorId("echo", "c1"), before)
    first = background(taken(watch))
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
    first = background(taken(events))
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


@pytest.mark.parametrize(
    ("status", "error"), [("503 Busy", RemoteError), ("502 Bad", OutcomeUnknown)]
)
async def test_an_answer_of_what_stands_between_is_no_answer(
    status: str, error: type[Exception]
) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        head = f"HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + b"busy")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async with HttpActorClient(f"http://127.0.0.1:{port}", retry_for=0.2) as client:
        with pytest.raises(error):
            await client.send_request(ONE, "run", 0)
    server.close()

    assert asked > 1


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


async def test_large_requests_pass_and_too_large_ones_are_refused(
    there: Remote,
) -> None:
    client = there.client()
    echo = ActorId("echo", "c1")

    def said(size: int) -> Any:
        return {"messages": [{"role": "user", "content": "x" * size}]}

    handle = await client.send_request(echo, "run", said(3_000_000))
    response = await handle.get_response()
    with pytest.raises(TooLarge, match="the request"):  # the runtime's limit
        await client.send_request(echo, "run", said(8_500_000))
    with pytest.raises(TooLarge, match="the request"):  # the server's
        await client.send_request(echo, "run", said(10_500_000))

    assert len(response.data["messages"][0]["content"]) == 3_000_006
