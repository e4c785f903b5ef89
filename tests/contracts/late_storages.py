"""Storages that are wrong about when things happen.

Their steps wait for the loop, as those of a real backend do.
"""

import asyncio
from asyncio import Future
from functools import partial

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    TurnRecord,
)
from tests.contracts.wrapped_storage import WrappedStorage

Known = tuple[TurnRecord, ...]


class Later(WrappedStorage):
    """Steps wait for the loop; how they are run then is up to the subclass."""

    def __init__(self, like: "WrappedStorage | None" = None) -> None:
        super().__init__(like)
        self._waiting: list[partial[None]] = []

    def apply(self, actor_id: ActorId, change: ActorChange) -> "Future[Known]":
        loop = asyncio.get_running_loop()
        future: Future[Known] = loop.create_future()
        self._waiting.append(partial(self._run, actor_id, change, future))
        loop.call_soon(self._run_waiting)
        return future

    def _run(
        self, actor_id: ActorId, change: ActorChange, future: "Future[Known]"
    ) -> None:
        step = self.inner.apply(actor_id, change)
        error = step.exception()
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(step.result())

    def _run_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for run in waiting:
            run()


class CancellingUndoes(Later):
    """A step whose awaiter was cancelled before it began does not happen."""

    def _run(
        self, actor_id: ActorId, change: ActorChange, future: "Future[Known]"
    ) -> None:
        if not future.cancelled():
            super()._run(actor_id, change, future)


class LastCalledFirst(Later):
    """Waiting steps are run in the wrong order."""

    def _run_waiting(self) -> None:
        self._waiting.reverse()
        super()._run_waiting()


class CloseForgets(Later):
    """What waits when it is closed is lost, and answered all the same."""

    async def close(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, future in (one.args for one in waiting):
            future.set_result(())
        await super().close()
