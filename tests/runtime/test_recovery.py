"""What becomes of what a dead host left behind: asked, run again, failed."""

import asyncio
from typing import Any

import pytest

from agent_runtime_nb.exceptions import RequestNotFound
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.supervision import OnInterrupted
from tests.fakes import ONE, Gate, HandlingActor, ask, soon

TWO = ActorId("worker", "two")


class Hosts:
    """Hosts one after the other on one storage; each dies without a word."""

    def __init__(self, on_interrupted: OnInterrupted) -> None:
        self.on_interrupted: OnInterrupted = on_interrupted
        self.data = InMemoryStateStorage()
        self.storage = self.data
        self.ran: list[Any] = []
        self.gate = Gate()
        self.runtimes: list[InProcessActorRuntime] = []

    async def handle(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        self.ran.append(message.message_id)
        await self.gate(context, message)
        n = await context.read_state("n", 0) + 1
        await context.write_state("n", n)
        return n

    async def next(self) -> InProcessActorClient:
        """A new host, after the death of the one before."""
        if self.runtimes:
            await self.storage.close()
        self.storage = InMemoryStateStorage(self.data)
        self.gate = Gate()
        runtime = InProcessActorRuntime(self.storage)
        runtime.register_actor_type(
            "worker",
            lambda _: HandlingActor(self.handle),
            on_interrupted=self.on_interrupted,
        )
        await runtime.start()
        self.runtimes.append(runtime)
        return InProcessActorClient(runtime)

    async def stop(self) -> None:
        for runtime in self.runtimes:
            await runtime.stop(drain=0)


async def left_behind(on_interrupted: OnInterrupted, *ids: str) -> Hosts:
    """A host that died with the first of these requests running."""
    hosts = Hosts(on_interrupted)
    client = await hosts.next()
    for message_id in ids:
        await client.send_request(ONE, "run", None, message_id)
    await hosts.gate.begun.get()
    return hosts


async def ends(client: InProcessActorClient, *ids: str) -> list[tuple[str, Any]]:
    """Status and data of requests."""
    found: list[tuple[str, Any]] = []
    for message_id in ids:
        handle = await client.get_response(ONE, message_id)
        response = await soon(handle.get_response())
        found.append((response.status.value, response.data))
    return found


async def test_rerun_runs_what_was_left_in_its_old_order_and_once_each() -> None:
    hosts = await left_behind("rerun", "a", "b", "c")

    client = await hosts.next()
    hosts.gate.passing.set()

    assert await ends(client, "a", "b", "c") == [
        ("completed", 1),
        ("completed", 2),
        ("completed", 3),
    ]
    assert hosts.ran == ["a", "a", "b", "c"]
    await hosts.stop()


async def test_a_new_request_waits_behind_what_was_left() -> None:
    hosts = await left_behind("rerun", "a", "b")

    client = await hosts.next()
    new = await client.send_request(ONE, "run", None, "new")
    hosts.gate.passing.set()
    await soon(new.get_response())

    assert hosts.ran == ["a", "a", "b", "new"]
    await hosts.stop()


async def test_what_was_left_is_attached_to_by_its_id_while_it_runs_again() -> None:
    hosts = await left_behind("rerun", "a")

    client = await hosts.next()
    again = await client.send_request(ONE, "run", None, "a")
    hosts.gate.passing.set()

    assert (await soon(again.get_response())).data == 1
    assert hosts.ran == ["a", "a"]
    await hosts.stop()


async def test_every_run_is_counted_in_the_store_before_it_begins() -> None:
    hosts = await left_behind("rerun", "a")

    await hosts.next()
    await hosts.gate.begun.get()

    record = await hosts.storage.find_turn(ONE, "a")
    assert record is not None
    assert (record.attempts, record.status) == (2, RequestStatus.PENDING)
    await hosts.stop()


async def test_a_request_whose_host_died_three_times_is_a_dead_letter() -> None:
    hosts = await left_behind("rerun", "poison", "fine")
    for _ in range(2):
        await hosts.next()
        await hosts.gate.begun.get()

    client = await hosts.next()
    hosts.gate.passing.set()
    found = await ends(client, "poison", "fine")
    page = await hosts.runtimes[-1].dead_letters()

    assert [status for status, _ in found] == ["failed", "completed"]
    assert found[0][1]["error"]["type"] == "DeadLetter"
    assert hosts.ran == ["poison"] * 3 + ["fine"]
    assert [(one.actor_id, one.message_id, one.attempts) for one in page.items] == [
        (ONE, "poison", 3)
    ]
    await hosts.stop()


async def test_a_dead_letter_is_listed_until_it_is_sent_again() -> None:
    hosts = await left_behind("rerun", "poison")
    for _ in range(2):
        await hosts.next()
        await hosts.gate.begun.get()
    await hosts.next()
    client = await hosts.next()
    hosts.gate.passing.set()
    runtime = hosts.runtimes[-1]

    new_id = await runtime.requeue(ONE, "poison")
    [(status, data)] = await ends(client, new_id)

    assert (status, data) == ("completed", 1)
    assert (await runtime.dead_letters()).items == ()
    with pytest.raises(RequestNotFound):
        await runtime.requeue(ONE, "poison")
    await hosts.stop()


async def test_under_fail_everything_left_behind_has_failed_and_nothing_runs() -> None:
    hosts = await left_behind("fail", "a", "b")

    client = await hosts.next()
    found = await ends(client, "a", "b")

    assert [(status, data["error"]["type"]) for status, data in found] == [
        ("failed", "Interrupted"),
        ("failed", "Interrupted"),
    ]
    assert hosts.ran == ["a"]
    await hosts.stop()


async def test_under_ask_nothing_runs_by_itself_and_run_again_does() -> None:
    hosts = await left_behind("ask", "a", "b")

    client = await hosts.next()
    hosts.gate.passing.set()
    before = await ends(client, "a", "b")
    new_id = await hosts.runtimes[-1].run_again(ONE, "a")
    after = await ends(client, new_id, "a")

    assert [status for status, _ in before] == ["interrupted", "interrupted"]
    assert [status for status, _ in after] == ["completed", "interrupted"]
    assert hosts.ran == ["a", "a~2"]
    await hosts.stop()


async def test_what_a_living_neighbour_runs_is_left_alone() -> None:
    hosts = await left_behind("rerun", "a")
    neighbour = InProcessActorRuntime(InMemoryStateStorage(hosts.data))
    neighbour.register_actor_type(
        "worker", lambda _: HandlingActor(hosts.handle), on_interrupted="rerun"
    )

    await neighbour.start()
    await asyncio.sleep(0)

    assert hosts.ran == ["a"]
    record = await hosts.storage.find_turn(ONE, "a")
    assert record is not None
    assert record.status is RequestStatus.PENDING
    await neighbour.stop(drain=0)
    await hosts.stop()


async def test_a_host_that_stops_in_order_leaves_nothing_to_run_again() -> None:
    hosts = await left_behind("rerun", "a", "b")
    await hosts.runtimes[-1].stop(drain=0)

    client = await hosts.next()

    assert [status for status, _ in await ends(client, "a", "b")] == [
        "interrupted",
        "interrupted",
    ]
    assert hosts.ran == ["a"]
    await hosts.stop()


async def test_another_actor_is_not_held_up_by_what_runs_again() -> None:
    hosts = await left_behind("rerun", "a")

    await hosts.next()
    await hosts.gate.begun.get()
    hosts.gate.passing.set()
    other = await soon(ask(hosts.runtimes[-1], None, TWO))

    assert other.data == 1
    await hosts.stop()
