"""The Cosmos DB storage: what is stored and how, and what it says when it cannot."""

import asyncio
import gc
import json
import re

import pytest
from aiohttp import ClientSession
from hypothesis import given, strategies as st

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Conflict,
    Corrupt,
    StaleEpoch,
    TooLarge,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.cosmos.documents import (
    ROOT_ID,
    order_of_actor,
    partition_of,
    turn_id,
    value_id,
)
from agent_runtime_nb.storage.cosmos.hosts import CosmosHostLease, is_alive
from agent_runtime_nb.storage.cosmos.service import Service
from agent_runtime_nb.storage_abstractions import ActorChange, HostInfo
from tests.contracts.cosmos_subject import CosmosSubject
from tests.storage.cosmos_fixtures import (
    A,
    B,
    Open,
    accepted,
    documents_of,
    ended,
    storage_on,
)

HOST = HostInfo("h", "h")

# --- names

texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=512
)


@given(texts)
def test_every_text_becomes_an_id_that_is_allowed(text: str):
    for one in (value_id(1, text), turn_id(10**6, text)):
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,255}", one)

    partition = partition_of(ActorId("t" * 64, text))

    assert len(partition.encode()) <= 300


@given(texts, texts)
def test_other_texts_get_other_ids_and_partitions(one: str, other: str):
    assert (value_id(1, one) == value_id(1, other)) == (one == other)
    same_partition = partition_of(ActorId("t", one)) == partition_of(
        ActorId("t", other)
    )
    assert same_partition == (one == other)


@pytest.mark.parametrize("instance", ["plain", "with space ", "x" * 512, "é", "a/b"])
def test_an_instance_that_looks_like_a_digest_is_another_one(instance: str):
    partition = partition_of(ActorId("t", instance))
    _, _, last = partition.partition("/")

    assert partition_of(ActorId("t", last)) != partition or last == instance


@given(st.lists(texts, max_size=8))
def test_actors_sort_by_type_and_code_points(instances: list[str]):
    ids = [ActorId(name, one) for name in ("a", "a-b", "b") for one in instances]

    found = sorted(ids, key=lambda one: order_of_actor(one.type_name, one.instance_id))

    assert found == sorted(ids)


# --- batches


