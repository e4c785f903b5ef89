"""The runtime on PostgreSQL: what it makes of lost answers, lost servers, lost hosts."""

import asyncio
import threading
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    OutcomeUnknown,
    StorageError,
)
from agent_runtime_nb.hosting import Host
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import RuntimeSettings
from tests.fakes import ONE, Gate, StartRuntime, ask, background, count, soon
from tests.storage.postgres_fixtures import PostgresSchema


async def test_the_runtime_finds_a_commit_whose_answer_was_lost(
    postgres: PostgresSchema, start: StartRuntime
):
    cuts: list[threading.Event] = []

    async def cut_and_count(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        cuts.append(postgres.wire.cut_after_answer(b"commit"))
        return await count(context, message)

    runtime = await start(cut_and_count, postgres.make(postgres.wire_url))
    answers = [await ask(runtime) for _ in range(5)]

    assert all(cut.is_set() for cut in cuts)
    assert [answer.status for answer in answers] == [RequestStatus.COMPLETED] * 5
    assert [answer.data for answer in answers] == [1, 2, 3, 4, 5]


async def test_the_runtime_finds_an_accept_whose_answer_was_lost(
    postgres: PostgresSchema, start: StartRuntime
):
    runtime = await start(count, postgres.make(postgres.wire_url))
    await ask(runtime)
    cut = postgres.wire.cut_after_answer(b"commit")

    with pytest.raises(OutcomeUnknown):
        await ask(runtime, message_id="once")
    answer = await ask(runtime, message_id="once")

    assert cut.is_set()
    assert (answer.status, answer.data) == (RequestStatus.COMPLETED, 2)
    assert (await ask(runtime)).data == 3


async def test_the_runtime_goes_on_when_the_server_is_back(
    postgres: PostgresSchema, start: StartRuntime
):
    runtime = await start(count, postgres.make(connect_timeout=1.0))
    await ask(runtime)

    with postgres.server.away("immediate"), pytest.raises(StorageError):
        await ask(runtime)

    assert (await ask(runtime)).data == 2


async def test_a_turn_that_ends_while_the_server_is_away_is_kept(
    postgres: PostgresSchema, start: StartRuntime
):
    gate = Gate()
    settings = RuntimeSettings(commit_retries=(0.2,) * 50)
    runtime = await start(gate, postgres.make(connect_timeout=1.0), settings=settings)
    handle = await InProcessActorClient(runtime).send_request(ONE, "run", "hello")
    await soon(gate.begun.get())

    with postgres.server.away("immediate"):
        gate.passing.set()
        waiting = background(handle.get_response())
        done, _ = await asyncio.wait([waiting], timeout=0.3)
    answer = await waiting

    assert not done
    assert (answer.status, answer.data) == (RequestStatus.COMPLETED, "hello")


async def test_a_turn_of_a_host_that_died_is_interrupted_for_the_next(
    postgres: PostgresSchema, start: StartRuntime
):
    gate = Gate()
    storage = postgres.make(lease=1.0)
    first = await start(gate, storage)
    handle = await InProcessActorClient(first).send_request(ONE, "run", "hello")
    await soon(gate.begun.get())
    assert storage._session is not None
    storage._session.renewer.abandon()
    await asyncio.wrap_future(storage._session.renewer._ended)
    await postgres.sql("update {s}.host set expires_at = '-infinity'")

    second = await start(count, postgres.make())
    found = await InProcessActorClient(second).get_response(ONE, handle.message_id)
    response = await found.get_response()

    assert response.status is RequestStatus.INTERRUPTED
    assert (await ask(second)).data == 1


async def test_a_conversation_goes_on_in_the_next_host(postgres: PostgresSchema):
    url = f"{postgres.server.url()}?schema={postgres.schema}"
    actor_id = ActorId("echo", "c1")

    for text in ("first", "second"):
        async with Host("echo", storage=url) as host:
            message = {"messages": [{"role": "user", "content": text}]}
            handle = await host.client.send_request(actor_id, "run", message)
            answer = await handle.get_response()
            view = await host.runtime.read_actor(actor_id)

    assert f"Echo: {text}" in answer.data["messages"][-1]["content"]
    assert [turn.status for turn in view.turns] == [RequestStatus.COMPLETED] * 2
