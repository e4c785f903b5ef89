"""What is stored under no valid id keeps no runtime from starting, on any backend.

The conformance kit has what lists do with it; here it is planted past the storage, and
a runtime lives with it.
"""

import asyncio
import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from agent_runtime_nb.cli import app
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus, StoredId
from agent_runtime_nb.storage.copy import copy_storage
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.redis.storage import RedisStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)
from agent_runtime_nb.testing.storage_kit.subject import StorageUnderTest
from tests.contracts.state_storages import STORAGES
from tests.fakes import HandlingActor, echo
from tests.servers.redis_server import RedisServer
from tests.storage.postgres_fixtures import PostgresSchema
from tests.storage.redis_fixtures import Open

GOOD = ActorId("echo", "good")
BROKEN = [StoredId("echo", f"c\n{n}") for n in range(3)] + [StoredId("e/", "x")]
HOST = HostInfo("writer", "a version that did not look at ids")


async def write_as_if_valid(storage: IActorStateStorage, *names: StoredId) -> None:
    """An open turn and a mark for each, as a version that looks at no id writes them."""
    await storage.open(HOST)
    for name in cast("tuple[ActorId, ...]", names):
        claim = await storage.claim(name)
        turn = TurnRecord(claim.next_position, "m1", body=b'["run",null]')
        marks = frozenset({"outbox", "dead"})
        await storage.apply(
            name, ActorChange(claim.epoch, accepted=(turn,), add_marks=marks)
        )
    await storage.close()


async def unreadable(storage: IActorStateStorage) -> list[StoredId]:
    page = await storage.list_actors(limit=1)
    found = {*page.unreadable}
    while page.next is not None:
        page = await storage.list_actors(after=page.next, limit=1)
        found.update(page.unreadable)
    return sorted(found)


