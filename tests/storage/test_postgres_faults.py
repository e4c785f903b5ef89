"""The PostgreSQL storage while servers freeze, wires break, and space runs out."""

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Full,
    OutcomeUnknown,
    StaleEpoch,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage.postgres.driver import connect
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from tests.fakes import background
from tests.servers.postgres_server import PostgresServer
from tests.storage.postgres_fixtures import A, B, PostgresSchema, accepted, ended

MIB = 1024 * 1024
BOUND = 12.0


async def outcomes_of_verbs(storage: PostgresStateStorage, epoch: int) -> set[type]:
    outcomes: tuple[object, ...] = await asyncio.gather(
        storage.apply(A, accepted(epoch, 1)),
        storage.write_state(B, set={"k": b"1"}),
        storage.delete_state(ActorId("echo", "c3")),
        storage.claim(ActorId("echo", "c4")),
        storage.read_state(A),
        storage.list_actors(),
        return_exceptions=True,
    )
    return set(map(type, outcomes))


# --- the server


async def test_a_frozen_server_is_given_up_in_time_and_holds_no_loop(
    postgres: PostgresSchema,
):
    given_up_after = 4.0
    storage = await postgres.open(
        timeout=given_up_after, connect_timeout=given_up_after
    )
    epoch = (await storage.claim(A)).epoch
    gaps: list[float] = []

    with postgres.server.frozen():
        last = time.monotonic()
        waiting = background(outcomes_of_verbs(storage, epoch))
        while not (await asyncio.wait([waiting], timeout=0.02))[0]:
            gaps.append(time.monotonic() - last)
            last = time.monotonic()
        outcomes = await waiting

    # Whoever waits in place of the loop holds it until it gives up.
    assert max(gaps) < given_up_after - 0.5
    assert outcomes == {Unavailable}
    await storage.apply(A, accepted(epoch, 1))
    assert [turn.message_id for turn in await storage.read_turns(A)] == ["m1"]


async def test_a_server_that_loses_power_is_met_again_with_everything(
    postgres: PostgresSchema,
):
    storage = await postgres.open(connect_timeout=1.0)
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))

    with postgres.server.away("immediate"):
        outcomes = await outcomes_of_verbs(storage, epoch)

    assert outcomes == {Unavailable}
    await asyncio.gather(
        *(storage.apply(A, accepted(epoch, n)) for n in range(2, 10)),
        *(storage.read_turns(A) for _ in range(10)),
    )
    assert len(await storage.read_turns(A)) == 9


async def test_an_idle_storage_does_not_notice_that_its_server_was_restarted(
    postgres: PostgresSchema,
):
    storage = await postgres.open()
    epoch = (await storage.claim(A)).epoch
    await asyncio.gather(*(storage.read_state(A) for _ in range(10)))

    with postgres.server.away():
        pass

    reads = [storage.read_state(A) for _ in range(10)]
    assert await storage.apply(A, accepted(epoch, 1)) == ()
    assert len(await asyncio.gather(*reads)) == 10


async def test_a_server_without_connections_left_is_unavailable(
    postgres: PostgresSchema,
):
    user = f"u_{postgres.schema}"
    await postgres.sql(
        f"create role {user} login password 'p' connection limit 1",
        f"create schema {postgres.schema} authorization {user}",
    )
    url = f"postgresql://{user}:p@127.0.0.1:{postgres.server.port}/postgres"

    with pytest.raises(Unavailable, match="no connection left") as refused:
        await postgres.open(url)

    assert refused.value.retryable
    await postgres.sql(f"alter role {user} connection limit 3")
    storage = await postgres.open(url, readers=1)
    assert (await asyncio.gather(*(storage.read_state(A) for _ in range(9))))[8]


async def test_whoever_keeps_an_actors_row_locked_is_not_waited_for_without_end(
    postgres: PostgresSchema,
):
    storage = await postgres.open(timeout=2.0)
    epoch = (await storage.claim(A)).epoch
    other = await connect(dsn=postgres.server.local_url)
    await other.execute("begin")
    await other.execute(f"select from {postgres.schema}.actor for update")

    with pytest.raises(Unavailable, match="lock timeout"):
        await storage.apply(A, accepted(epoch, 1))

    await other.execute("rollback")
    await other.close()
    assert await storage.apply(A, accepted(epoch, 1)) == ()


# --- the wire


async def test_a_slow_server_is_given_up_at_the_deadline(postgres: PostgresSchema):
    storage = await postgres.open(postgres.wire_url, timeout=1.0, connect_timeout=1.0)
    epoch = (await storage.claim(A)).epoch
    await storage.read_state(A)
    postgres.wire.slow(0.9)

    begun = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer in time"):
        await storage.apply(A, accepted(epoch, 1))
    with pytest.raises(Unavailable, match="did not answer in time"):
        await storage.read_turns(A)

    assert time.monotonic() - begun < BOUND
    postgres.wire.heal()
    assert await storage.apply(A, accepted(epoch, 1)) == ()


