"""The SQLite storage on files that are damaged, or are in a bad place."""

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from agent_runtime_nb.exceptions import Corrupt
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo

A = ActorId("echo", "c1")
HOST = HostInfo("h1", "the first")
MIB = 1024 * 1024


async def damaged(path: Path) -> bytearray:
    """Make a file with ten damaged pages in the middle; what it holds then."""
    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    for n in range(100):
        await storage.write_state(
            ActorId("echo", f"c{n:02}"), set={"k": b"%02d" % n * 1500}
        )
    await storage.close()
    return damage(path)


def damage(path: Path) -> bytearray:
    content = bytearray(path.read_bytes())
    content[4096 * 40 : 4096 * 50] = random.Random(3).randbytes(4096 * 10)  # noqa: S311 - garbage
    path.write_bytes(content)
    return content


def set_aside(folder: Path) -> list[Path]:
    return list(folder.glob("*.corrupt-*"))


async def test_damage_is_named_with_what_can_be_done_about_it(tmp_path: Path):
    path = tmp_path / "a state.db"
    content = await damaged(path)

    with pytest.raises(Corrupt, match=r"it was left untouched") as found:
        await SqliteStateStorage(path).open(HOST)

    assert f"`sqlite3 '{path}' .recover` shows what can be saved" in str(found.value)
    assert path.read_bytes() == content
    assert sorted(file.name for file in path.parent.iterdir()) == [
        path.name,
        f"{path.name}.hosts",
    ]


async def test_damage_that_comes_later_hurts_only_what_it_hit(tmp_path: Path):
    path = tmp_path / "state.db"
    await damaged(path)
    path.unlink()
    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    ids = [ActorId("echo", f"c{n:02}") for n in range(100)]
    for n, actor_id in enumerate(ids):
        await storage.write_state(actor_id, set={"k": b"%02d" % n * 1500})
    await storage.close()
    await storage.open(HOST)
    damage(path)

    outcomes = await asyncio.gather(
        *(storage.read_state(actor_id) for actor_id in ids), return_exceptions=True
    )

    right = 0
    for n, outcome in enumerate(outcomes):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, Corrupt)
        else:
            assert outcome.values == {"k": b"%02d" % n * 1500}
            right += 1
    assert 50 < right < 100
    await storage.close()


async def test_a_damaged_file_is_set_aside_on_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "state.db"
    content = await damaged(path)
    storage = SqliteStateStorage(path, on_corrupt="fresh")

    await storage.open(HOST)

    assert (await storage.list_actors()).items == ()
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes() == content
    assert f"{path} is damaged" in caplog.text
    assert str(aside) in caplog.text
    await storage.write_state(A, set={"k": b"1"})
    await storage.close()


async def test_a_damaged_file_that_another_host_uses_stays(tmp_path: Path):
    path = tmp_path / "state.db"
    other = SqliteStateStorage(path)
    await other.open(HostInfo("other", "another"))
    await other.write_state(A, set={f"k{n}": b"x" * 3000 for n in range(100)})
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    damage(path)

    with pytest.raises(Corrupt):
        await SqliteStateStorage(path, on_corrupt="fresh").open(HOST)

    assert set_aside(tmp_path) == []
    await other.close()


@pytest.mark.parametrize(
    "content", [b"garbage" * 2000, b"SQLite format 3\0" + b"\xff" * 8000]
)
async def test_what_may_be_another_programs_file_is_never_set_aside(
    tmp_path: Path, content: bytes
):
    path = tmp_path / "state.db"
    path.write_bytes(content)

    with pytest.raises(Corrupt):
        await SqliteStateStorage(path, on_corrupt="fresh").open(HOST)

    assert path.read_bytes() == content
    assert set_aside(tmp_path) == []


# --- network file systems


async def test_a_network_file_system_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    mounts = tmp_path / "mounts"
    mounts.write_text("server:/ / nfs rw 0 0\n")
    path = tmp_path / "state.db"

    for n in range(2):
        storage = SqliteStateStorage(path, mount_table=mounts)
        await storage.open(HostInfo(f"h{n}", ""))
        await storage.close()

    (warning,) = [one.getMessage() for one in caplog.records]
    assert warning.startswith(f"{path} is on a network file system")
    assert "start(storage=...)" in warning
