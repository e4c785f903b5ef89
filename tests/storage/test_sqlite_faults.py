"""The SQLite storage while processes are killed and disks fill up."""

import asyncio
import os
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent_runtime_nb.exceptions import Full, ReadOnly
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
)
from tests.storage.conftest import Child

A = ActorId("echo", "c1")
HOST = HostInfo("h1", "the first")
MIB = 1024 * 1024


async def check_witness(storage: SqliteStateStorage, witness: list[str]) -> int:
    """Compare what was said with what is stored; returns how much was said."""
    said = [line.split() for line in witness if line.endswith("\n")]
    for name in {name for _, name, _ in said}:
        actor_id = ActorId("test", name)
        turns = await storage.read_turns(actor_id, limit=100_000)
        positions = [turn.position for turn in turns]
        assert positions == list(range(1, len(turns) + 1))
        ended = {turn.position for turn in turns if turn.status.is_final}
        for what, at in ((what, int(at)) for what, who, at in said if who == name):
            assert at in (positions if what == "accepted" else ended)
        # State and status of a turn are there together: they count the same.
        state = await storage.read_state(actor_id)
        assert int(state.values.get("count", b"0")) == len(ended)
        for turn in turns:
            whole = (turn.result is None) == (turn.entries is None)
            assert whole
            assert (turn.result is not None) == turn.status.is_final
    return len(said)


@pytest.mark.kill
async def test_what_was_acknowledged_survives_sigkill(tmp_path: Path, child: Child):
    path = tmp_path / "state.db"
    witness: list[str] = []
    source = random.Random(5)  # noqa: S311 - moments to kill at
    for n in range(5):
        process = child("take_turns", path)
        assert process.stdout is not None
        witness += [process.stdout.readline() for _ in range(source.randint(50, 1500))]
        process.kill()
        witness += process.stdout.readlines()

        storage = SqliteStateStorage(path)
        await storage.open(HostInfo(f"check-{n}", "check"))
        assert await check_witness(storage, witness) > 0
        # The dead host's open turns are found, and end once.
        for actor_id in (await storage.list_actors("test", open_only=True)).items:
            await end_open_turns(storage, actor_id)
        assert (await storage.list_actors(open_only=True)).items == ()
        await storage.close()


async def end_open_turns(storage: SqliteStateStorage, actor_id: ActorId) -> None:
    claim = await storage.claim(actor_id)
    count = int(claim.values.get("count", b"0"))
    ends = tuple(
        TurnEnd(
            position=turn.position,
            status=RequestStatus.INTERRUPTED,
            result=b"null",
            ended_at=1.0,
            entries=b"[]",
        )
        for turn in claim.open_turns
    )
    assert len(ends) == 1
    change = ActorChange(
        epoch=claim.epoch,
        etag=claim.etag,
        new_etag=f"{actor_id}-{claim.epoch}",
        ended=ends,
        set={"count": b"%d" % (count + len(ends))},
    )
    await storage.apply(actor_id, change)


# --- a small disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, "-t", "tmpfs", "-o", "size=4m", "tmpfs")
    yield folder
    subprocess.run(["/bin/umount", str(folder)], check=True)


def mount(folder: Path, *options: str) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    command = ["/bin/mount", *options, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")


@pytest.fixture
async def storage(small_disk: Path) -> AsyncIterator[SqliteStateStorage]:
    storage = SqliteStateStorage(small_disk / "state.db")
    await storage.open(HOST)
    yield storage
    await storage.close()


async def fill(storage: SqliteStateStorage) -> tuple[int, str | None]:
    """Write values until there is no space; how many there are, and their version."""
    etag: str | None = None
    for n in range(100):
        try:
            etag = await storage.write_state(
                A, set={f"k{n}": b"x" * (MIB // 4)}, etag=etag
            )
        except Full:
            return n, etag
    raise AssertionError("the disk did not fill up")


async def test_on_a_full_disk_nothing_is_half_written(storage: SqliteStateStorage):
    written, etag = await fill(storage)

    state = await storage.read_state(A)

    assert written > 0
    assert state.etag == etag
    assert sorted(state.values) == sorted(f"k{n}" for n in range(written))
    assert all(len(value) == MIB // 4 for value in state.values.values())


async def test_the_same_storage_goes_on_once_there_is_space(
    storage: SqliteStateStorage, small_disk: Path
):
    written, etag = await fill(storage)
    mount(small_disk, "-o", "remount,size=16m")

    await storage.write_state(A, set={"last": b"1"}, etag=etag)

    assert len((await storage.read_state(A)).values) == written + 1


async def test_one_value_that_does_not_fit_does_not_hurt_its_neighbours(
    storage: SqliteStateStorage,
):
    small = [ActorId("echo", f"small {n}") for n in range(10)]

    outcomes = await asyncio.gather(
        storage.write_state(A, set={"k": b"x" * 6 * MIB}),
        *(storage.write_state(actor_id, set={"k": b"1"}) for actor_id in small),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], Full)
    assert all(isinstance(outcome, str) for outcome in outcomes[1:])
    assert (await storage.list_actors()).items == tuple(sorted(small))


async def test_a_disk_without_any_space_is_full_at_open(small_disk: Path):
    (small_disk / "else").write_bytes(b"x" * (4 * MIB - 8192))

    with pytest.raises(Full):
        await SqliteStateStorage(small_disk / "state.db").open(HOST)


async def test_a_read_only_disk_is_refused_at_open(small_disk: Path):
    storage = SqliteStateStorage(small_disk / "state.db")
    await storage.open(HOST)
    await storage.close()
    mount(small_disk, "-o", "remount,ro")

    for path in (small_disk / "state.db", small_disk / "new.db"):
        with pytest.raises(ReadOnly):
            await SqliteStateStorage(path).open(HOST)
