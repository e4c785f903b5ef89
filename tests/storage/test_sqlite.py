"""What is special to the SQLite storage: the file, its hosts, its processes."""

import asyncio
import errno
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Conflict,
    Corrupt,
    Full,
    ReadOnly,
    SchemaTooNew,
    StorageError,
    TooLarge,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite.database import (
    MAX_VALUE,
    is_network_path,
    translate,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
    TurnRecord,
)
from tests.storage.children import COUNTER
from tests.storage.conftest import Child

A = ActorId("echo", "c1")
HOST = HostInfo("h1", "the first")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "state.db"


@pytest.fixture
async def storage(path: Path) -> AsyncIterator[SqliteStateStorage]:
    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    yield storage
    await storage.close()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, content: bytes | bytearray) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def pragma(path: Path, name: str) -> object:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"pragma {name}").fetchone()[0]
    finally:
        connection.close()


# --- the file


async def test_only_the_user_may_look_into_the_files(storage: SqliteStateStorage):
    await storage.write_state(A, set={"k": b"1"})

    folder = Path(storage.location).parent
    assert mode_of(folder) == 0o700
    modes = {file.name: mode_of(file) for file in folder.iterdir() if not file.is_dir()}
    assert modes == dict.fromkeys(("state.db", "state.db-wal", "state.db-shm"), 0o600)
    assert mode_of(folder / "state.db.hosts") == 0o700
    assert [mode_of(lock) for lock in (folder / "state.db.hosts").iterdir()] == [0o600]


async def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path):
    mode = mode_of(tmp_path)
    storage = SqliteStateStorage(tmp_path / "state.db")

    await storage.open(HOST)
    await storage.close()

    assert mode_of(tmp_path) == mode


async def test_the_schema_has_a_version_and_a_write_ahead_log(
    storage: SqliteStateStorage, path: Path
):
    assert pragma(path, "user_version") == 2
    assert pragma(path, "journal_mode") == "wal"


async def test_close_leaves_one_whole_file(storage: SqliteStateStorage, path: Path):
    await storage.write_state(A, set={"k": b"1"})

    await storage.close()

    assert sorted(file.name for file in path.parent.iterdir()) == [
        "state.db",
        "state.db.hosts",
    ]
    assert list(path.with_name("state.db.hosts").iterdir()) == []
    assert pragma(path, "integrity_check") == "ok"


async def test_two_hosts_may_make_the_file_at_once(path: Path):
    storages = [SqliteStateStorage(path) for _ in range(4)]

    await asyncio.gather(
        *(one.open(HostInfo(f"h{n}", "")) for n, one in enumerate(storages))
    )
    await storages[0].write_state(A, set={"k": b"1"})

    assert (await storages[3].read_state(A)).values == {"k": b"1"}
    for one in storages:
        await one.close()


async def test_the_path_is_kept_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    storage = SqliteStateStorage("state.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    await storage.open(HOST)
    await storage.close()

    assert storage.location == str(tmp_path / "state.db")
    assert (tmp_path / "state.db").exists()


async def test_a_failed_open_leaves_no_host_behind(path: Path):
    put(path, b"garbage" * 1000)
    storage = SqliteStateStorage(path)

    with pytest.raises(Corrupt):
        await storage.open(HOST)

    assert list(path.with_name("state.db.hosts").iterdir()) == []
    put(path, b"")
    await storage.open(HOST)
    await storage.close()


async def test_a_cancelled_open_leaves_no_host_behind(path: Path):
    storage = SqliteStateStorage(path)
    opening = asyncio.get_running_loop().create_task(storage.open(HOST))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    async with asyncio.timeout(10):
        while True:
            try:
                await storage.open(HOST)
            except Unavailable:  # it is still closing
                await asyncio.sleep(0)
            else:
                break

    await storage.close()


# --- what is refused


@pytest.mark.parametrize(
    "content", [b"garbage" * 2000, b"SQLite format 3\0" + b"\xff" * 8000]
)
async def test_a_file_of_garbage_is_corrupt_and_left_alone(path: Path, content: bytes):
    put(path, content)

    with pytest.raises(Corrupt):
        await SqliteStateStorage(path).open(HOST)

    assert content_of(path) == content


async def test_damaged_pages_are_found_at_open(path: Path):
    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    values = {f"k{n}": os.urandom(3000) for n in range(100)}
    await storage.write_state(A, set=values)
    await storage.close()
    content = bytearray(content_of(path))
    content[4096 * 20 : 4096 * 30] = os.urandom(4096 * 10)
    put(path, content)

    with pytest.raises(Corrupt):
        await storage.open(HOST)

    assert content_of(path) == content


async def test_a_newer_schema_is_refused_and_left_alone(path: Path):
    put(path, b"")
    connection = sqlite3.connect(path)
    connection.execute("create table future(x)")
    connection.execute("pragma user_version=3")
    connection.close()
    content = content_of(path)

    with pytest.raises(SchemaTooNew) as refused:
        await SqliteStateStorage(path).open(HOST)

    assert (refused.value.found, refused.value.known) == (3, 2)
    assert content_of(path) == content


async def test_a_database_of_another_program_is_left_alone(path: Path):
    put(path, b"")
    connection = sqlite3.connect(path)
    connection.execute("create table bookmarks(x)")
    connection.close()
    content = content_of(path)

    with pytest.raises(Corrupt, match="another program"):
        await SqliteStateStorage(path).open(HOST)

    assert content_of(path) == content


async def test_a_folder_that_cannot_be_is_unavailable(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable):
        await SqliteStateStorage(tmp_path / "file" / "state.db").open(HOST)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
def test_a_file_of_somebody_else_is_read_only(tmp_path: Path, child: Child):
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o755)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)

    output = child("open_as_nobody", folder / "state.db").communicate(timeout=20)[0]

    assert output.strip() == "ReadOnly"