async def test_a_commit_without_an_answer_is_unknown_for_each_of_its_steps(
    postgres: PostgresSchema,
):
    storage = await postgres.open(postgres.wire_url)
    epochs = [(await storage.claim(actor_id)).epoch for actor_id in (A, B)]
    cut = postgres.wire.cut_after_answer(b"commit")
    change = ended(epochs[1], 1)
    change.accepted, change.new_etag = accepted(epochs[1], 1).accepted, "e1"

    outcomes: tuple[object, ...] = await asyncio.gather(
        storage.apply(B, change),
        storage.apply(A, accepted(epochs[0], 1)),
        return_exceptions=True,
    )

    assert cut.is_set()
    unknown = [one for one in outcomes if isinstance(one, OutcomeUnknown)]
    assert unknown
    assert "commit e1" in str(unknown[0])
    assert (await storage.read_state(B)).etag == "e1"
    again = await storage.apply(A, accepted(epochs[0], 1))
    assert len(again) == 1 or not isinstance(outcomes[1], OutcomeUnknown)


async def test_a_wire_that_breaks_before_the_commit_is_as_if_nothing_was_called(
    postgres: PostgresSchema,
):
    storage = await postgres.open(postgres.wire_url)
    epoch = (await storage.claim(A)).epoch
    cut = postgres.wire.cut_after_answer(b"begin")

    outcome = await storage.apply(A, accepted(epoch, 1))

    assert cut.is_set()
    assert outcome == ()  # it was done over another connection, once
    assert len(await storage.read_turns(A)) == 1


# --- space


@pytest.fixture
def small_disk(postgres_server: PostgresServer) -> Iterator[Path]:
    """A file system of 16 MiB, for the server."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = postgres_server.folder / "small"
    folder.mkdir()
    command = ["/bin/mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        folder.rmdir()
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    owner = postgres_server.folder.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    yield folder
    subprocess.run(["/bin/umount", str(folder)], check=True)
    folder.rmdir()


async def test_a_full_disk_is_full_and_the_same_storage_goes_on_with_space(
    postgres: PostgresSchema, small_disk: Path
):
    await postgres.sql(f"create tablespace small location '{small_disk}'")
    url = f"{postgres.server.local_url}&default_tablespace=small"
    storage = await postgres.open(url)
    small = [ActorId("echo", f"small {n}") for n in range(5)]
    noise = os.urandom(4 * MIB)  # it is not compressed

    full, written, actor_id = False, -1, A
    while not full:
        written += 1
        actor_id = ActorId("large", str(written))
        outcomes = await asyncio.gather(
            storage.write_state(actor_id, set={"k": noise}),
            *(storage.write_state(one, set={str(written): b"1"}) for one in small),
            return_exceptions=True,
        )
        full = isinstance(outcomes[0], Full)
    kept = await storage.read_state(ActorId("large", "0"))
    grow = ["/bin/mount", "-o", "remount,size=64m", str(small_disk)]
    await asyncio.to_thread(subprocess.run, grow, check=True)

    assert 1 <= written < 5
    assert kept.values == {"k": noise}
    assert (await storage.read_state(actor_id)).etag is None
    assert await storage.write_state(actor_id, set={"k": noise})
    await storage.close()
    await postgres.sql("drop schema {s} cascade", "drop tablespace small")


# --- leases


async def test_the_actors_of_a_host_that_died_are_free_when_its_lease_is_over(
    postgres: PostgresSchema,
):
    dead = await postgres.open(name="the dead", lease=1.5)
    other = await postgres.open()
    epoch = (await dead.claim(A)).epoch
    await dead.apply(A, accepted(epoch, 1))
    assert dead._session is not None
    dead._session.renewer.abandon()

    with pytest.raises(ActorOwnedElsewhere, match="the dead"):
        await other.claim(A)
    claim = await claimed_soon(other)

    assert (claim.epoch, len(claim.open_turns)) == (epoch + 1, 1)
    with pytest.raises(StaleEpoch):  # it was not dead after all
        await dead.apply(A, ended(epoch, 1))


async def claimed_soon(storage: PostgresStateStorage) -> Any:
    until = time.monotonic() + BOUND
    while True:
        try:
            return await storage.claim(A)
        except ActorOwnedElsewhere:
            assert time.monotonic() < until


async def test_a_loop_that_is_blocked_does_not_lose_the_lease(postgres: PostgresSchema):
    storage = await postgres.open(lease=1.0)
    other = await postgres.open()
    await storage.claim(A)

    threading.Event().wait(2.0)  # a cell that blocks the loop

    with pytest.raises(ActorOwnedElsewhere):
        await other.claim(A)


async def test_a_host_id_is_alive_only_once(postgres: PostgresSchema):
    host = postgres.host()
    one, two = postgres.make(), postgres.make()
    await one.open(host)

    with pytest.raises(Unavailable, match="already"):
        await two.open(host)
    await one.close()

    await two.open(host)
