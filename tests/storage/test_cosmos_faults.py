"""The Cosmos DB storage while the service throttles, fails and is not heard."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    OutcomeUnknown,
    StorageClosed,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import ActorChange, HostInfo
from tests.contracts.cosmos_subject import CosmosSubject
from tests.storage.cosmos_fixtures import A, B, Open, accepted, ended, storage_on

BOUND = 10.0

# --- throttled, busy, broken


async def test_the_time_that_the_service_asks_for_is_waited(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    before = len(wire.batches)
    wire.refuse(429, times=2, retry_after=0.4)

    await storage.apply(A, accepted(epoch, 1))

    first, second, third = wire.batches[before:]
    assert (first.status, second.status, third.status) == (429, 429, 200)
    assert second.at - first.at >= 0.4
    assert third.at - second.at >= 0.4


async def test_a_throttled_actor_does_not_hold_others_up(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(), cosmos_subject.wire
    epochs = [(await storage.claim(one)).epoch for one in (A, B)]
    wire.refuse(429, times=1, retry_after=2.0)

    throttled = storage.apply(A, accepted(epochs[0], 1))
    await wire.until(lambda: wire.batches[-1].status == 429)
    await storage.apply(B, accepted(epochs[1], 1))

    assert not throttled.done()
    assert await throttled == ()


async def test_a_service_that_only_throttles_is_unavailable_in_time(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(timeout=2 * BOUND), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    before = len(wire.batches)
    wire.refuse(429, retry_after=5 * BOUND)

    begun = time.monotonic()
    with pytest.raises(Unavailable, match="throughput") as refused:
        await storage.apply(A, accepted(epoch, 1))

    assert time.monotonic() - begun < BOUND  # it does not wait for what is too late
    assert refused.value.retry_after == 5 * BOUND
    assert len(wire.batches) - before == 1
    wire.heal()
    assert await storage.apply(A, accepted(epoch, 1)) == ()


@pytest.mark.parametrize("status", [408, 410, 449, 500, 503])
async def test_a_passing_trouble_of_the_service_is_not_seen(
    cosmos_subject: CosmosSubject, open_cosmos: Open, status: int
):
    storage, wire = await open_cosmos(), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    wire.refuse(status, times=2)

    assert await storage.apply(A, accepted(epoch, 1)) == ()

    assert [turn.attempts for turn in await storage.read_turns(A)] == [0]


async def test_reads_survive_it_too(cosmos_subject: CosmosSubject, open_cosmos: Open):
    storage, wire = await open_cosmos(), cosmos_subject.wire
    await storage.write_state(A, set={"k": b"1"})

    for status in (429, 503):
        wire.refuse(status, times=2, batches_only=False, retry_after=0.05)

        assert (await storage.read_state(A)).values == {"k": b"1"}


async def test_a_service_that_stays_broken_is_unavailable_and_nothing_is_written(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(timeout=0.5), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    wire.refuse(503)

    outcomes = await asyncio.gather(
        storage.apply(A, accepted(epoch, 1)),
        storage.apply(A, accepted(epoch, 2)),
        return_exceptions=True,
    )

    wire.heal()
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 2
    assert "it answers 503" in str(outcomes[0])
    assert await storage.read_turns(A) == []


# --- not heard


async def test_a_commit_whose_answer_was_lost_is_made_once(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))
    before = len(wire.batches)
    cut = wire.cut_after_commit()

    commit = ended(epoch, 1, started=(1,), new_etag="e1", set={"k": b"1"})
    outcome = await storage.apply(A, commit)

    assert cut.is_set()
    assert outcome == ()
    assert len(wire.batches) - before == 2
    (turn,) = await storage.read_turns(A)
    assert (turn.attempts, turn.result) == (1, b'"done"')
    assert (await storage.read_state(A)).etag == "e1"


async def test_a_commit_that_was_never_answered_is_found_by_its_root(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(timeout=1.0), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    done = wire.cut_after_commit(times=10**9, hang=True)

    outcome = await storage.apply(A, accepted(epoch, 1))

    assert done.is_set()
    assert outcome == ()
    assert len(await storage.read_turns(A)) == 1


async def test_a_lost_answer_is_resolved_though_another_host_has_written_since(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    wire = cosmos_subject.wire
    owner = await open_cosmos()
    other = await open_cosmos(endpoint=cosmos_subject.server.endpoint)
    epoch = (await owner.claim(A)).epoch
    loop = asyncio.get_running_loop()

    async def write() -> None:
        await other.write_state(A, set={"other": b"1"}, etag="e1")

    wire.cut_after_commit_and(
        lambda: asyncio.run_coroutine_threadsafe(write(), loop).result(BOUND)
    )
    change = accepted(epoch, 1)
    change.new_etag, change.set = "e1", {"mine": b"1"}

    assert await owner.apply(A, change) == ()

    assert len(await owner.read_turns(A)) == 1
    values = (await owner.read_state(A)).values
    assert values == {"mine": b"1", "other": b"1"}


async def test_a_commit_whose_fate_cannot_be_learned_says_so(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(timeout=1.0), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    wire.cut_after_commit_and(wire.refuse_connections)

    change = accepted(epoch, 1)
    change.new_etag = "the-commit"
    with pytest.raises(OutcomeUnknown, match="the-commit"):
        await storage.apply(A, change)

    wire.heal()
    assert (await storage.read_state(A)).etag == "the-commit"
    assert len(await storage.read_turns(A)) == 1


async def test_a_service_that_goes_and_comes_back_serves_the_same_object(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(timeout=0.5), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    wire.down()

    begun = time.monotonic()
    calls: list[Awaitable[Any]] = [
        storage.apply(A, accepted(epoch, 1)),
        storage.write_state(B, set={"k": b"1"}),
        storage.claim(ActorId("worker", "three")),
        storage.delete_state(ActorId("worker", "four")),
        storage.trim(ActorId("worker", "five"), 1),
        storage.read_turns(A),
        storage.find_turn(A, "m1"),
        storage.list_keys(A),
        storage.list_actors(),
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert time.monotonic() - begun < BOUND
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 9
    wire.heal()
    assert await storage.apply(A, accepted(epoch, 1)) == ()


async def test_close_ends_in_time_though_nobody_answers(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage, wire = await open_cosmos(timeout=0.5), cosmos_subject.wire
    epoch = (await storage.claim(A)).epoch
    wire.down()

    steps = [storage.apply(A, accepted(epoch, n)) for n in range(1, 30)]
    begun = time.monotonic()
    await storage.close()

    assert time.monotonic() - begun < BOUND
    outcomes = await asyncio.gather(*steps, return_exceptions=True)
    assert all(isinstance(outcome, StorageError) for outcome in outcomes)
    with pytest.raises(StorageClosed):
        await storage.apply(A, accepted(epoch, 1))


async def test_a_read_that_waits_while_the_storage_is_closed_is_told(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos(timeout=20.0)
    cosmos_subject.wire.slow(BOUND, method="GET")
    seen = len(cosmos_subject.wire.seen)
    reading = asyncio.gather(storage.read_turns(A), return_exceptions=True)
    await cosmos_subject.wire.until(lambda: len(cosmos_subject.wire.seen) > seen)

    await storage.close()

    (outcome,) = await asyncio.wait_for(reading, BOUND)
    assert isinstance(outcome, StorageClosed)


# --- at the start


async def test_an_opening_that_is_cancelled_leaves_nothing_behind(
    cosmos_subject: CosmosSubject,
):
    storage = storage_on(cosmos_subject)
    cosmos_subject.wire.slow(5.0)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(storage.open(HostInfo("h", "h")), 0.3)

    cosmos_subject.wire.heal()
    with pytest.raises(StorageClosed):
        await storage.read_state(A)
    await storage.open(HostInfo("h", "h"))
    await storage.write_state(A, set={"k": b"1"})
    await storage.close()


@pytest.mark.parametrize(
    ("status", "said"),
    [(0, "cannot be reached"), (503, "it answers 503"), (403, "it answers 403")],
)
async def test_an_account_that_cannot_be_entered_says_why_in_time(
    cosmos_subject: CosmosSubject, status: int, said: str
):
    storage = storage_on(cosmos_subject, timeout=4.0)
    if status:
        cosmos_subject.wire.refuse(status, batches_only=False)
    else:
        cosmos_subject.wire.down()

    begun = time.monotonic()
    with pytest.raises(Unavailable, match=said) as refused:
        await storage.open(HostInfo("h", "h"))

    assert time.monotonic() - begun < BOUND
    assert cosmos_subject.server.key not in str(refused.value)


async def test_steps_before_a_claim_by_force_are_fenced_after_it(open_cosmos: Open):
    first, second = await open_cosmos(), await open_cosmos()
    epoch = (await first.claim(A)).epoch

    calls: list[Awaitable[Any]] = [
        *(first.apply(A, accepted(epoch, n)) for n in range(1, 40)),
        second.claim(A, take_over=True),
        *(first.apply(A, accepted(epoch, n)) for n in range(40, 80)),
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    written = [outcome for outcome in outcomes if outcome == ()]
    turns = await second.read_turns(A, limit=200)
    assert len(turns) == len(written)
    assert [turn.position for turn in turns] == list(range(1, len(turns) + 1))
    claim = await second.claim(A)
    assert claim.epoch == epoch + 1
    await second.apply(A, ActorChange(epoch=claim.epoch, set={"k": b"1"}))


async def test_turns_that_are_known_in_different_ways_are_all_found(open_cosmos: Open):
    storage = await open_cosmos()
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1, 2))

    # While m1 is thought to be new, m2 comes too late; once it is not, m2 is new.
    found = await asyncio.gather(
        storage.apply(A, resent(epoch, "m1", 5)),
        storage.apply(A, resent(epoch, "m2", 4)),
        storage.apply(A, accepted(epoch, 6)),
    )

    positions = [[turn.position for turn in known] for known in found]
    assert positions == [[1], [2], []]


def resent(epoch: int, message_id: str, position: int) -> ActorChange:
    """Accept a turn at another position than it has."""
    change = accepted(epoch, position)
    change.accepted[0].message_id = message_id
    return change
