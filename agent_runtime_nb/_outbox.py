"""Delivers the tells of an actor, which are stored with the turn that made them.

A tell goes when its receiver has accepted it, in the order of the tells to each
receiver. If the host dies in between it is sent again with the same message id, which
the receiver knows: delivered at least once, processed once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from agent_runtime_nb._commit import Surroundings
from agent_runtime_nb._mailbox import Turn
from agent_runtime_nb._tasks import see
from agent_runtime_nb._tell import OUTBOX_MARK, Tell
from agent_runtime_nb.exceptions import AgentRuntimeError, StorageError
from agent_runtime_nb.runtime_abstractions import ActorId, Encoded
from agent_runtime_nb.storage_abstractions import ActorChange, TurnRecord

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0

_log = logging.getLogger(__name__)


class Sender(Protocol):
    """The actor in memory whose tells are delivered."""

    actor_id: ActorId
    epoch: int
    marks: frozenset[str]
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

    __slots__ = ("_around", "_emptied", "_queues", "_sender", "on_their_way")

    def __init__(
        self, sender: Sender, around: Surroundings, emptied: Callable[[], None]
    ) -> None:
        self.on_their_way: set[int] = set()
        self._sender = sender
        self._around = around
        self._emptied = emptied
        self._queues: dict[ActorId, list[Tell]] = {}

    def settled(self, position: int) -> None:
        """The turn at this position has ended, with its tells or without."""
        if position in self.on_their_way:
            self.on_their_way.discard(position)
            if not self._queues and not self.on_their_way:
                self.unmark()

    def unmark(self) -> None:
        """The actor has no tells: it is no longer found by them."""
        sender = self._sender
        if OUTBOX_MARK in sender.marks and sender.gone is None:
            sender.marks -= {OUTBOX_MARK}
            see(sender.write(ActorChange(epoch=sender.epoch, marks=sender.marks)))

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, tells: Iterable[Tell]) -> None:
        """Deliver these too; they are stored."""
        for tell in tells:
            queue = self._queues.get(tell.target)
            if queue is not None:
                queue.append(tell)
                continue
            self._queues[tell.target] = [tell]
            name = f"{self._sender.actor_id} tells {tell.target}"
            self._around.tasks.spawn(self._deliver(tell.target), name=name)

    async def _deliver(self, target: ActorId) -> None:
        queue, pause = self._queues[target], _FIRST_PAUSE
        while queue and self._may_send():
            try:
                await self._send(queue[0])
            except AgentRuntimeError as error:
                if pause == _FIRST_PAUSE:
                    _log.warning("%s is not told yet: %s", target, error)
                await self._around.environment.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE
                await self._forget(queue.pop(0))
        del self._queues[target]
        if not self._queues:
            self._emptied()

    def _may_send(self) -> bool:
        # What an actor told before its quarantine is told all the same.
        sender = self._sender
        gone = sender.gone
        return gone is None or gone is self._around.quarantined.get(sender.actor_id)

    async def _send(self, tell: Tell) -> None:
        turn = Turn(tell.target, 0, tell.message_id, tell.body)
        accepted = self._around.submit(turn, "queue")
        if not isinstance(accepted, Turn):
            await asyncio.shield(accepted)

    async def _forget(self, tell: Tell) -> None:
        sender, marks = self._sender, None
        sender.values.pop(tell.key, None)
        # One that is gone leaves the marks to who came after it.
        if not len(self) and not self.on_their_way and sender.gone is None:
            marks = sender.marks = sender.marks - {OUTBOX_MARK}
        change = ActorChange(epoch=sender.epoch, remove=(tell.key,), marks=marks)
        written = sender.write(change)
        see(written)  # even if this task ends before it
        try:
            await asyncio.shield(written)
        except StorageError as error:
            # It is sent again by the next host; its receiver knows it.
            _log.warning("%s: %s", sender.actor_id, error)