@pytest.mark.parametrize(
    "name", [name for name in STORAGES if name != "sqlite-network"]
)
async def test_a_runtime_starts_lists_and_works_beside_what_is_under_no_id(
    name: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    subject: StorageUnderTest = STORAGES[name](request)
    await write_as_if_valid(subject.make(), GOOD, *BROKEN)
    storage = subject.make()
    runtime = InProcessActorRuntime(storage)
    runtime.register_actor_type("echo", lambda _: HandlingActor(echo))

    await runtime.start()

    listed = [await runtime.list_actors(limit=1) for _ in range(2)]
    conversations = await runtime.list_conversations()
    await runtime.dead_letters()
    health = await runtime.health()
    assert [one.actor_id for page in listed for one in page.items] == [GOOD, GOOD]
    assert [one.actor_id for one in conversations.items] == [GOOD]
    assert health.status == "degraded"
    assert r"'e//x'" in health.detail or "1 more" in health.detail
    said = [one for one in caplog.records if one.levelno >= logging.WARNING]
    texts = [one.getMessage() for one in said if "what is no id" in one.getMessage()]
    assert sum(text.count(r"\n0") for text in texts) == 1
    for stored in BROKEN:
        assert await storage.delete_unreadable(stored)
    assert await unreadable(storage) == []
    await runtime.stop(drain=0)


# --- planted past the storage ---------------------------------------------------------


async def test_bytes_and_blobs_that_somebody_wrote_into_a_file_end_no_list(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    await write_as_if_valid(SqliteStateStorage(path), GOOD)
    plant_in_sqlite(
        path, "cast(x'ff' as text)", "cast('a' || char(0) as text)", "x'61'"
    )
    storage = SqliteStateStorage(path)
    await storage.open(HOST)

    async with asyncio.timeout(10):
        found = await unreadable(storage)

    assert found == [StoredId("echo", "a\0"), StoredId("echo", "\udcff")]
    for stored in found:
        assert await storage.delete_unreadable(stored)
    assert await unreadable(storage) == []
    await storage.close()


def plant_in_sqlite(path: Path, *instances: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for instance in instances:
            made = connection.execute(
                f"insert into actor(type, instance) values ('echo', {instance})"  # noqa: S608 - constants
            )
            connection.execute(
                "insert into value values (?, 'k', x'31')", (made.lastrowid,)
            )
        connection.commit()


async def test_a_row_that_somebody_wrote_into_a_table_ends_no_list(
    postgres: PostgresSchema,
) -> None:
    storage = await postgres.open()
    await storage.write_state(GOOD, set={"k": b"1"})
    await postgres.sql(
        "insert into {s}.actor(type, instance) values ('echo/x', E'a\\nb')",
        "insert into {s}.value select n, 'k', '1' from {s}.actor where type = 'echo/x'",
    )

    found = await unreadable(storage)

    assert found == [StoredId("echo/x", "a\nb")]
    assert await storage.delete_unreadable(found[0])
    assert await unreadable(storage) == []


async def test_members_that_somebody_entered_in_an_index_end_no_list(
    redis_server: RedisServer, opened: Open, prefix: str
) -> None:
    storage = await opened(redis_server.url)
    await storage.write_state(GOOD, set={"k": b"1"})
    members, tokens = storage._keys.index("all")
    broken = cast("Any", StoredId("echo", "\udcff"))
    keys = storage._keys.actor(broken)
    redis_server.ask("HSET", keys.values, "k", "1")
    redis_server.ask("HSET", tokens, b"no parts", "a", b"\xfe", "b")
    redis_server.ask(
        "ZADD", members, "0", b"echo\0\xff", "0", b"no parts", "0", b"\xfe"
    )

    found = await unreadable(storage)

    assert isinstance(storage, RedisStateStorage)
    assert (await storage.list_actors()).items == (GOOD,)
    assert found == [broken]
    # What names nothing that is stored is no more than a stale entry.
    assert redis_server.ask("ZCARD", members) == 2
    assert await storage.delete_unreadable(broken)
    assert await unreadable(storage) == []
    assert (await storage.list_actors()).items == (GOOD,)


# --- ids inside values -----------------------------------------------------------------


async def test_a_parent_or_a_receiver_that_is_no_id_keeps_no_actor_from_working(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = InMemoryStateStorage()
    await storage.open(HOST)
    note = b'{"name":"A fork","parent":{"actor":"1/x","message_id":"m1","at":1.0}}'
    tell = {"$outbox/000000000001.000000": b'["t1","1/x",["run",null,{}]]'}
    await storage.write_state(GOOD, set={"$conversation": note, **tell})
    await storage.close()
    runtime = InProcessActorRuntime(storage)
    runtime.register_actor_type("echo", lambda _: HandlingActor(echo))
    await runtime.start()

    infos = (await runtime.list_conversations()).items
    client = InProcessActorClient(runtime)
    response = await (await client.send_request(GOOD, "run", "hello")).get_response()

    assert [(one.name, one.parent) for one in infos] == [("A fork", None)]
    assert response.status is RequestStatus.COMPLETED
    assert "is not sent" in caplog.text
    await runtime.stop(drain=0)


# --- for people -----------------------------------------------------------------------


@pytest.mark.process  # a check runs the contract
def test_the_check_names_what_is_under_no_id_and_deletes_it(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    asyncio.run(write_as_if_valid(SqliteStateStorage(path), GOOD, BROKEN[0]))

    def check(*options: str) -> Any:
        return CliRunner().invoke(app, ["storage", "check", path, *options])

    found, deleted, clean = check(), check("--delete-unreadable"), check()

    assert found.exit_code == 1
    assert r"cannot be read, for that is no id: 'echo/c\n0'" in found.output
    assert "--delete-unreadable" in found.output
    assert r"was deleted, for that is no id: 'echo/c\n0'" in deleted.output
    assert (deleted.exit_code, clean.exit_code) == (0, 0)
    assert "no id" not in clean.output


async def test_a_copy_leaves_out_what_is_under_no_id_and_says_so() -> None:
    source = InMemoryStateStorage()
    await write_as_if_valid(source, GOOD, BROKEN[0])

    report = await copy_storage(source, InMemoryStateStorage())

    assert report.actors == 1
    assert report.left_out == [(BROKEN[0], "it is stored under what is no id")]
