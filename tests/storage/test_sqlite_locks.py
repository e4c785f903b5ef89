"""What a process does beside SQLite with the files of an open storage.

POSIX drops all locks of a process on a file when the process closes any descriptor of
it. Without its locks a database is closed by the next other process as if nobody used
it: with the write-ahead log it deletes whatever is acknowledged after that.
"""

import asyncio
import gc
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent_runtime_nb.agents.samples import EchoAgent
from agent_runtime_nb.exceptions import ActorOwnedElsewhere, StorageLost, Unavailable
from agent_runtime_nb.hosting import Host
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.sqlite.group import SqliteGroup, SqliteStep
from agent_runtime_nb.storage.sqlite.host_lock import HostLock
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.storage.children import ACTS
from tests.storage.conftest import Child

A = ActorId("echo", "c1")
HOST = HostInfo("h1", "the first")

posix_only = pytest.mark.skipif(
    sys.platform != "linux", reason="needs locks that belong to the open file"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "state.db"


@pytest.fixture
async def storage(path: Path) -> AsyncIterator[SqliteStateStorage]:
    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    yield storage
    await storage.close()


async def values_of(path: Path) -> set[str]:
    storage = SqliteStateStorage(path)
    await storage.open(HostInfo("check", "check"))
    try:
        return set((await storage.read_state(A)).values)
    finally:
        await storage.close()


def opened_and_closed_elsewhere(path: Path) -> None:
    look = f"import sqlite3; c = sqlite3.connect({str(path)!r}); "
    look += "c.execute('select count(*) from host').fetchone(); c.close()"
    subprocess.run([sys.executable, "-c", look], check=True, timeout=20)


# --- locks


@posix_only
@pytest.mark.kill
@pytest.mark.parametrize("act", ACTS)
async def test_what_is_acknowledged_survives_whatever_else_its_process_has_opened(
    path: Path, child: Child, act: str
):
    process = child("acknowledge", path, act)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "did it\n"
    opened_and_closed_elsewhere(path)

    process.stdin.write("go on\n")
    process.stdin.flush()
    said = [process.stdout.readline().strip() for _ in range(20)]
    process.kill()
    process.wait()

    assert len(set(said)) == 20
    assert set(said) <= await values_of(path)


@posix_only
@pytest.mark.kill
@pytest.mark.parametrize("act", ["copytree", "second_library"])
async def test_two_processes_that_write_keep_everything_while_one_copies_the_folder(
    path: Path, child: Child, act: str
):
    processes = [child("acknowledge_for_ever", path, one) for one in (act, "nothing")]
    said: list[str] = []
    for process in processes:
        assert process.stdout is not None
        said += [process.stdout.readline() for _ in range(150)]
        process.kill()
        said += process.stdout.readlines()

    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    values: set[str] = set()
    for process in processes:
        actor = ActorId("echo", str(process.pid))
        values |= set((await storage.read_state(actor)).values)
    await storage.close()
    assert {line.strip() for line in said if line.endswith("\n")} <= values
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()


@posix_only
async def test_a_read_that_loses_its_lock_is_made_again(
    storage: SqliteStateStorage, path: Path
):
    session = storage._session
    assert session is not None
    await storage.write_state(A, set={"a": b"1", "b": b"1"})
    update = """import sqlite3, sys; c = sqlite3.connect(sys.argv[1])
c.execute("update value set value = cast('2' as blob)"); c.commit()
c.execute("pragma wal_checkpoint(truncate)")"""
    elsewhere = [sys.executable, "-c", update, str(path)]
    runs = 0

    def read(connection: sqlite3.Connection) -> list[bytes]:
        nonlocal runs
        runs += 1
        query = "select value from value where key = ?"
        found = [connection.execute(query, "a").fetchone()[0]]
        if runs == 1:
            path.with_name("state.db-shm").read_bytes()
            subprocess.run(elsewhere, check=True, timeout=20)
            connection.execute("pragma shrink_memory")  # so that the file is read
        return [*found, connection.execute(query, "b").fetchone()[0]]

    assert await session.reader.submit(read) == [b"2", b"2"]
    assert runs == 2


@posix_only
async def test_a_process_that_never_lets_its_locks_be_is_told(
    storage: SqliteStateStorage, path: Path
):
    session = storage._session
    assert session is not None

    def read(_: sqlite3.Connection) -> bytes:
        return path.with_name("state.db-shm").read_bytes()

    with pytest.raises(Unavailable, match="opens and closes its files"):
        await session.reader.submit(read)


def test_no_part_of_the_package_opens_the_files_beside_sqlite(path: Path, child: Child):
    said = child("live", path).communicate(timeout=60)[0].splitlines()

    assert said == [
        "lived",
        f"opened {path}",
    ]  # what it opens itself in the end is seen


async def test_a_second_storage_in_the_process_is_as_good_as_the_first(
    storage: SqliteStateStorage, path: Path
):
    etag = await storage.write_state(A, set={"a": b"1"})
    second = SqliteStateStorage(path)
    await second.open(HostInfo("h2", "the second"))

    etag = await second.write_state(A, set={"b": b"2"}, etag=etag)
    await second.close()
    opened_and_closed_elsewhere(path)
    await storage.write_state(A, set={"c": b"3"}, etag=etag)

    assert set((await storage.read_state(A)).values) == {"a", "b", "c"}
    await storage.close()
    assert not path.with_name("state.db-wal").exists()


async def test_a_link_to_the_file_is_the_file(tmp_path: Path):
    folder = tmp_path / "place"
    folder.mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(folder / "state.db")
    by_name, by_link = SqliteStateStorage(folder / "state.db"), SqliteStateStorage(link)

    await by_link.open(HostInfo("h2", "by its link"))
    await by_name.open(HOST)
    await by_link.claim(A)

    with pytest.raises(ActorOwnedElsewhere, match="by its link"):
        await by_name.claim(A)
    await by_name.close()
    await by_link.close()
    assert not link.with_name("link.db.hosts").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_child_cannot_open_what_its_parent_has_open(path: Path, child: Child):
    said = child("fork_and_open", path).communicate(timeout=20)[0].splitlines()

    assert said[0].startswith("child: Unavailable")
    assert "forked while it was open" in said[0]
    assert said[1] == "parent: wrote"


# --- files that are taken away


def deleted(path: Path) -> None:
    path.unlink()


def moved_away(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replaced(path: Path) -> None:
    path.with_name("backup.db").replace(path)


def log_deleted(path: Path) -> None:
    path.with_name("state.db-wal").unlink()


def index_deleted(path: Path) -> None:
    path.with_name("state.db-shm").unlink()


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def all_deleted(path: Path) -> None:
    shutil.rmtree(path.parent)


def folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


TAKEN = (deleted, moved_away, replaced, log_deleted, index_deleted)
not_windows = pytest.mark.skipif(
    sys.platform == "win32", reason="the system lets nobody take open files away"
)


def back_up(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("vacuum into ?", (str(path.with_name("backup.db")),))
    connection.close()


@not_windows
@pytest.mark.parametrize("take", [*TAKEN, all_deleted, folder_moved, emptied])
async def test_nothing_is_acknowledged_or_read_once_the_files_were_taken_away(
    storage: SqliteStateStorage, path: Path, take: Callable[[Path], None]
):
    etag = await storage.write_state(A, set={"a": b"1"})
    back_up(path)

    take(path)

    for _ in range(2):  # the second time without a look
        with pytest.raises(StorageLost, match=r"state\.db"):
            await storage.write_state(A, set={"b": b"2"}, etag=etag)
        with pytest.raises(StorageLost):
            await storage.read_state(A)


@not_windows
async def test_a_commit_into_a_file_that_goes_meanwhile_is_not_acknowledged(
    storage: SqliteStateStorage, path: Path
):
    session = storage._session
    assert session is not None
    etag = await storage.write_state(A, set={"a": b"1"})

    def write(group: SqliteGroup, actor_id: ActorId, _: object) -> str:
        deleted(path)
        return group.write_state(actor_id, ({"b": b"2"}, (), etag))

    with pytest.raises(StorageLost):
        await session.writer.submit(SqliteStep(write, A))


@not_windows
async def test_files_that_come_back_are_not_trusted(
    storage: SqliteStateStorage, path: Path
):
    moved_away(path)
    with pytest.raises(StorageLost):
        await storage.claim(A)

    path.with_name("moved.db").rename(path)

    with pytest.raises(StorageLost):
        await storage.write_state(A, set={"a": b"1"})


@posix_only
@pytest.mark.kill
@pytest.mark.parametrize("take", [moved_away, log_deleted, index_deleted])
async def test_what_was_acknowledged_before_is_in_the_database_wherever_it_is(
    path: Path, child: Child, take: Callable[[Path], None]
):
    process = child("acknowledge", path, "nothing")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()

    take(path)
    process.stdin.write("go on\n")
    process.stdin.flush()
    said = {process.stdout.readline().strip() for _ in range(20)}
    process.kill()
    process.wait()

    assert said == {"StorageLost"}
    moved = path.with_name("moved.db")
    found = await values_of(moved if moved.exists() else path)
    assert {"before"} <= found <= {"before", "k0"}  # one was on its way


@not_windows
@pytest.mark.kill
@pytest.mark.parametrize("take", TAKEN)
async def test_what_a_living_host_has_open_only_in_part_is_not_opened_beside_it(
    path: Path, child: Child, take: Callable[[Path], None]
):
    process = child("acknowledge", path, "nothing")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    back_up(path)

    take(path)
    with pytest.raises(Unavailable, match=r"another state\.db.* open: stop it first"):
        await SqliteStateStorage(path).open(HOST)

    process.stdin.write("go on\n")
    process.stdin.flush()
    said = {process.stdout.readline().strip() for _ in range(20)}
    process.kill()
    process.wait()
    assert said == {"StorageLost"}
    if take in (log_deleted, index_deleted):  # else its database has no name
        assert "before" in await values_of(path)


async def test_a_host_that_opens_while_the_last_one_closes_is_not_refused(path: Path):
    async def open_and_close(name: str) -> None:
        for _ in range(40):
            storage = SqliteStateStorage(path)
            await storage.open(HostInfo(name, name))
            await storage.close()

    await asyncio.gather(*(open_and_close(f"h{n}") for n in range(2)))


@posix_only
@pytest.mark.kill
async def test_a_look_at_a_database_whose_log_was_deleted_does_not_lose_the_log(
    path: Path, child: Child
):
    process = child("acknowledge", path, "nothing")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()

    log_deleted(path)
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.Error):
        connection.execute("select count(*) from value").fetchone()
    connection.close()
    assert path.with_name("state.db-wal").exists()
    process.stdin.write("go on\n")
    process.stdin.flush()
    said = {process.stdout.readline().strip() for _ in range(20)}
    process.kill()
    process.wait()

    assert said == {"StorageLost"}
    assert "before" in await values_of(path)


async def test_a_file_with_a_second_name_is_not_opened(path: Path, tmp_path: Path):
    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    await storage.write_state(A, set={"a": b"1"})
    other = tmp_path / "other.db"
    os.link(path, other)

    with pytest.raises(Unavailable, match="2 names"):
        await SqliteStateStorage(other).open(HostInfo("h2", "by its other name"))

    other.unlink()
    assert set((await storage.read_state(A)).values) == {"a"}
    await storage.close()


@posix_only
def test_without_a_descriptor_left_nothing_goes_on_without_its_locks(
    path: Path, child: Child
):
    said = child("lock_without_descriptors", path).communicate(timeout=20)[0]

    assert said.splitlines() == ["OpenFiles: EMFILE", "HostLock: EMFILE"]


@not_windows
def test_what_a_dead_host_has_published_is_not_that_of_its_successor(tmp_path: Path):
    asks, dead = HostLock(tmp_path, "asks"), HostLock(tmp_path, "same")
    dead.publish(b"long ago")
    assert asks.published_by_others() == [b"long ago"]
    dead.abandon()
    assert asks.published_by_others() == []

    successor = HostLock(tmp_path, "same")

    assert asks.published_by_others() == [b""]
    successor.release()
    asks.release()


def test_a_lock_that_was_released_leaves_nothing_in_the_process(tmp_path: Path):
    HostLock(tmp_path, "first").release()
    gc.collect()
    before = len(gc.get_objects())

    for n in range(200):
        HostLock(tmp_path, f"host {n}").release()

    gc.collect()
    assert len(gc.get_objects()) - before < 100


@posix_only
@pytest.mark.kill
async def test_a_backup_that_was_put_in_place_is_what_is_found_afterwards(
    path: Path, child: Child
):
    process = child("acknowledge", path, "nothing")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    back_up(path)
    connection = sqlite3.connect(path.with_name("backup.db"))
    connection.execute("update value set key = 'restored'")
    connection.commit()
    connection.close()

    replaced(path)
    process.stdin.write("go on\n")
    process.stdin.flush()
    said = {process.stdout.readline().strip() for _ in range(20)}
    process.kill()
    process.wait()

    assert said == {"StorageLost"}
    assert await values_of(path) == {"restored"}


@not_windows
@pytest.mark.parametrize("take", TAKEN)
async def test_after_a_stop_it_is_opened_again_as_it_is_found(
    storage: SqliteStateStorage, path: Path, take: Callable[[Path], None]
):
    etag = await storage.write_state(A, set={"a": b"1"})
    back_up(path)
    take(path)
    with pytest.raises(StorageLost):
        await storage.write_state(A, set={"b": b"2"}, etag=etag)

    await storage.close()
    await storage.open(HOST)

    found = await storage.read_state(A)
    assert ("a" in found.values) is (take not in (deleted, moved_away))
    await storage.write_state(A, set={"c": b"3"}, etag=found.etag)
    await storage.close()
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()


@not_windows
async def test_a_lost_storage_leaves_the_files_of_others_alone(
    storage: SqliteStateStorage, path: Path, child: Child
):
    await storage.write_state(A, set={"a": b"1"})
    for side in ("", "-wal", "-shm"):
        path.with_name(f"state.db{side}").unlink()
    other = child("acknowledge", path, "nothing")
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdout.readline()

    with pytest.raises(StorageLost):
        await storage.write_state(A, set={"b": b"2"})
    await storage.close()

    other.stdin.write("go on\n")
    other.stdin.flush()
    said = {other.stdout.readline().strip() for _ in range(20)}
    other.kill()
    other.wait()
    assert said == {f"k{n}" for n in range(20)}
    assert await values_of(path) == {"before", *said}


@not_windows
async def test_a_runtime_whose_storage_was_taken_away_says_so(path: Path):
    async with Host({"echo": EchoAgent()}, storage=path) as host:
        actor_id = ActorId("echo", "c1")
        params = {"messages": [{"role": "user", "content": "hello"}]}
        await (await host.client.send_request(actor_id, "run", params)).get_response()

        deleted(path)
        with pytest.raises(StorageLost):
            await host.client.send_request(actor_id, "run", params)

        health = await host.runtime.health()
        assert health.status == "degraded"
        assert "was taken away while it was open" in health.detail
