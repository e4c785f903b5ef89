"""Groups of the PostgreSQL storage: few transactions, the same outcomes, no deadlock."""

import asyncio
import random
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from agent_runtime_nb.exceptions import Conflict, StorageError
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.postgres.group import PostgresStep, in_bounds
from agent_runtime_nb.storage.postgres.plan import Plan
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange
from tests.effort import amount
from tests.servers.postgres_server import PostgresServer
from tests.storage.postgres_fixtures import A, PostgresSchema, accepted, ended
from tests.storage.test_same_behaviour import Op, batches, outcomes_of

ACTORS = [ActorId("echo", f"c{n}") for n in range(64)]


async def transactions(storage: PostgresStateStorage) -> int:
    """How many transactions have written something so far."""
    assert storage._session is not None
    rows = await storage._session.read(
        lambda fetch: fetch("select pg_current_xact_id()::text::bigint")
    )
    return rows[0][0]


# Every example makes a schema: few examples, of many steps each.
@pytest.mark.scales
@pytest.mark.timeout(amount(60, quick=60, long=600))
@settings(
    max_examples=amount(15, quick=2, long=150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches())
def test_postgres_in_groups_does_what_memory_does_one_by_one(
    postgres_server: PostgresServer, drawn: list[list[Op]]
):
    expected = asyncio.run(outcomes_of(InMemoryStateStorage(), drawn))

    schema = f"t_{uuid.uuid4().hex}"
    storage = PostgresStateStorage(postgres_server.local_url, schema=schema)
    found = asyncio.run(outcomes_of(storage, drawn))

    assert found == expected


async def test_what_waits_goes_in_few_transactions(postgres: PostgresSchema):
    storage = await postgres.open()
    claims = await asyncio.gather(*map(storage.claim, ACTORS))
    before = await transactions(storage)

    for position in range(1, 6):
        steps = [
            storage.apply(actor_id, change(claim.epoch, position))
            for change in (accepted, ended)
            for actor_id, claim in zip(ACTORS, claims, strict=True)
        ]
        await asyncio.gather(*steps)

    # Each time the first step may go alone, the 127 others wait for it.
    assert await transactions(storage) - before <= 5 * 3 + 1
    for actor_id in ACTORS:
        assert len(await storage.read_turns(actor_id)) == 5


async def test_steps_of_a_group_see_what_those_before_them_did(
    postgres: PostgresSchema,
):
    storage = await postgres.open()

    claimed = storage.claim(A)
    steps = [
        storage.apply(A, accepted(1, 1)),
        storage.apply(A, ActorChange(epoch=1, checkpoint=(1, b'"half"'))),
        storage.apply(A, ended(1, 1)),
        storage.apply(A, accepted(1, 1)),
        storage.apply(A, ActorChange(epoch=1, add_marks=frozenset({"outbox", "dead"}))),
        storage.claim(A),
    ]
    outcomes: list[Any] = await asyncio.gather(*steps)
    first = await claimed

    assert (first.next_position, first.values, first.marks) == (1, {}, frozenset())
    assert outcomes[:3] == [(), (), ()]
    assert outcomes[3] == (await storage.find_turn(A, "m1"),)
    assert (outcomes[3][0].attempts, outcomes[3][0].checkpoint) == (1, b'"half"')
    assert outcomes[5].next_position == 2
    assert outcomes[5].values == {"k": b"1"}
    assert outcomes[5].marks == {"outbox", "dead"}


async def test_a_delete_before_the_first_claim_of_its_group_does_nothing(
    postgres: PostgresSchema,
):
    storage = await postgres.open()

    deleted, claim = await asyncio.gather(storage.delete_state(A), storage.claim(A))

    assert (deleted, claim.epoch) == (False, 1)


async def test_what_a_group_has_deleted_is_unknown_to_its_later_steps(
    postgres: PostgresSchema,
):
    storage = await postgres.open()
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))
    again = accepted(epoch + 2, 2)
    again.accepted[0].message_id = "m1"

    outcomes: tuple[object, ...] = await asyncio.gather(
        storage.delete_state(A),
        storage.claim(A),
        storage.apply(A, ended(epoch + 2, 1)),
        storage.apply(A, again),
        return_exceptions=True,
    )

    assert outcomes[0] is True
    assert isinstance(outcomes[2], Conflict)
    assert outcomes[3] == ()
    assert [turn.position for turn in await storage.read_turns(A)] == [2]


async def test_what_the_server_refuses_of_one_step_does_not_hurt_its_neighbours(
    postgres: PostgresSchema, caplog: pytest.LogCaptureFixture
):
    storage = await postgres.open()
    epochs = [
        claim.epoch for claim in await asyncio.gather(*map(storage.claim, ACTORS))
    ]
    no_text = ActorChange(epoch=epochs[3], new_etag="\0")

    outcomes = await asyncio.gather(
        *(
            storage.apply(actor_id, no_text if n == 3 else accepted(epochs[n], 1))
            for n, actor_id in enumerate(ACTORS)
        ),
        return_exceptions=True,
    )

    refused = outcomes.pop(3)
    assert isinstance(refused, StorageError)
    assert not refused.retryable
    assert outcomes == [()] * 63
    assert "one by one" in caplog.text


async def test_two_hosts_that_write_the_same_actors_never_wait_in_a_circle(
    postgres: PostgresSchema, caplog: pytest.LogCaptureFixture
):
    storages = [await postgres.open(), await postgres.open()]
    source = random.Random(7)  # noqa: S311 - an order

    async def write(storage: PostgresStateStorage, n: int) -> list[Any]:
        actors = [ActorId("echo", f"{n}-{k}") for k in range(20)]
        source.shuffle(actors)
        steps = [storage.write_state(one, set={"by": b"1"}) for one in actors]
        return await asyncio.gather(*steps, return_exceptions=True)

    for n in range(20):
        one, two = await asyncio.gather(*(write(storage, n) for storage in storages))
        outcomes = one + two
        assert sum(isinstance(outcome, str) for outcome in outcomes) == 20
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 20
    assert caplog.messages == []


def test_a_group_is_not_larger_than_a_transaction_should_be():
    mib = 1024 * 1024
    sizes = [8 * mib, 8 * mib, 1, 7 * mib, 0, 40 * mib, 3]
    steps = [PostgresStep(Plan.trim, A, n, size) for n, size in enumerate(sizes)]

    groups = list(in_bounds(steps))

    assert [[step.argument for step in group] for group in groups] == [
        [0, 1],
        [2, 3, 4],
        [5],
        [6],
    ]
    assert list(in_bounds([])) == []
