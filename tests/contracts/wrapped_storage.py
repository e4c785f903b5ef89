"""A storage that does what the memory storage does, to be wrong in subclasses."""

from asyncio import Future
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    Page,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)
from agent_runtime_nb.testing.storage_kit.subject import StorageUnderTest

T = TypeVar("T")
Known = tuple[TurnRecord, ...]


SECRET = "opensesame"  # noqa: S105 - nobody's


class WrappedStorage(IActorStateStorage):
    """Does what the memory storage does."""

    def __init__(self, like: "WrappedStorage | None" = None) -> None:
        self.inner = InMemoryStateStorage(like=like.inner if like else None)
        # Wrong ones keep here what they get wrong; all hosts share it.
        self.shared: dict[Any, Any] = like.shared if like else {}

    @property
    def location(self) -> str:
        return "a wrapped memory"

    @property
    def durable(self) -> bool:
        return False

    async def open(self, host: HostInfo) -> None:
        await self.inner.open(host)

    async def close(self) -> None:
        await self.inner.close()

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        return self.inner.claim(actor_id, take_over=take_over)

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        return self.inner.apply(actor_id, change)

    async def read_states(
        self,
        actor_ids: Sequence[ActorId],
        keys: Iterable[str] | None = None,
        *,
        prefix: str = "",
    ) -> list[ActorState]:
        return await self.inner.read_states(actor_ids, keys, prefix=prefix)

    def write_state(
        self,
        actor_id: ActorId,
        *,
        set: Mapping[str, Encoded],
        remove: Iterable[str] = (),
        etag: str | None = None,
    ) -> "Future[str]":
        return self.inner.write_state(actor_id, set=set, remove=remove, etag=etag)

    def delete_state(
        self, actor_id: ActorId, *, epoch: int | None = None
    ) -> "Future[bool]":
        return self.inner.delete_state(actor_id, epoch=epoch)

    async def find_turn(self, actor_id: ActorId, message_id: str) -> TurnRecord | None:
        return await self.inner.find_turn(actor_id, message_id)

    async def read_turns(
        self, actor_id: ActorId, *, before: int | None = None, limit: int = 50
    ) -> list[TurnRecord]:
        return await self.inner.read_turns(actor_id, before=before, limit=limit)

    async def list_keys(
        self,
        actor_id: ActorId,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[str]:
        return await self.inner.list_keys(actor_id, prefix, after=after, limit=limit)

    async def list_actors(
        self,
        type_name: str | None = None,
        *,
        open_only: bool = False,
        mark: str | None = None,
        after: str | None = None,
        limit: int = 200,
    ) -> Page[ActorId]:
        return await self.inner.list_actors(
            type_name, open_only=open_only, mark=mark, after=after, limit=limit
        )

    async def trim(self, actor_id: ActorId, keep: int) -> None:
        await self.inner.trim(actor_id, keep)


class WrappedSubject(StorageUnderTest):
    """A wrapped storage, or one of those that are wrong, under the contract."""

    persistent = False
    secrets = (SECRET,)

    def __init__(self, kind: type[WrappedStorage]) -> None:
        self._kind = kind
        self._first = kind()

    def make(self) -> IActorStateStorage:
        return self._kind(self._first)

    async def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, WrappedStorage)
        host = storage.inner._host
        assert host is not None
        storage.inner._data.alive.pop(host.host_id, None)