@pytest.mark.parametrize("place", ["body", "result", "entries", "checkpoint", "set"])
async def test_a_value_over_the_limit_is_refused_with_its_whole_change(
    storage: SqliteStateStorage, place: str
):
    epoch = (await storage.claim(A)).epoch
    await storage.apply(
        A,
        ActorChange(epoch=epoch, accepted=(TurnRecord(position=1, message_id="m1"),)),
    )
    large = b"x" * (MAX_VALUE + 1)
    end = TurnEnd(position=1, status=RequestStatus.COMPLETED, result=None, ended_at=1.0)
    change = ActorChange(epoch=epoch, new_etag="e1", ended=(end,))
    if place == "body":
        change.accepted = (TurnRecord(position=2, message_id="m2", body=large),)
    elif place == "checkpoint":
        change.checkpoint = (1, large)
    elif place == "set":
        change.set = {"k": large}
    else:
        setattr(end, place, large)

    with pytest.raises(TooLarge):
        await storage.apply(A, change)

    claim = await storage.claim(A)
    assert claim.etag is None
    assert [turn.message_id for turn in claim.open_turns] == ["m1"]


async def test_a_value_over_the_limit_is_refused_outside_turns(
    storage: SqliteStateStorage,
):
    with pytest.raises(TooLarge):
        await storage.write_state(A, set={"k": b"x" * (MAX_VALUE + 1)})


async def test_a_group_may_be_larger_than_memory_for_one_statement(
    storage: SqliteStateStorage,
):
    values = {f"k{n}": bytes([n]) * MAX_VALUE for n in range(4)}

    await asyncio.gather(
        storage.write_state(A, set=values),
        *(
            storage.write_state(ActorId("echo", key), set={key: value})
            for key, value in values.items()
        ),
    )

    assert (await storage.read_state(A)).values == values


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, Full),
        (sqlite3.SQLITE_IOERR_SHMSIZE, Full),
        (sqlite3.SQLITE_READONLY, ReadOnly),
        (sqlite3.SQLITE_READONLY_DIRECTORY, ReadOnly),
        (sqlite3.SQLITE_CORRUPT, Corrupt),
        (sqlite3.SQLITE_CORRUPT_INDEX, Corrupt),
        (sqlite3.SQLITE_NOTADB, Corrupt),
        (sqlite3.SQLITE_TOOBIG, TooLarge),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, Conflict),
        (sqlite3.SQLITE_BUSY, Unavailable),
        (sqlite3.SQLITE_LOCKED, Unavailable),
        (sqlite3.SQLITE_CANTOPEN, Unavailable),
        (sqlite3.SQLITE_IOERR_READ, Unavailable),
        (sqlite3.SQLITE_ERROR, Unavailable),
    ],
)
def test_an_error_of_sqlite_becomes_one_of_ours(
    code: int, expected: type[StorageError]
):
    error = sqlite3.OperationalError("it happened")
    error.sqlite_errorcode = code

    translated = translate(error, "state.db")

    assert type(translated) is expected
    assert translated.__cause__ is error


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, Full),
        (errno.EROFS, ReadOnly),
        (errno.EACCES, ReadOnly),
        (errno.ENOTDIR, Unavailable),
        (errno.EIO, Unavailable),
    ],
)
def test_an_error_of_the_system_becomes_one_of_ours(
    number: int, expected: type[StorageError]
):
    assert type(translate(OSError(number, "it happened"), "state.db")) is expected


