"""Files of every schema version: older ones are migrated whole, newer ones refused."""

import asyncio
import hashlib
import shutil
import signal
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.exceptions import SchemaTooNew
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.sqlite import reads, schema
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    IActorStateStorage,
)
from tests.effort import amount
from tests.storage import samples
from tests.storage.conftest import Child
from tests.storage.samples import DELETED, STATE_ONLY, TALK, WAITING

HOST = HostInfo("h1", "the first")
VERSIONS = range(1, schema.SCHEMA_VERSION + 1)


def sample(version: int, folder: Path) -> Path:
    """A copy of the sample file of a version, without what was beside an older copy."""
    path = folder / "state.db"
    for side in folder.glob("state.db-*"):
        side.unlink()
    shutil.copyfile(samples.DATA / f"storage_v{version}.db", path)
    return path


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[SqliteStateStorage]:
    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    yield storage
    await storage.close()


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        return connection.execute("pragma user_version").fetchone()[0]
    finally:
        connection.close()


def schema_of(path: Path) -> set[tuple[str, ...]]:
    """The columns of every table and index, however they came to be."""
    connection = sqlite3.connect(path)
    try:
        names = connection.execute("select type, name from sqlite_master").fetchall()
        return {
            (kind, name, *(str(row[1:]) for row in rows))
            for kind, name in names
            for rows in [connection.execute(f"pragma {kind}_info('{name}')").fetchall()]
        }
    finally:
        connection.close()


async def check_content(storage: IActorStateStorage, marked: bool) -> None:  # noqa: FBT001
    """Everything of the sample is there, exactly."""
    assert (await storage.list_actors()).items == (TALK, STATE_ONLY, WAITING)
    assert (await storage.list_actors(open_only=True)).items == (WAITING,)
    assert await storage.read_turns(TALK) == samples.TALK_TURNS
    assert (await storage.read_state(TALK)).values == samples.TALK_VALUES
    assert (await storage.read_state(STATE_ONLY)).values == {"k": '"é☃"'.encode()}
    assert (await storage.read_state(DELETED)).epoch == 2
    claims = {one: await storage.claim(one) for one in (TALK, DELETED, WAITING)}
    assert claims[TALK].etag == "talk-etag"
    assert claims[DELETED].next_position == 2
    assert claims[WAITING].open_turns == [samples.OPEN_TURN, samples.WAITING_TURN]
    for actor_id, claim in claims.items():
        given = samples.MARKS.get(actor_id) if marked else None
        assert claim.marks == (given or frozenset())


def test_there_is_a_sample_of_every_version(tmp_path: Path):
    files = sorted(file.name for file in samples.DATA.glob("storage_v*.db"))

    assert files == [f"storage_v{version}.db" for version in VERSIONS]
    for version in VERSIONS:
        assert version_of(sample(version, tmp_path)) == version


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_file_of_an_older_version_has_what_was_in_it(
    tmp_path: Path, version: int
):
    path = sample(version, tmp_path)

    async with opened(path) as storage:
        await check_content(storage, marked=version >= 2)

    assert version_of(path) == schema.SCHEMA_VERSION


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_migrated_file_has_the_schema_of_a_new_one(
    tmp_path: Path, version: int
):
    path, new = sample(version, tmp_path), tmp_path / "new.db"

    async with opened(path), opened(new):
        pass

    assert schema_of(path) == schema_of(new)


async def test_a_migrated_file_is_written_like_a_new_one(tmp_path: Path):
    async with opened(sample(1, tmp_path)) as storage:
        claim = await storage.claim(TALK)
        change = ActorChange(epoch=claim.epoch, add_marks=frozenset({"dead"}))
        await storage.apply(TALK, change)

        assert (await storage.list_actors(mark="dead")).items == (TALK,)


async def test_hosts_that_open_an_older_file_at_once_migrate_it_once(tmp_path: Path):
    path = sample(1, tmp_path)
    storages = [SqliteStateStorage(path) for _ in range(4)]

    await asyncio.gather(
        *(one.open(HostInfo(f"h{n}", "")) for n, one in enumerate(storages))
    )

    await check_content(storages[3], marked=False)
    for one in storages:
        await one.close()
    assert version_of(path) == schema.SCHEMA_VERSION


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(
    tmp_path: Path, version: int
):
    path = sample(version, tmp_path)
    connection = sqlite3.connect(path)
    connection.execute(f"pragma user_version={schema.SCHEMA_VERSION + 1}")
    connection.close()
    before = hashlib.sha256(path.read_bytes()).hexdigest()

    with pytest.raises(SchemaTooNew) as refused:
        await SqliteStateStorage(path).open(HOST)

    assert (refused.value.found, refused.value.known) == (
        schema.SCHEMA_VERSION + 1,
        schema.SCHEMA_VERSION,
    )
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


@pytest.mark.scales
@pytest.mark.timeout(180)
async def test_a_migration_that_is_killed_has_happened_whole_or_not_at_all(
    tmp_path: Path, child: Child
):
    path = sample(1, tmp_path)
    lived = child("die_while_opening", path, 0, 0)
    assert lived.stdout is not None
    instructions = int(lived.stdout.readline())
    lived.kill()
    steps, delays = amount(7, quick=3, long=40), amount(3, quick=1, long=20)
    deaths = [(instructions * n // steps, 0) for n in range(1, steps + 1)]
    deaths += [(0, n / 10_000) for n in range(1, delays + 1)]

    found: set[int] = set()
    for instruction, seconds in deaths:
        sample(1, tmp_path)
        process = child("die_while_opening", path, instruction, seconds)
        said = process.communicate(timeout=20)[0]
        if instruction:
            assert (process.returncode, said) == (-signal.SIGKILL, "")
        found.add(version_of(path))
        async with opened(path) as storage:
            await check_content(storage, marked=False)
        assert version_of(path) == schema.SCHEMA_VERSION

    assert found == {1, schema.SCHEMA_VERSION}


# --- what finding actors costs


def cost(actors: int, **wanted: Any) -> int:
    """SQLite's instructions for a page of three actors among many."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.make_schema(connection)
    connection.executemany(
        "insert into actor(type, instance) values ('echo', ?)",
        ((f"c{n:06}",) for n in range(actors)),
    )
    connection.execute("insert into value select n, 'k', x'31' from actor")
    few = (1, actors // 2, actors)
    for n in few:
        connection.execute("update actor set marks = ' outbox ' where n = ?", (n,))
        connection.execute(
            "insert into turn values (?, 1, 'm', 'pending', 0, 0, null, '', '', '', '')",
            (n,),
        )
    done = 0

    def count() -> int:
        nonlocal done
        done += 1
        return 0

    connection.set_progress_handler(count, 1)
    options: dict[str, Any] = {
        "open_only": False,
        "mark": None,
        "after": None,
        "limit": 200,
        **wanted,
    }
    page = reads.list_actors(connection, None, **options)
    connection.close()
    assert page.items == tuple(ActorId("echo", f"c{n - 1:06}") for n in few)
    return done


@pytest.mark.parametrize(
    "wanted",
    [{"open_only": True}, {"mark": "outbox"}, {"open_only": True, "mark": "outbox"}],
    ids=str,
)
def test_finding_open_or_marked_actors_costs_nothing_for_the_others(
    wanted: dict[str, Any],
):
    assert cost(20_000, **wanted) <= cost(100, **wanted) + 10
