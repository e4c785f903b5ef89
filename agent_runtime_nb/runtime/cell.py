"""An actor in memory: its mailbox, its activation, its one running turn.

A task exists only while there is work: a request that gets in starts `_drive`, which
runs the actor until the mailbox is empty. There is no `await` between its last look at
the mailbox and clearing the task, so no request can get in between and be forgotten.
"""

import asyncio
import logging
from contextlib import AbstractContextManager
from contextvars import Context

from agent_runtime_nb._base.json_codec import turn_view
from agent_runtime_nb._base.tasks import see
from agent_runtime_nb.exceptions import (
    ActorStartFailed,
    NotCompleted,
    NotRunning,
    StorageError,
)
from agent_runtime_nb.runtime.activation import (
    InProcessActorContext,
    forget_cancellations,
)
from agent_runtime_nb.runtime.commit import CellServices, may_pass
from agent_runtime_nb.runtime.supervised import Supervised
from agent_runtime_nb.runtime.turn import CancelReason, Turn
from agent_runtime_nb.runtime.wait_graph import ASKING
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    IActorClient,
    TurnView,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
)

_log = logging.getLogger(__name__)


class ActorCell(Supervised):
    """One actor in memory; it owns the activation."""

    __slots__ = ("_cancelled", "_hangs", "_outdated", "context")

    def __init__(self, actor_id: ActorId, services: CellServices) -> None:
        super().__init__(actor_id, services)
        self.context: InProcessActorContext | None = None
        self._outdated = False
        # Since when, monotonic, and after how many turns.
        self._hangs: tuple[float, int] | None = None
        self._cancelled: asyncio.Task[None] | None = None  # the task that we cancelled

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open or to be told, no task runs, the claim has ended."""
        return (
            not self.open
            and self._task is None
            and self._before_claim is None
            and not self._outbox
        )

    @property
    def client(self) -> IActorClient:
        """Who sends what the actor asks others."""
        return self._services.client

    def new_id(self) -> str:
        """An id for a message."""
        return self._new_id()

    def now(self) -> float:
        """Monotonic seconds, as deadlines are."""
        return self._clock()

    def stop_run(self) -> None:
        """Cancel the task that runs the actor, unless that is the present one."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._cancelled = self._task
            self._task.cancel()

    # --- run

    def received(self, turn: Turn, *, interrupt: bool) -> None:
        """A turn is stored and in the mailbox: run it, as soon as it is its turn."""
        if self.listeners.any or self._feeds:
            self.report.accepted(turn)
        if turn.cancel_reason is not None:  # cancelled while it was being accepted
            self.mailbox.withdraw(turn)
            self.end_cancelled(turn)
        elif interrupt:
            # The head of the mailbox may be about to run without having begun.
            current = self.running or self.mailbox.peek()
            if current is not None and current is not turn:
                self.cancel(current, "cancelled")
        if self._task is None and self.mailbox:
            self._start()

    def _start(self, after: "asyncio.Future[None] | None" = None) -> None:
        self._task = self._services.tasks.start(
            self._drive(after), name=self.name, context=Context()
        )

    async def _drive(self, after: "asyncio.Future[None] | None") -> None:
        task = asyncio.current_task()
        try:
            await _wait(after)
            while self.mailbox:
                context = self.context or await self._activate()
                if context is None:
                    continue
                ASKING.set(context)
                taken, error = context.begin(), None
                try:
                    await context.actor.run(context)
                except BaseException as raised:
                    if not context.dead and self._is_the_end(raised):
                        raise
                    error = raised
                if error is not None or self._outdated or not context.is_clean(taken):
                    await self._after_run(context, taken, error)
                if self._task is not task:
                    break  # given up while it ran: another task goes on
        except GeneratorExit:  # the loop is gone already: nobody can be told
            raise
        except BaseException as error:
            ending = isinstance(error, asyncio.CancelledError)
            self.lose_everything(NotRunning("stopped") if ending else error)
            raise
        finally:
            self._rest(task)

    def _is_the_end(self, error: BaseException) -> bool:
        """Whether the loop itself is ending: nobody of ours has cancelled the task."""
        task = asyncio.current_task()
        return (
            isinstance(error, asyncio.CancelledError)
            and task is not None
            and task is not self._cancelled
            and bool(task.cancelling())
        )

    def _rest(self, task: "asyncio.Task[None] | None") -> None:
        self._services.tasks.finished(task)
        if self._task is task:
            self._task = None
            if not self.open and self.gone is None:
                self._services.went_idle(self)

    async def _activate(self) -> InProcessActorContext | None:
        if self._not_before:
            await self.pause()
            if not self.mailbox:  # withdrawn meanwhile
                return None
        context = InProcessActorContext(self)
        started = self._clock()
        try:
            async with asyncio.timeout(self._services.settings.turn_timeout):
                context.actor = await self._services.make_actor(self.actor_id, context)
        except BaseException as error:
            if self._is_the_end(error):
                raise
            turn = self.mailbox.take()
            if turn is not None:
                await _wait(self.fail(turn, ActorStartFailed(self.actor_id, error)))
            await self.has_failed(error)
            return None
        if self.gone is not None and not self.mailbox:  # given up meanwhile
            self._services.dispose(context.actor, self.name)
            return None
        self.context = context
        self.report.activated(started)
        return context

    async def _after_run(
        self, context: InProcessActorContext, taken: int, error: BaseException | None
    ) -> None:
        """Deal with a run that ended otherwise than with everything completed."""
        if context.dead:
            context.leave_scope()
            return
        forget_cancellations()
        turn = context.discard()
        cancelled = turn is not None and error is not None
        if turn is not None:
            if turn.cancel_reason is not None:
                error = None  # not the actor's
                await _wait(self.end_cancelled(turn))
            else:
                left = NotCompleted(self.actor_id, "returned from run()")
                await _wait(self.fail(turn, error or left))
        await context.settle()
        if error is not None or self._outdated or cancelled:
            self._outdated = False
            self.drop_activation(error)
            if error is not None:
                await self.has_failed(error)
        elif context.taken == taken and (idle := self.mailbox.take()) is not None:
            how = "returned from run() without taking a message, that is"
            await _wait(self.fail(idle, NotCompleted(self.actor_id, how)))

    def drop_activation(self, error: BaseException | None = None) -> None:
        """Let the actor object go; the next request makes a new one."""
        context, self.context = self.context, None
        if context is not None:
            context.kill()
            self._services.dispose(context.actor, self.name)
            self.report.deactivated(error)

    def renew(self) -> None:
        """The type has a new factory: it makes the actor of the next turn."""
        if self._task is None:
            self.drop_activation()
        else:
            self._outdated = True

    # --- for the activation

    def take_ready(self) -> Turn | None:
        """Take the next turn if it can be handed out without a write."""
        mailbox = self.mailbox
        if not mailbox or self._outdated or not mailbox[0].attempts:
            return None
        turn = self.running = mailbox.pop(0)
        self._cancelled = None  # from here on as _starts(), without its frame
        turn.started_at = now = self._clock()
        if turn.time_limit is None:
            turn.deadline = now + self._services.settings.turn_timeout
        if self.listeners.any or self._feeds:
            self.report.started(turn)
        return turn

    async def next_turn(self, context: InProcessActorContext) -> Turn | None:
        """Take the next turn that runs; None: there is none, or none for `context`."""
        while (
            not (self._outdated or context.dead)
            and (turn := self.mailbox.take()) is not None
        ):
            self.running = turn
            try:
                runs = turn.attempts or await self._count_attempt(turn)
            except BaseException:  # the actor's own timeout, say: it is still waiting
                self.running = None
                if not (turn.ended or turn.committing):
                    self.mailbox.put_back(turn)
                raise
            if runs and context.dead:  # given up while the attempt was counted
                self.running = None
                self.mailbox.put_back(turn)
            elif runs:
                self._starts(turn)
                return turn
        return None

    def _starts(self, turn: Turn) -> None:
        self.running = turn
        self._cancelled = None
        turn.started_at = now = self._clock()
        if turn.time_limit is None:
            turn.deadline = now + self._services.settings.turn_timeout
        if self.listeners.any or self._feeds:
            self.report.started(turn)

    async def _count_attempt(self, turn: Turn) -> bool:
        change = ActorChange(epoch=self.epoch, started=(turn.position,))
        turn.writing_since = self._clock()
        try:
            await self._write_patiently(change)
        except Exception as error:  # it belongs to the sender
            self.lose(turn, error)
            return False
        finally:
            turn.writing_since = None
        if turn.error is not None:
            return False
        turn.attempts = 1
        if turn.cancel_reason is not None:
            await _wait(self.end_cancelled(turn))
            return False
        return True

    async def _write_patiently(self, change: ActorChange) -> None:
        for pause in self._services.settings.commit_retries:
            try:
                await self._written(change)
            except StorageError as error:
                if not may_pass(error):
                    raise
                await self._services.environment.sleep(pause)
            else:
                return
        await self._written(change)

    async def _written(self, change: ActorChange) -> None:
        written = self.write(change)
        see(written)  # the wait for it may be cancelled
        try:
            await asyncio.shield(written)
        except StorageError as error:
            self._services.storage_health.note(error)
            raise

    def enter_scope(self, turn: Turn) -> AbstractContextManager[object]:
        """What the listeners wrap the turn in."""
        return self.report.enter_scope(turn)

    def not_completed(self, turn: Turn) -> "asyncio.Future[None] | None":
        """Fail a turn that the actor left for the next one."""
        if turn.cancel_reason is not None:
            return self.end_cancelled(turn)
        return self.fail(turn, NotCompleted(self.actor_id, "took the next request"))

    def publish(self, turn: Turn, sequence: int, data: Encoded) -> None:
        """Tell progress to whoever watches."""
        self.report.progress(turn, sequence, data)

    async def save_checkpoint(self, turn: Turn, data: Encoded) -> None:
        """Store partial progress of the running turn."""
        await self._written(ActorChange(self.epoch, checkpoint=(turn.position, data)))

    async def read_turns(self, before: int | None, limit: int) -> list[TurnView]:
        """Stored turns, decoded."""
        records = await self._storage.read_turns(
            self.actor_id, before=before, limit=limit
        )
        return [turn_view(record) for record in records]

    # --- cancel

    def cancel(self, turn: Turn, reason: CancelReason) -> bool:
        """Cancel a turn that waits or runs; whether that was still possible."""
        if turn.ended or turn.committing:
            return False
        if turn.cancel_reason is not None:
            return True
        turn.cancel_reason = reason
        if self.mailbox.withdraw(turn):
            self.end_cancelled(turn)
        elif turn is self.running:
            loop = asyncio.get_running_loop()
            loop.call_later(self._services.settings.cancel_grace, self._give_up, turn)
            if asyncio.current_task() is self._task:
                # The actor cancels itself: not before it has gone on, or the
                # cancellation would reach whatever it awaits next.
                loop.call_soon(self._cancel_run, turn)
            else:
                self._cancel_run(turn)
        return True

    def _cancel_run(self, turn: Turn) -> None:
        context = self.context
        if context is not None and context.turn is turn and self._task is not None:
            self._cancelled = self._task
            self._task.cancel()

    def _give_up(self, turn: Turn) -> None:
        # It neither completed nor returned: leave the task alone, go on without it.
        if turn.ended or turn.committing:
            return
        context = self.context
        if context is None or context.turn is not turn:
            return  # not handed out yet: whoever hands it out will see the reason
        said = "%s ignores its cancellation in %s; going on without it"
        _log.error(said, self.name, turn.message_id)
        self.drop_activation()
        # Nothing else runs before the end of this one is stored.
        self._start(self.end_cancelled(turn))

    def sweep(self, now: float) -> None:
        """Once a second while something is open: enforce deadlines and bounds."""
        for turn in list(self.open.values()):
            if turn.deadline <= now:
                self.cancel(turn, "deadline")
        self.enforce_storage_timeout(now, self._services.settings.storage_timeout)
        context, settings = self.context, self._services.settings
        waits_for_run = (
            context is not None
            and self._task is not None
            and self.running is None
            and bool(self.mailbox)
        )
        if context is None or not waits_for_run:
            self._hangs = None
            return
        patience = settings.cancel_grace if context.drained else settings.turn_timeout
        # A busy one may be seen between two turns every time.
        if self._hangs is None or self._hangs[1] != context.taken:
            self._hangs = (now, context.taken)
        elif now - self._hangs[0] >= patience:
            _log.error("%s takes no message; going on without it", self.name)
            self._hangs = None
            self.drop_activation()
            self._start()


async def _wait(future: "asyncio.Future[None] | None") -> None:
    if future is not None:
        await asyncio.shield(future)
