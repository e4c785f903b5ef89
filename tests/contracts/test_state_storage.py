"""What every `IActorStateStorage` does: state, owners, deletion, opening and closing."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Conflict,
    StaleEpoch,
    StorageClosed,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Page,
)
from agent_runtime_nb.storage_abstractions import (
    ActorState,
    HostInfo,
    IActorStateStorage,
)
from tests.contracts.state_storages import (
    COMPLETED,
    PENDING,
    A,
    B,
    StorageKind,
    accept,
    run_turns,
)

# --- state


async def test_an_unknown_actor_reads_as_empty(storage: IActorStateStorage):
    state = await storage.read_state(A)

    assert state == ActorState({}, None, 0)


async def test_reading_an_unknown_actor_does_not_make_it(storage: IActorStateStorage):
    await storage.read_state(A)
    await storage.read_turns(A)
    await storage.find_turn(A, "m1")

    assert await storage.list_actors() == Page((), None)


@pytest.mark.parametrize(
    "value",
    [b"null", b"0", b'""', b"[1.5, 36893488147419103232]", b'"\\u0000\xc3\xa5"', b""],
)
async def test_a_value_is_read_byte_for_byte(storage: IActorStateStorage, value: bytes):
    await storage.write_state(A, set={"k": value})

    assert (await storage.read_state(A)).values == {"k": value}


async def test_a_large_value_is_read_byte_for_byte(storage: IActorStateStorage):
    large = b'"' + b"\xf0\x9f\x98\x80" * 500_000 + b'"'

    await storage.write_state(A, set={"k": large})

    assert (await storage.read_state(A)).values["k"] == large


async def test_only_the_named_keys_are_read(storage: IActorStateStorage):
    await storage.write_state(A, set={"a": b"1", "b": b"2", "c": b"3"})

    state = await storage.read_state(A, ["a", "c", "missing"])

    assert state.values == {"a": b"1", "c": b"3"}


async def test_no_keys_reads_the_version_alone(storage: IActorStateStorage):
    etag = await storage.write_state(A, set={"a": b"1"})

    assert await storage.read_state(A, ()) == ActorState({}, etag, 0)


async def test_a_removed_key_is_gone_and_a_missing_one_is_no_error(
    storage: IActorStateStorage,
):
    etag = await storage.write_state(A, set={"a": b"1", "b": b"2"})

    await storage.write_state(A, set={}, remove=["a", "never"], etag=etag)

    assert (await storage.read_state(A)).values == {"b": b"2"}


async def test_what_is_returned_is_the_callers_own(storage: IActorStateStorage):
    await run_turns(storage, A, COMPLETED, PENDING)
    await storage.write_state(A, set={"k": b"1"})

    (await storage.read_state(A)).values["k"] = b"changed"
    (await storage.read_turns(A))[0].status = PENDING
    claim = await storage.claim(A)
    claim.values.clear()
    claim.open_turns[0].attempts = 99

    again = await storage.claim(A)
    assert again.values == {"k": b"1"}
    assert again.open_turns[0].attempts == 0
    assert (await storage.read_turns(A))[0].status is COMPLETED


async def test_values_may_be_altered_after_the_call(storage: IActorStateStorage):
    values = {"k": b"1"}

    written = storage.write_state(A, set=values)
    values["k"] = b"2"
    await written

    assert (await storage.read_state(A)).values == {"k": b"1"}


async def test_the_version_must_be_the_stored_one(storage: IActorStateStorage):
    etag = await storage.write_state(A, set={"k": b"1"})

    with pytest.raises(Conflict) as refused:
        await storage.write_state(A, set={"k": b"2"}, etag="stale")

    assert refused.value.expected == "stale"
    assert refused.value.actual == etag
    assert await storage.read_state(A) == ActorState({"k": b"1"}, etag, 0)


async def test_an_actor_without_values_keeps_its_version(storage: IActorStateStorage):
    etag = await storage.write_state(A, set={})

    with pytest.raises(Conflict):
        await storage.write_state(A, set={"k": b"1"})

    await storage.write_state(A, set={"k": b"2"}, etag=etag)
    assert (await storage.read_state(A)).values == {"k": b"2"}


async def test_one_of_fifty_creators_wins(kind: StorageKind):
    one, two = await kind.open(), await kind.open()

    outcomes = await asyncio.gather(
        *(
            storage.write_state(A, set={"winner": b"%d" % n})
            for n, storage in enumerate([one, two] * 25)
        ),
        return_exceptions=True,
    )

    etags = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert len(etags) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 49
    state = await one.read_state(A)
    assert state.etag == etags[0]
    assert state.values["winner"] == b"%d" % outcomes.index(etags[0])


async def test_a_counter_counts_each_success_once(kind: StorageKind):
    storages = [await kind.open(), await kind.open()]

    async def count(storage: IActorStateStorage) -> int:
        done = 0
        while done < 20:
            state = await storage.read_state(A)
            number = int(state.values.get("n", b"0"))
            try:
                await storage.write_state(
                    A, set={"n": b"%d" % (number + 1)}, etag=state.etag
                )
            except Conflict:
                continue
            done += 1
        return done

    done = await asyncio.gather(*(count(storages[n % 2]) for n in range(4)))

    assert (await storages[0].read_state(A)).values["n"] == b"%d" % sum(done)


async def test_a_reader_never_sees_half_of_a_step(storage: IActorStateStorage):
    async def write() -> None:
        etag = None
        for n in range(40):
            value = b"%d" % n
            etag = await storage.write_state(A, set={"x": value, "y": value}, etag=etag)

    writing = asyncio.gather(write())
    while not writing.done():
        values = (await storage.read_state(A)).values
        assert values.get("x") == values.get("y")
        await asyncio.sleep(0)
    await writing


async def test_a_read_after_a_write_sees_it_on_every_host(kind: StorageKind):
    one, two = await kind.open(), await kind.open()
    etag = None

    for n in range(20):
        etag = await one.write_state(A, set={"n": b"%d" % n}, etag=etag)

        assert (await one.read_state(A)).values["n"] == b"%d" % n
        assert (await two.read_state(A)).values["n"] == b"%d" % n


# --- claims


async def test_a_first_claim_starts_from_nothing(storage: IActorStateStorage):
    claim = await storage.claim(A)

    assert claim.epoch == 1
    assert claim.etag is None
    assert claim.values == {}
    assert claim.next_position == 1
    assert claim.open_turns == []


async def test_a_claim_returns_what_is_stored(storage: IActorStateStorage):
    await run_turns(storage, A, COMPLETED, PENDING, PENDING)
    etag = await storage.write_state(A, set={"k": b"1"})

    claim = await storage.claim(A)

    assert (claim.epoch, claim.etag, claim.values) == (1, etag, {"k": b"1"})
    assert claim.next_position == 4
    assert [turn.message_id for turn in claim.open_turns] == ["m2", "m3"]


async def test_a_claim_of_the_owner_changes_nothing(storage: IActorStateStorage):
    first = await storage.claim(A)

    assert await storage.claim(A) == first


async def test_an_actor_of_a_living_host_is_refused(kind: StorageKind):
    one, two = await kind.open("first notebook"), await kind.open()
    epoch = (await one.claim(A)).epoch

    with pytest.raises(ActorOwnedElsewhere) as refused:
        await two.claim(A)

    assert refused.value.owner == "first notebook"
    await one.apply(A, accept(epoch, (1, "m1")))


async def test_an_actor_of_a_dead_host_gets_a_higher_epoch(kind: StorageKind):
    one, two = await kind.open(), await kind.open()
    await run_turns(one, A, COMPLETED, PENDING)
    kind.kill(one)

    claim = await two.claim(A)

    assert claim.epoch == 2
    assert claim.next_position == 3
    assert [turn.position for turn in claim.open_turns] == [2]


async def test_an_actor_of_a_closed_host_is_free(kind: StorageKind):
    one, two = await kind.open(), await kind.open()
    await one.claim(A)
    await one.close()

    assert (await two.claim(A)).epoch == 2


async def test_take_over_claims_from_a_living_host(kind: StorageKind):
    one, two = await kind.open(), await kind.open("second")
    old = (await one.claim(A)).epoch

    new = (await two.claim(A, take_over=True)).epoch

    assert new == old + 1
    with pytest.raises(StaleEpoch) as refused:
        await one.apply(A, accept(old, (1, "m1")))
    assert refused.value.owner == "second"
    assert await two.read_turns(A) == []


async def test_a_write_without_a_claim_is_stale(storage: IActorStateStorage):
    await storage.write_state(B, set={"k": b"1"})

    for actor_id in (A, B):
        for epoch in (0, 1):
            with pytest.raises(StaleEpoch):
                await storage.apply(actor_id, accept(epoch, (1, "m1")))

        assert await storage.read_turns(actor_id) == []


# --- delete


async def test_delete_removes_values_and_turns(storage: IActorStateStorage):
    await run_turns(storage, A, COMPLETED, PENDING)
    await storage.write_state(A, set={"k": b"1"})

    assert await storage.delete_state(A) is True

    state = await storage.read_state(A)
    assert (state.values, state.etag) == ({}, None)
    assert await storage.read_turns(A) == []
    assert await storage.find_turn(A, "m1") is None
    assert await storage.list_actors() == Page((), None)


async def test_delete_of_nothing_says_so(storage: IActorStateStorage):
    await run_turns(storage, A, COMPLETED)
    await storage.delete_state(A)

    assert await storage.delete_state(A) is False
    assert await storage.delete_state(B) is False


async def test_a_deleted_actor_keeps_fencing_its_former_owner(
    storage: IActorStateStorage,
):
    await run_turns(storage, A, COMPLETED, COMPLETED)
    old = (await storage.claim(A)).epoch

    await storage.delete_state(A, epoch=old)

    with pytest.raises(StaleEpoch):
        await storage.apply(A, accept(old, (3, "m3")))
    claim = await storage.claim(A)
    assert claim.epoch > old + 1
    assert claim.next_position == 3
    assert await storage.apply(A, accept(claim.epoch, (3, "m1"))) == ()


async def test_delete_with_a_stale_epoch_is_refused(storage: IActorStateStorage):
    await run_turns(storage, A, COMPLETED)

    for actor_id, epoch in ((A, 7), (A, 0), (B, 1)):
        with pytest.raises(StaleEpoch):
            await storage.delete_state(actor_id, epoch=epoch)

    assert len(await storage.read_turns(A)) == 1


async def test_a_version_is_never_used_again(storage: IActorStateStorage):
    seen: set[str] = set()

    for _ in range(5):
        seen.add(await storage.write_state(A, set={"k": b"1"}))
        await storage.delete_state(A)

    assert len(seen) == 5


async def test_a_waiting_accept_is_deleted_with_the_rest(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch

    outcomes = await asyncio.gather(
        storage.apply(A, accept(epoch, (1, "m1"))), storage.delete_state(A)
    )

    assert outcomes == [(), True]
    assert await storage.read_turns(A) == []


async def test_steps_around_a_waiting_delete_keep_their_order(
    storage: IActorStateStorage,
):
    epoch = (await storage.claim(A)).epoch

    before = storage.apply(A, accept(epoch, (1, "m1")))
    deleted = storage.delete_state(A)
    after = storage.apply(A, accept(epoch, (2, "m2")))
    claimed = storage.claim(A)
    again = storage.apply(A, accept(epoch + 2, (2, "m1")))
    outcomes = await asyncio.gather(
        before, deleted, after, claimed, again, return_exceptions=True
    )

    assert outcomes[:2] == [(), True]
    assert isinstance(outcomes[2], StaleEpoch)
    assert outcomes[4] == ()
    assert [turn.position for turn in await storage.read_turns(A)] == [2]


# --- life


async def test_data_outlives_the_storage_object(kind: StorageKind):
    storage = await kind.open()
    await run_turns(storage, A, COMPLETED)
    await storage.write_state(B, set={"k": b"1"})
    await storage.close()

    again = await kind.open()

    assert len(await again.read_turns(A)) == 1
    assert (await again.read_state(B)).values == {"k": b"1"}


async def test_a_storage_may_be_closed_twice_and_opened_again(kind: StorageKind):
    storage = await kind.open()
    await storage.write_state(A, set={"k": b"1"})

    await storage.close()
    await storage.close()
    await storage.open(HostInfo("again", "again"))
    await storage.open(HostInfo("again", "again"))

    assert (await storage.read_state(A)).values == {"k": b"1"}


async def test_every_verb_of_a_storage_that_is_not_open_is_refused(kind: StorageKind):
    closed = await kind.open()
    await closed.close()

    for storage in (closed, kind.make()):
        calls: list[Callable[[], Any]] = [
            lambda s=storage: s.claim(A),
            lambda s=storage: s.apply(A, accept(1, (1, "m1"))),
            lambda s=storage: s.read_state(A),
            lambda s=storage: s.write_state(A, set={}),
            lambda s=storage: s.delete_state(A),
            lambda s=storage: s.find_turn(A, "m1"),
            lambda s=storage: s.read_turns(A),
            lambda s=storage: s.list_keys(A),
            lambda s=storage: s.list_actors(),
            lambda s=storage: s.trim(A, 1),
        ]
        for call in calls:
            with pytest.raises(StorageClosed):
                await call()


async def test_close_writes_what_was_called(kind: StorageKind):
    storage = await kind.open()
    epoch = (await storage.claim(A)).epoch

    steps = [storage.apply(A, accept(epoch, (n, f"m{n}"))) for n in range(1, 101)]
    await storage.close()

    assert await asyncio.gather(*steps) == [()] * 100
    assert len(await (await kind.open()).read_turns(A, limit=200)) == 100


async def test_cancelling_the_future_does_not_undo_the_step(
    storage: IActorStateStorage,
):
    epoch = (await storage.claim(A)).epoch

    storage.apply(A, accept(epoch, (1, "m1"))).cancel()
    await storage.apply(A, accept(epoch, (2, "m2")))

    assert [turn.message_id for turn in await storage.read_turns(A)] == ["m1", "m2"]


async def test_each_loop_gets_its_own_futures(storage: IActorStateStorage):
    async def count(first: int) -> int:
        actor_id = ActorId("echo", f"from {first}")
        epoch = (await storage.claim(actor_id)).epoch
        for n in range(1, 21):
            await storage.apply(actor_id, accept(epoch, (n, f"m{n}")))
        return len(await storage.read_turns(actor_id))

    done: ThreadFuture[int] = ThreadFuture()
    thread = threading.Thread(target=lambda: done.set_result(asyncio.run(count(1))))
    thread.start()
    here = await count(2)
    there = await asyncio.wrap_future(done)
    thread.join()

    assert (here, there) == (20, 20)


async def test_a_loop_that_has_ended_hurts_nobody(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch

    async def call_and_leave() -> None:
        for n in range(1, 11):
            storage.apply(A, accept(epoch, (n, f"m{n}")))

    thread = threading.Thread(target=lambda: asyncio.run(call_and_leave()))
    thread.start()
    thread.join()
    await storage.apply(A, accept(epoch, (11, "m11")))

    assert len(await storage.read_turns(A)) == 11


async def test_where_the_data_is_can_be_said(storage: IActorStateStorage):
    assert storage.location
    assert isinstance(storage.durable, bool)
