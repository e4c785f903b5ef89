"""Storages that can be broken: one that bears it well, and some that do not."""

import asyncio
import threading
from asyncio import Future
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from agent_runtime_nb.exceptions import (
    Conflict,
    Corrupt,
    Full,
    OutcomeUnknown,
    ReadOnly,
    SchemaTooNew,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    Claim,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)
from agent_runtime_nb.testing.storage_kit.subject import FaultKind, StorageUnderTest
from tests.contracts.wrapped_storage import WrappedStorage, WrappedSubject

Known = tuple[TurnRecord, ...]
WHERE = "a fragile memory"
LATE = 0.3  # seconds


def failed(error: Exception) -> "Future[Any]":
    future: Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


class FragileStorage(WrappedStorage):
    """Has the fault that is said in `shared`, and bears it as the contract wants."""

    @property
    def fault(self) -> FaultKind | None:
        return self.shared.get("fault")

    async def open(self, host: HostInfo) -> None:
        self.check_open()
        await super().open(host)

    def check_open(self) -> None:
        if self.fault == "down":
            raise Unavailable(WHERE, "it is down")
        if self.fault == "newer-schema":
            raise SchemaTooNew(WHERE, 1000, 1)
        if self.fault == "corrupt":
            raise Corrupt(WHERE, "garbage")

    def refusal(self) -> StorageError | None:
        """Why a step that writes is refused before it has changed anything."""
        if self.fault == "down":
            return Unavailable(WHERE, "it is down")
        if self.fault == "throttled":
            return Unavailable(WHERE, "too many requests", retry_after=0.2)
        if self.fault == "full":
            return Full(WHERE)
        return ReadOnly(WHERE) if self.fault == "read-only" else None

    def claim(self, actor_id: ActorId, *, take_over: bool = False) -> "Future[Claim]":
        if (refusal := self.refusal()) is not None:
            return failed(refusal)
        return super().claim(actor_id, take_over=take_over)

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        if (refusal := self.refusal()) is not None:
            return failed(refusal)
        step = super().apply(actor_id, change)
        if self.fault == "cut":
            return self.cut(actor_id, change)
        return self.late(step) if self.fault == "slow" else step

    def cut(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        """The answer to a step that has taken effect, without a connection."""
        return failed(OutcomeUnknown(actor_id, str(change.new_etag)))

    def late(self, step: "Future[Known]") -> "Future[Known]":
        loop = asyncio.get_running_loop()
        future: Future[Known] = loop.create_future()
        loop.call_later(LATE, future.set_result, step.result())
        return future

    async def read_turns(self, actor_id: ActorId, **options: Any) -> list[TurnRecord]:
        if self.fault == "down":
            raise Unavailable(WHERE, "it is down")
        return await super().read_turns(actor_id, **options)


class SaysItFailedWhenCut(FragileStorage):
    """No answer is taken for no effect."""

    def cut(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        return failed(Unavailable(WHERE, "the connection was lost"))


class SendsAgainWhenCut(FragileStorage):
    """What is sent again after a lost answer runs into itself."""

    def cut(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        return self.inner.apply(actor_id, change)


class LosesItWhenCut(FragileStorage):
    """It did not happen, and that is not told."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        if self.fault == "cut":
            return self.cut(actor_id, change)
        return super().apply(actor_id, change)


class HoldsTheLoop(FragileStorage):
    """It waits for the answer where everybody waits for it."""

    def late(self, step: "Future[Known]") -> "Future[Known]":
        threading.Event().wait(1.0)
        return step


class StaysDown(FragileStorage):
    """Once down, it never tries again; it does not say so either."""

    def refusal(self) -> StorageError | None:
        refusal = super().refusal()
        if isinstance(refusal, Unavailable):
            self.shared["was down"] = True
        if self.shared.get("was down"):
            return Conflict("the actor", "a connection", "none")
        return refusal


class ReadsNothingWhenDown(FragileStorage):
    """What cannot be read is taken for what is not there."""

    async def read_turns(self, actor_id: ActorId, **options: Any) -> list[TurnRecord]:
        return [] if self.fault == "down" else await super().read_turns(actor_id)


class WritesHalfWhenFull(FragileStorage):
    """The turn still fits."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        if self.fault == "full":
            self.inner.apply(actor_id, change).exception()
        return super().apply(actor_id, change)


class OpensWhatIsTooNew(FragileStorage):
    """It does not look at the version."""

    def check_open(self) -> None:
        if self.fault != "newer-schema":
            super().check_open()


class TrustsWhatIsDamaged(FragileStorage):
    """It does not look at what it reads."""

    def check_open(self) -> None:
        if self.fault != "corrupt":
            super().check_open()


class SaysNothingOfReadOnly(FragileStorage):
    """A step that cannot be written is answered as if it were."""

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        if self.fault == "read-only":
            future: Future[Known] = asyncio.get_running_loop().create_future()
            future.set_result(())
            return future
        return super().apply(actor_id, change)


class FragileSubject(WrappedSubject):
    """A fragile storage under the contract."""

    def make_unreachable(self) -> IActorStateStorage:
        storage = self._kind()
        storage.shared["fault"] = "down"
        return storage

    def older_versions(self) -> dict[str, StorageUnderTest]:
        return {}

    def make_with_clock(self, ahead: float) -> IActorStateStorage:
        return self.make()

    @asynccontextmanager
    async def fault(self, kind: FaultKind) -> AsyncGenerator[None]:
        self._first.shared["fault"] = kind
        yield
        self._first.shared["fault"] = None
