"""The storages under the contract suite, and what the suite needs of each.

A further backend is one more class here and one more line in `KINDS`.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    IActorStateStorage,
    TurnEnd,
    TurnRecord,
)

A = ActorId("echo", "c1")
B = ActorId("echo", "c2")
COMPLETED = RequestStatus.COMPLETED
INTERRUPTED = RequestStatus.INTERRUPTED
PENDING = RequestStatus.PENDING


class StorageKind(ABC):
    """One backend with data of its own; every storage made by it shares that data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ids = itertools.count(1)
        self._made: list[IActorStateStorage] = []

    @abstractmethod
    def make(self) -> IActorStateStorage:
        """A storage on the data, not open."""

    @abstractmethod
    def kill(self, storage: IActorStateStorage) -> None:
        """Make the host of an open storage dead, as SIGKILL would, without closing."""

    async def open(self, name: str = "host") -> IActorStateStorage:
        """A storage on the data, open for a new host."""
        storage = self.make()
        self._made.append(storage)
        await storage.open(HostInfo(f"{name}-{next(self._ids)}", name))
        return storage

    async def close(self) -> None:
        """Close all that were opened."""
        for storage in self._made:
            await storage.close()


class MemoryKind(StorageKind):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._first = InMemoryStateStorage()

    def make(self) -> IActorStateStorage:
        return InMemoryStateStorage(like=self._first)

    def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, InMemoryStateStorage)
        assert storage._host is not None
        del storage._data.alive[storage._host.host_id]


class SqliteKind(StorageKind):
    mounts = ""

    def make(self) -> IActorStateStorage:
        table = self.folder / "mounts"
        table.write_text(self.mounts)
        return SqliteStateStorage(
            self.folder / "state.db", synchronous="NORMAL", mount_table=table
        )

    def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, SqliteStateStorage)
        assert storage._session is not None
        storage._session.lock.abandon()


class SqliteOnNetworkKind(SqliteKind):
    mounts = "server:/home / nfs4 rw 0 0\n"


KINDS: dict[str, type[StorageKind]] = {
    "memory": MemoryKind,
    "sqlite": SqliteKind,
    "sqlite-network": SqliteOnNetworkKind,
}


# --- changes, as a runtime would make them


def accept(
    epoch: int,
    *turns: tuple[int, str],
    body: Encoded = b"{}",
    started: Sequence[int] = (),
) -> ActorChange:
    """Accept turns, given as (position, message id)."""
    records = tuple(
        TurnRecord(position=position, message_id=message_id, body=body, accepted_at=1.5)
        for position, message_id in turns
    )
    return ActorChange(epoch=epoch, accepted=records, started=tuple(started))


def end(
    position: int,
    status: RequestStatus = RequestStatus.COMPLETED,
    result: Encoded | None = b'"done"',
    entries: Encoded | None = None,
) -> TurnEnd:
    """The end of a turn."""
    return TurnEnd(
        position=position, status=status, result=result, ended_at=2.5, entries=entries
    )


async def run_turns(
    storage: IActorStateStorage,
    actor_id: ActorId,
    *statuses: RequestStatus,
) -> None:
    """Accept and end one turn for each status (PENDING: leave it open)."""
    claim = await storage.claim(actor_id)
    for position, status in enumerate(statuses, claim.next_position):
        await storage.apply(actor_id, accept(claim.epoch, (position, f"m{position}")))
        if status.is_final:
            change = ActorChange(
                epoch=claim.epoch,
                ended=(end(position, status, entries=b"[%d]" % position),),
            )
            await storage.apply(actor_id, change)
