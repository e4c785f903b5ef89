"""The storages under the contract, and what it needs of each.

A further backend is a class in a file of its own and one line in `STORAGES`: a function
of pytest's request, so that a server comes in as a fixture.
"""

import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.database import MAX_VALUE
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.storage_kit.subject import (
    FaultKind,
    Recipe,
    Skipped,
    StorageUnderTest,
)

SAMPLES = Path(__file__).parents[1] / "data"


class MemorySubject(StorageUnderTest):
    persistent = False

    def __init__(self) -> None:
        self._first = InMemoryStateStorage()

    def make(self) -> IActorStateStorage:
        return InMemoryStateStorage(like=self._first)

    async def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, InMemoryStateStorage)
        assert storage._host is not None
        storage._data.alive.pop(storage._host.host_id, None)

    def make_with_clock(self, ahead: float) -> IActorStateStorage:
        return self.make()  # it uses no clock


class SqliteSubject(StorageUnderTest):
    refuses_larger = True
    largest_value = MAX_VALUE
    mounts = ""
    skips = dict.fromkeys(
        ("a_full_storage_can_be_read_and_goes_on_later", "a_read_only_storage_says_so"),
        "it takes a disk of its own: see tests/storage/test_sqlite_space.py",
    )

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "state.db"
        self._table = folder / "mounts"
        self._table.write_text(self.mounts)

    def make(self) -> IActorStateStorage:
        return self._at(self._path)

    def _at(self, path: Path) -> IActorStateStorage:
        return SqliteStateStorage(path, synchronous="NORMAL", mount_table=self._table)

    async def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, SqliteStateStorage)
        assert storage._session is not None
        storage._session.lock.abandon()

    def recipe(self) -> Recipe:
        arguments = (str(self._path), str(self._table))
        return Recipe(f"{__name__}:sqlite_storage", arguments)

    def make_with_clock(self, ahead: float) -> IActorStateStorage:
        return self.make()  # the life of a host is a lock; no clock is used

    def make_unreachable(self) -> IActorStateStorage:
        (self._folder / "file").write_text("")
        return self._at(self._folder / "file" / "state.db")

    def older_versions(self) -> Mapping[str, StorageUnderTest]:
        found: dict[str, StorageUnderTest] = {}
        for sample in sorted(SAMPLES.glob("storage_v*.db")):
            folder = self._folder / sample.stem
            folder.mkdir()
            shutil.copy(sample, folder / "state.db")
            found[sample.stem] = type(self)(folder)
        return found

    @asynccontextmanager
    async def fault(self, kind: FaultKind) -> AsyncGenerator[None]:
        if kind not in ("newer-schema", "corrupt"):
            raise Skipped(f"{kind!r} is nothing that happens to a file")
        saved = self._path.with_name("saved")
        shutil.copy(self._path, saved)
        if kind == "newer-schema":
            connection = sqlite3.connect(self._path)
            connection.execute("pragma user_version=1000")
            connection.close()
        else:
            self._path.write_bytes(b"garbage" * 2000)
        broken = self._path.read_bytes()
        yield
        assert self._path.read_bytes() == broken
        saved.replace(self._path)


class SqliteOnNetworkSubject(SqliteSubject):
    mounts = "server:/home / nfs4 rw 0 0\n"


def sqlite_storage(path: str, table: str) -> IActorStateStorage:
    """The storage of a `SqliteSubject`, made by another process."""
    return SqliteStateStorage(path, synchronous="NORMAL", mount_table=Path(table))


STORAGES: dict[str, Callable[[pytest.FixtureRequest], StorageUnderTest]] = {
    "memory": lambda request: MemorySubject(),
    "sqlite": lambda request: SqliteSubject(request.getfixturevalue("tmp_path")),
    "sqlite-network": lambda request: SqliteOnNetworkSubject(
        request.getfixturevalue("tmp_path")
    ),
    "redis": lambda request: request.getfixturevalue("redis_subject"),
    "postgres": lambda request: request.getfixturevalue("postgres_subject"),
    "cosmos": lambda request: request.getfixturevalue("cosmos_subject"),
}