async def test_a_turn_costs_two_requests_and_reads_nothing(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos()
    epoch = (await storage.claim(A)).epoch
    before = len(cosmos_subject.wire.seen)

    await storage.apply(A, accepted(epoch, 1))
    await storage.apply(A, ended(epoch, 1, new_etag="e1", set={"k": b"1"}))

    assert [seen.batch for seen in cosmos_subject.wire.seen[before:]] == [True, True]


async def test_what_waits_of_one_actor_goes_together(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos()
    epoch = (await storage.claim(A)).epoch
    before = len(cosmos_subject.wire.batches)

    await asyncio.gather(*(storage.apply(A, accepted(epoch, n)) for n in range(1, 91)))

    assert len(cosmos_subject.wire.batches) - before <= 3
    assert len(await storage.read_turns(A, limit=200)) == 90


async def test_what_is_refused_is_not_in_the_batch_of_the_others(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos()
    epoch = (await storage.claim(A)).epoch
    before = len(cosmos_subject.wire.batches)
    large = {f"k{n}": b'"%s"' % (b"x" * 600_000) for n in range(4)}

    outcomes = await asyncio.gather(
        storage.apply(A, accepted(epoch, 1)),
        storage.apply(A, accepted(epoch + 1, 2)),
        storage.apply(A, ActorChange(epoch=epoch, set=large)),
        storage.write_state(A, set={"k": b"1"}, etag="wrong"),
        storage.apply(A, accepted(epoch, 2)),
        return_exceptions=True,
    )

    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [tuple, StaleEpoch, TooLarge, Conflict, tuple]
    assert [turn.position for turn in await storage.read_turns(A)] == [1, 2]
    assert (await storage.read_state(A)).values == {}
    assert len(cosmos_subject.wire.batches) - before == 2


async def test_a_change_of_too_many_documents_is_refused_before_it_is_sent(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos()
    epoch = (await storage.claim(A)).epoch
    before = len(cosmos_subject.wire.batches)
    values = {f"k{n}": b"1" for n in range(100)}

    with pytest.raises(TooLarge, match="has 101 documents; the limit is 100"):
        await storage.apply(A, ActorChange(epoch=epoch, set=values))

    assert len(cosmos_subject.wire.batches) == before
    del values["k0"]
    await storage.apply(A, ActorChange(epoch=epoch, set=values))
    assert len((await storage.list_keys(A)).items) == 99


async def test_a_change_of_too_many_bytes_is_refused_before_it_is_sent(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos()
    before = len(cosmos_subject.wire.batches)

    with pytest.raises(TooLarge, match=r"the change of worker/one has 2,[\d,]+ bytes"):
        await storage.write_state(A, set={"a": b"1" * 1_000_000, "b": b"1" * 1_100_000})
    with pytest.raises(TooLarge, match="the value of 'k' has 1,900,001 bytes"):
        await storage.write_state(A, set={"k": b"1" * 1_900_001})

    assert len(cosmos_subject.wire.batches) == before
    assert await storage.delete_state(A) is False


async def test_the_root_does_not_grow_with_the_conversation(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos()
    epoch = (await storage.claim(A)).epoch
    sizes: list[int] = []

    for position in range(1, 201):
        await storage.apply(A, accepted(epoch, position, body=b'"%s"' % (b"x" * 500)))
        await storage.apply(A, ended(epoch, position, set={"k": b"%d" % position}))
        if position in (20, 200):
            root = (await documents_of(cosmos_subject, A))[ROOT_ID]
            sizes.append(len(json.dumps(root)))

    assert sizes[1] < sizes[0] * 1.05


# --- several writers


async def test_a_write_of_another_host_between_two_of_the_owner_is_seen(
    open_cosmos: Open,
):
    owner, other = await open_cosmos(), await open_cosmos()
    epoch = (await owner.claim(A)).epoch
    await owner.apply(A, ActorChange(epoch=epoch, new_etag="e1", set={"a": b"1"}))

    etag = await other.write_state(A, set={"b": b"2"}, remove=["a"], etag="e1")
    await owner.apply(A, accepted(epoch, 1))
    with pytest.raises(Conflict) as refused:
        await owner.apply(A, ended(epoch, 1, etag="e1", new_etag="e2"))
    await owner.apply(A, ended(epoch, 1, etag=etag, new_etag="e2", remove=["a", "b"]))

    assert refused.value.actual == etag
    assert (await other.read_state(A)).values == {}
    assert (await other.read_state(A)).etag == "e2"


async def test_nothing_is_refused_by_what_was_known_before(open_cosmos: Open):
    owner, other = await open_cosmos(), await open_cosmos()
    epoch = (await owner.claim(A)).epoch
    await owner.apply(A, ActorChange(epoch=epoch, new_etag="e1"))
    etag = await other.write_state(A, set={"b": b"2"}, etag="e1")

    await owner.apply(A, ActorChange(epoch=epoch, etag=etag, new_etag="e3"))

    assert (await other.read_state(A)).etag == "e3"
    await other.claim(A, take_over=True)
    back = await owner.claim(A, take_over=True)
    await owner.apply(A, accepted(back.epoch, 1))


async def test_values_and_version_that_are_read_belong_together(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    reader = await open_cosmos()
    writer = await open_cosmos(endpoint=cosmos_subject.server.endpoint)
    old = await writer.write_state(A, set={"x": b"1"})
    loop = asyncio.get_running_loop()
    new: list[str] = []

    async def write() -> None:
        new.append(await writer.write_state(A, set={"x": b"2"}, etag=old))

    cosmos_subject.wire.run_before_query(
        lambda: asyncio.run_coroutine_threadsafe(write(), loop).result(10)
    )

    state = await reader.read_state(A)

    assert (state.values, state.etag) == ({"x": b"2"}, new[0])


async def test_documents_of_a_deleted_actor_are_unseen_even_if_they_stay(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos()
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))
    await storage.apply(A, ended(epoch, 1, set={"k": b"1"}))
    cosmos_subject.wire.refuse(
        403, after=1
    )  # the root's batch passes, the sweeping not

    assert await storage.delete_state(A) is True

    cosmos_subject.wire.heal()
    assert len(await documents_of(cosmos_subject, A)) == 3
    assert (await storage.read_state(A)).values == {}
    assert await storage.read_turns(A) == []
    assert await storage.find_turn(A, "m1") is None
    assert (await storage.list_keys(A)).items == ()
    epoch = (await storage.claim(A)).epoch
    assert await storage.apply(A, accepted(epoch, 2)) == ()
    assert await storage.delete_state(A) is True
    assert set(await documents_of(cosmos_subject, A)) == {ROOT_ID}


# --- hosts


async def test_a_host_lives_as_long_as_the_services_clock_says(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    first, second = await open_cosmos("the first", lease=30), await open_cosmos()
    epoch = (await first.claim(A)).epoch
    await first.apply(A, accepted(epoch, 1))
    cosmos_subject.wire.clock_ahead(20)
    with pytest.raises(ActorOwnedElsewhere, match="the first"):
        await second.claim(A)

    cosmos_subject.wire.clock_ahead(60)
    claim = await second.claim(A)

    assert (claim.epoch, len(claim.open_turns)) == (epoch + 1, 1)
    with pytest.raises(StaleEpoch):
        await first.apply(A, ended(epoch, 1))
    await second.apply(A, ended(claim.epoch, 1))


async def test_a_host_is_alive_from_its_first_renewal_to_its_release(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    account = (await open_cosmos())._account
    service, lease = Service(account), CosmosHostLease(account, HOST, 30)
    await service.connect()
    alive = [await is_alive(service, HOST.host_id)]

    await lease.renew()
    await lease.renew()
    alive.append(await is_alive(service, HOST.host_id))
    await lease.release()
    alive.append(await is_alive(service, HOST.host_id))

    await service.close()
    assert alive == [False, True, False]


async def test_an_opening_whose_lease_is_refused_leaves_nothing_behind(
    cosmos_subject: CosmosSubject,
):
    open_before = open_sessions()
    refusals = 0

    for passing in range(12):  # requests of an opening that are answered
        cosmos_subject.wire.refuse(403, after=passing, batches_only=False)
        storage = storage_on(cosmos_subject)
        try:
            await storage.open(HOST)
        except Unavailable:
            refusals += 1
        else:
            await storage.close()

    assert refusals >= 8
    assert open_sessions() == open_before


def open_sessions() -> int:
    """How many sessions of HTTP clients nobody has closed."""
    gc.collect()
    sessions = [one for one in gc.get_objects() if isinstance(one, ClientSession)]
    return sum(not session.closed for session in sessions)


# --- damage


async def test_a_root_that_is_no_root_is_corrupt_and_stays(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = await open_cosmos()
    async with cosmos_subject.documents() as documents:
        garbage = {"id": ROOT_ID, "pk": partition_of(A), "kind": "actor"}
        await documents.upsert_item(garbage)

    for call in (storage.claim(A), storage.read_state(A), storage.read_turns(A)):
        with pytest.raises(Corrupt, match="root of worker/one"):
            await call
    await storage.write_state(B, set={"k": b"1"})

    assert "epoch" not in (await documents_of(cosmos_subject, A))[ROOT_ID]


async def test_bytes_that_are_no_text_hurt_their_own_step_alone(open_cosmos: Open):
    storage = await open_cosmos()
    epoch = (await storage.claim(A)).epoch

    outcomes = await asyncio.gather(
        storage.apply(A, accepted(epoch, 1)),
        storage.apply(A, accepted(epoch, 2, body=b"\xff")),
        storage.apply(A, accepted(epoch, 3)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [tuple, UnicodeDecodeError, tuple]
    assert [turn.position for turn in await storage.read_turns(A)] == [1, 3]
