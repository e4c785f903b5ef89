"""Delivers the messages (tells) that an actor sends; each is stored with its turn.

A tell goes when its receiver has accepted it, in the order of the tells to each
receiver. If the host dies in between it is sent again with the same message id, which
the receiver knows: delivered at least once, processed once. A receiver of a type that
nobody registers is tried for some seconds, as often as a request is begun; then the tell
is a dead letter of that receiver.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

from agent_runtime_nb._base.tasks import see
from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    StorageError,
    UnknownActorType,
)
from agent_runtime_nb.runtime.commit import CellServices
from agent_runtime_nb.runtime.tell import OUTBOX_MARKS, Tell
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime_abstractions import ActorId, Encoded
from agent_runtime_nb.storage_abstractions import ActorChange, TurnRecord

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_REMOVED_AT_ONCE = 40  # values of one change; a backend may refuse more
_FIRST_PAUSE_FOR_TYPE = 1.0  # then ten times that: a later cell may register it

_log = logging.getLogger(__name__)


class OutboxOwner(Protocol):
    """The actor in memory whose tells are delivered."""

    actor_id: ActorId
    epoch: int
    gone: BaseException | None

    @property
    def values(self) -> dict[str, Encoded]:
        """The committed state."""
        ...

    def write(self, change: ActorChange) -> "asyncio.Future[tuple[TurnRecord, ...]]":
        """Hand a change to the storage, in order."""
        ...


class Outbox:
    """Delivers the tells of one actor, with a task for each receiver that has some.

    Args:
        sender: whose tells they are.
        around: who takes them.
        emptied: called when the last one was delivered.

    Attributes:
        on_their_way: positions of turns with tells whose commit has not ended.
    """

    __slots__ = (
        "_delivered",
        "_emptied",
        "_queues",
        "_sender",
        "_services",
        "on_their_way",
    )

    def __init__(
        self, sender: OutboxOwner, services: CellServices, emptied: Callable[[], None]
    ) -> None:
        self.on_their_way: set[int] = set()
        self._sender = sender
        self._services = services
        self._emptied = emptied
        self._queues: dict[ActorId, list[Tell]] = {}
        self._delivered: dict[str, None] = {}  # keys that may still be stored

    def settled(self, position: int) -> None:
        """The turn at this position has ended, with its tells or without."""
        if position in self.on_their_way:
            self.on_their_way.discard(position)
            if not self._queues and not self.on_their_way:
                self.unmark()

    def unmark(self) -> None:
        """The actor has no tells: it is no longer found by them."""
        if self._sender.gone is None:
            see(self._sender.write(self._removal()))

    def _removal(self) -> ActorChange:
        """Takes what was delivered out of the storage, and the mark with the last of it.

        Also what an earlier write should have taken out and may not have: a tell that
        is stored has its mark.
        """
        keys = tuple(islice(self._delivered, _REMOVED_AT_ONCE))
        change = ActorChange(epoch=self._sender.epoch, remove=keys)
        is_last = self.is_empty and len(keys) == len(self._delivered)
        # One that is gone leaves the mark to who came after it.
        if is_last and self._sender.gone is None:
            change.remove_marks = OUTBOX_MARKS
        return change

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell, and nothing that may yet be stored."""
        return not len(self) and not self.on_their_way

    def add(self, tells: Iterable[Tell]) -> None:
        """Deliver these too; they are stored."""
        for tell in tells:
            queue = self._queues.get(tell.target)
            if queue is not None:
                queue.append(tell)
                continue
            self._queues[tell.target] = [tell]
            name = f"{self._sender.actor_id} tells {tell.target}"
            self._services.tasks.spawn(self._deliver(tell.target), name=name)

    async def _deliver(self, target: ActorId) -> None:
        queue, tries = self._queues[target], 0
        while queue and self._may_send():
            try:
                await self._send(queue[0], tries + 1)
            except AgentRuntimeError as error:
                if not tries:
                    _log.warning("%s is not told yet: %s", target, error)
                await self._services.environment.sleep(_pause(error, tries))
                tries += 1
            else:
                tries = 0
                await self._forget(queue.pop(0))
        del self._queues[target]
        if not self._queues:
            self._emptied()

    def _may_send(self) -> bool:
        # What an actor told before its quarantine is told all the same.
        sender = self._sender
        gone = sender.gone
        return gone is None or gone is self._services.quarantined.get(sender.actor_id)

    async def _send(self, tell: Tell, attempt: int) -> None:
        turn, services = (
            Turn(tell.target, 0, tell.message_id, tell.body),
            self._services,
        )
        try:
            accepted = services.submit(turn, "queue")
        except UnknownActorType as error:
            if attempt < services.policy(tell.target).restart.max_attempts:
                raise
            await services.store_dead_letter(turn, error, attempt)
            _log.error("%s is not told, that is a dead letter: %s", tell.target, error)
            return
        if not isinstance(accepted, Turn):
            await asyncio.shield(accepted)

    async def _forget(self, tell: Tell) -> None:
        sender = self._sender
        sender.values.pop(tell.key, None)
        self._delivered[tell.key] = None
        change = self._removal()
        written = sender.write(change)
        see(written)  # even if this task ends before it
        try:
            await asyncio.shield(written)
        except StorageError as error:
            # It is sent again by the next host; its receiver knows it.
            _log.warning("%s: %s", sender.actor_id, error)
        else:
            for key in change.remove:
                self._delivered.pop(key, None)


def _pause(error: AgentRuntimeError, tries: int) -> float:
    """Seconds until the next try, after so many before the one that failed."""
    if isinstance(error, UnknownActorType):
        pause = _FIRST_PAUSE_FOR_TYPE * 10 ** min(tries, 9)
    else:
        pause = _FIRST_PAUSE * 2 ** min(tries, 9)
    return min(pause, _LONGEST_PAUSE)