# --- network file systems


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/ada/state.db", True),
        ("/data/local/state.db", False),
        ("/homeward/state.db", False),
        ("/mnt/my share/state.db", True),
        ("/mnt/ssh/deep/state.db", True),
        ("/state.db", False),
    ],
)
def test_a_network_file_system_is_known_by_its_mount(path: str, expected: object):
    table = (
        "/dev/vda / ext4 rw 0 0\n"
        "server:/data /data nfs4 rw 0 0\n"
        "/dev/vdb /data/local xfs rw 0 0\n"
        "//server/share /mnt/my\\040share cifs rw 0 0\n"
        "ada@server: /mnt/ssh fuse.sshfs rw 0 0\n"
        "\n"
    )

    assert is_network_path(Path(path), table) is expected


def test_without_a_list_of_mounts_a_path_is_local():
    assert is_network_path(Path("/data/ada"), "") is False


async def test_on_a_network_file_system_there_is_no_write_ahead_log(tmp_path: Path):
    mounts = tmp_path / "mounts"
    mounts.write_text("server:/ / nfs rw 0 0\n")
    storage = SqliteStateStorage(tmp_path / "state.db", mount_table=mounts)
    await storage.open(HOST)

    await storage.write_state(A, set={"k": b"1"})

    assert pragma(tmp_path / "state.db", "journal_mode") == "delete"
    await storage.close()


# --- hosts


async def test_one_host_id_is_open_once(storage: SqliteStateStorage, path: Path):
    with pytest.raises(Unavailable):
        await SqliteStateStorage(path).open(HOST)

    with pytest.raises(Unavailable):
        await storage.open(HostInfo("h2", "another"))


async def test_the_lock_of_a_dead_host_is_removed_at_the_next_open(path: Path):
    dead, living = SqliteStateStorage(path), SqliteStateStorage(path)
    await dead.open(HostInfo("dead", "dead"))
    assert dead._session is not None
    dead._session.lock.abandon()
    folder = path.with_name("state.db.hosts")
    (left,) = folder.iterdir()

    await living.open(HOST)

    assert not left.exists()
    assert len(list(folder.iterdir())) == 1
    await living.close()
    await dead.close()


@pytest.mark.kill
async def test_a_killed_process_frees_its_actors(
    storage: SqliteStateStorage, path: Path, child: Child
):
    process = child("hold", path)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    with pytest.raises(ActorOwnedElsewhere, match=f"process {process.pid}"):
        await storage.claim(COUNTER)

    process.kill()
    process.wait()

    assert (await storage.claim(COUNTER)).epoch == 2


async def test_processes_count_together(
    storage: SqliteStateStorage, path: Path, child: Child
):
    processes = [child("count", path, 60) for _ in range(2)]

    for process in processes:
        await asyncio.to_thread(process.communicate, timeout=40)

    assert [process.returncode for process in processes] == [0, 0]
    assert (await storage.read_state(COUNTER)).values == {"n": b"120"}


@pytest.mark.kill
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
async def test_a_forked_child_is_refused_and_is_not_the_host(
    storage: SqliteStateStorage, path: Path, child: Child
):
    process = child("fork", path)
    assert process.stdout is not None
    said = sorted(process.stdout.readline() for _ in range(3))

    process.kill()
    process.wait()

    assert said[2] == "parent: wrote\n"
    for line in said[:2]:
        assert line.startswith("child: StorageClosed")
        assert "before a fork" in line
    # The child lives and waits for its input, but the host is dead.
    claim = await storage.claim(COUNTER)
    assert (claim.epoch, claim.values) == (2, {"n": b"1"})


# --- what a turn costs


async def pages_of_a_turn(storage: SqliteStateStorage, turns: int) -> float:
    """The pages that a turn writes once there were so many, on average of twenty."""
    claim = await storage.claim(A)
    epoch, position = claim.epoch, claim.next_position

    async def turn(position: int) -> None:
        record = TurnRecord(
            position=position, message_id=f"m{position}", body=b"x" * 99
        )
        await storage.apply(A, ActorChange(epoch=epoch, accepted=(record,)))
        end = TurnEnd(
            position=position,
            status=RequestStatus.COMPLETED,
            result=b"y" * 99,
            ended_at=1.0,
            entries=b"z" * 300,
        )
        await storage.apply(
            A, ActorChange(epoch=epoch, ended=(end,), set={"session": b"s" * 200})
        )

    while position <= turns:
        await turn(position)
        position += 1
    connection = sqlite3.connect(storage.location)
    connection.execute("pragma wal_checkpoint(truncate)")
    for _ in range(20):
        await turn(position)
        position += 1
    written = connection.execute("pragma wal_checkpoint(passive)").fetchone()[1]
    connection.close()
    return written / 20


async def test_a_turn_costs_what_it_adds_however_long_the_conversation(path: Path):
    storage = SqliteStateStorage(path, synchronous="NORMAL")
    await storage.open(HOST)

    short = await pages_of_a_turn(storage, 10)
    long = await pages_of_a_turn(storage, 1000)

    assert short > 0
    assert long <= short * 1.5
    await storage.close()
