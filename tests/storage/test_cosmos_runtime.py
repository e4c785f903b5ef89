"""The runtime on the Cosmos DB storage: turns, faults, restarts, two hosts."""

import asyncio

import pytest

from agent_runtime_nb.exceptions import ActorOwnedElsewhere, StaleEpoch, StorageError
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import RequestStatus
from agent_runtime_nb.settings import RuntimeSettings
from tests.contracts.cosmos_subject import CosmosSubject
from tests.fakes import ONE, Gate, StartRuntime, ask, count
from tests.storage.cosmos_fixtures import B, storage_on


async def test_turns_of_many_actors_at_once_are_all_stored(
    cosmos_subject: CosmosSubject, start: StartRuntime
):
    storage = storage_on(cosmos_subject, timeout=20.0)
    runtime = await start(count, storage)
    actors = [ONE, B]

    answers = await asyncio.gather(
        *(ask(runtime, None, actors[n % 2]) for n in range(20))
    )

    assert sorted(answer.data for answer in answers) == sorted([*range(1, 11)] * 2)
    for actor_id in actors:
        turns = await storage.read_turns(actor_id)
        assert [turn.attempts for turn in turns] == [1] * 10
        assert {turn.status for turn in turns} == {RequestStatus.COMPLETED}


async def test_the_runtime_does_not_notice_a_lost_answer(
    cosmos_subject: CosmosSubject, start: StartRuntime
):
    storage = storage_on(cosmos_subject, timeout=20.0)
    runtime = await start(count, storage)
    await ask(runtime)
    cut = cosmos_subject.wire.cut_after_commit(times=2)

    answer = await ask(runtime)
    after = await ask(runtime)

    assert cut.is_set()
    assert (answer.data, after.data) == (2, 3)
    turns = await storage.read_turns(ONE)
    assert [turn.attempts for turn in turns] == [1, 1, 1]


async def test_the_runtime_is_slower_but_right_while_it_is_throttled(
    cosmos_subject: CosmosSubject, start: StartRuntime
):
    runtime = await start(count, storage_on(cosmos_subject, timeout=20.0))
    cosmos_subject.wire.refuse(429, times=4, retry_after=0.05)

    answers = [await ask(runtime) for _ in range(3)]

    assert [answer.data for answer in answers] == [1, 2, 3]


async def test_the_runtime_goes_on_when_the_service_is_back(
    cosmos_subject: CosmosSubject, start: StartRuntime
):
    storage = storage_on(cosmos_subject, timeout=0.5)
    settings = RuntimeSettings(commit_retries=(0.05,) * 20)
    runtime = await start(count, storage, settings=settings)
    await ask(runtime)

    cosmos_subject.wire.down()
    with pytest.raises(StorageError) as refused:
        await ask(runtime)
    cosmos_subject.wire.heal()

    assert refused.value.retryable
    assert (await ask(runtime)).data == 2


async def test_a_restart_interrupts_what_ran_and_goes_on_with_the_conversation(
    cosmos_subject: CosmosSubject, start: StartRuntime
):
    storage, gate = storage_on(cosmos_subject, timeout=20.0), Gate()
    first = await start(gate, storage)
    client = InProcessActorClient(first)
    await client.send_request(ONE, "run", "hello", "was-running")
    await gate.begun.get()
    await cosmos_subject.kill(storage)

    again = storage_on(cosmos_subject, timeout=20.0)
    second = await start(count, again)

    handle = await InProcessActorClient(second).get_response(ONE, "was-running")
    assert (await handle.get_response()).status is RequestStatus.INTERRUPTED
    assert (await again.list_actors(open_only=True)).items == ()
    assert (await ask(second)).data == 1
    statuses = [turn.status for turn in await again.read_turns(ONE)]
    assert statuses == [RequestStatus.INTERRUPTED, RequestStatus.COMPLETED]


async def test_two_hosts_share_a_container_and_each_keeps_its_own(
    cosmos_subject: CosmosSubject, start: StartRuntime
):
    first = await start(
        count, storage_on(cosmos_subject, timeout=20.0), host_name="the first"
    )
    second = await start(count, storage_on(cosmos_subject, timeout=20.0))
    await ask(first)

    with pytest.raises(ActorOwnedElsewhere, match="the first"):
        await ask(second)

    assert (await ask(second, None, B)).data == 1
    second.take_over = True
    assert (await ask(second)).data == 2
    with pytest.raises(StaleEpoch):
        await ask(first)
