"""The SQLite storage where it has no space, or no right to write."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent_runtime_nb.exceptions import Full, ReadOnly
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.sqlite import database
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.storage.conftest import Child

A = ActorId("echo", "c1")
HOST = HostInfo("h1", "the first")
MIB = 1024 * 1024


class SmallDisk:
    """A place for a storage that fills up soon, and can grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state.db"

    def grow(self) -> None:
        """Give it four times the space."""
        raise NotImplementedError

    def end(self) -> None:
        """Undo what was done to the system."""


class MountedDisk(SmallDisk):
    """A file system of 4 MiB; only root may mount one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        mount(folder, "-t", "tmpfs", "-o", "size=4m", "tmpfs")

    def grow(self) -> None:
        mount(self.folder, "-o", "remount,size=16m")

    def end(self) -> None:
        subprocess.run(["/bin/umount", str(self.folder)], check=True)


class Quota(SmallDisk):
    """A file that SQLite is not let make larger; needs no right to anything."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.pages = 1024
        self.connections: list[sqlite3.Connection] = []
        connect = database._connect

        def limited(path: Path) -> sqlite3.Connection:
            connection = connect(path)
            self.connections.append(connection)
            connection.execute(f"pragma max_page_count={self.pages}")
            return connection

        patch.setattr(database, "_connect", limited)

    def grow(self) -> None:
        self.pages *= 4
        for connection in self.connections:
            connection.execute(f"pragma max_page_count={self.pages}")


@pytest.fixture(params=["mounted", "quota"])
def disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = request.param == "mounted"
    disk = MountedDisk(folder) if mounted else Quota(folder, monkeypatch)
    yield disk
    disk.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = MountedDisk(folder)
    yield folder
    disk.end()


def mount(folder: Path, *options: str) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    command = ["/bin/mount", *options, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")


@pytest.fixture
async def storage(disk: SmallDisk) -> AsyncIterator[SqliteStateStorage]:
    storage = SqliteStateStorage(disk.path)
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
    storage: SqliteStateStorage, disk: SmallDisk
):
    written, etag = await fill(storage)
    disk.grow()

    await storage.write_state(A, set={"last": b"x" * MIB}, etag=etag)

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


class Keeper(IActor):
    """Keeps the params of each request, and answers how many bytes that were."""

    async def run(self, context: IActorRuntimeContext) -> None:
        async for request in context.watch_messages():
            await context.write_state(request.message_id, request.params)
            answer = ActorResponseMessage(
                message_id=request.message_id,
                sender_id=context.actor_id,
                status=RequestStatus.COMPLETED,
                data=len(str(request.params)),
            )
            context.complete_request(request.message_id, answer)

    async def dispose(self) -> None:
        """Nothing to free."""


async def test_a_runtime_goes_through_a_full_disk_without_a_restart(disk: SmallDisk):
    runtime = InProcessActorRuntime(
        SqliteStateStorage(disk.path),
        settings=RuntimeSettings(commit_retries=(0.01, 0.01)),
    )
    runtime.register_actor_type("keeper", lambda _: Keeper())
    await runtime.start()
    client = InProcessActorClient(runtime)
    kept: dict[str, int] = {}
    answered: list[RequestStatus] = []

    async def keep(number: int, size: int) -> int:
        actor_id = ActorId("keeper", f"c{number}")
        handle = await client.send_request(
            actor_id, "keep", {"text": "x" * size}, message_id=f"m{number}"
        )
        response = await handle.get_response()
        answered.append(response.status)
        return response.data

    # Until it is full, whether that is found at the accept or at the commit.
    for number in range(200):
        try:
            kept[f"m{number}"] = await keep(number, MIB // 8)
        except Full:
            break
    assert 0 < len(kept) < 200
    with pytest.raises(Full):
        await keep(201, MIB)
    # What was acknowledged can be read, by its message id too.
    for message_id, size in kept.items():
        actor_id = ActorId("keeper", "c" + message_id[1:])
        handle = await client.get_response(actor_id, message_id)
        assert (await handle.get_response()).data == size

    disk.grow()

    assert await keep(300, MIB) > MIB
    assert answered == [RequestStatus.COMPLETED] * (len(kept) + 1)
    await runtime.stop()


# --- read-only


async def test_a_read_only_disk_is_refused_at_open(small_disk: Path):
    storage = SqliteStateStorage(small_disk / "state.db")
    await storage.open(HOST)
    await storage.close()
    mount(small_disk, "-o", "remount,ro")

    for path in (small_disk / "state.db", small_disk / "new.db"):
        with pytest.raises(ReadOnly):
            await SqliteStateStorage(path).open(HOST)


@pytest.mark.skipif(os.name != "posix", reason="the system has no such modes")
def test_a_file_or_folder_that_may_not_be_written_is_refused_at_open(child: Child):
    output = child("open_without_rights").communicate(timeout=20)[0]

    assert output.split() == ["file:", "ReadOnly", "folder:", "ReadOnly"]
