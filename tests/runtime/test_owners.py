"""Several hosts on one storage, and what a dead one leaves behind."""

import pytest

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    StaleEpoch,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from tests.fakes import (
    ONE,
    Gate,
    StartRuntime,
    ask,
    count,
    echo,
)


async def test_a_second_host_is_told_who_owns_the_actor(start: StartRuntime) -> None:
    storage = InMemoryStateStorage()
    first = await start(echo, storage, host_name="the first")
    await ask(first)
    second = await start(echo, InMemoryStateStorage(storage))

    with pytest.raises(ActorOwnedElsewhere, match="the first"):
        await ask(second)

    other = await ask(second, "mine", ActorId("worker", "two"))
    assert other.data == "mine"


async def test_taking_over_fences_the_first_owner(start: StartRuntime) -> None:
    storage = InMemoryStateStorage()
    first = await start(count, storage)
    await ask(first)
    second = await start(count, InMemoryStateStorage(storage))
    second.take_over = True

    taken = await ask(second)

    assert taken.data == 2
    with pytest.raises(StaleEpoch):
        await ask(first)
    with pytest.raises(ActorOwnedElsewhere):
        await ask(first)


async def test_a_running_turn_whose_actor_was_taken_over_is_not_committed(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    storage, gate = InMemoryStateStorage(), Gate()
    first = await start(gate, storage)
    client = InProcessActorClient(first)
    running = await client.send_request(ONE, "run", "stale", "id-1")
    await gate.begun.get()
    second = await start(echo, InMemoryStateStorage(storage))
    second.take_over = True
    await ask(second, "newer")

    gate.passing.set()

    with pytest.raises(StaleEpoch):
        await running.get_response()
    earlier = await InProcessActorClient(second).get_response(ONE, "id-1")
    assert (await earlier.get_response()).status is RequestStatus.INTERRUPTED


async def test_what_a_dead_host_left_behind_is_interrupted_and_runs_not_by_itself(
    start: StartRuntime,
) -> None:
    storage, gate = InMemoryStateStorage(), Gate()
    first = await start(gate, storage)
    client = InProcessActorClient(first)
    for message_id in ("running", "waiting"):
        await client.send_request(ONE, "run", None, message_id)
    await gate.begun.get()
    await storage.close()  # as the death of the host

    reopened = InMemoryStateStorage(storage)
    second = await start(gate, reopened)

    assert (await reopened.list_actors(open_only=True)).items == ()
    for message_id in ("running", "waiting"):
        handle = await InProcessActorClient(second).get_response(ONE, message_id)
        response = await handle.get_response()
        assert response.status is RequestStatus.INTERRUPTED
        assert response.data["error"]["retryable"]
    assert gate.begun.empty()
