"""`InProcessActorRuntime`: actors in this process, on one event loop.

A request becomes a turn in two durable writes: it is stored before its sender gets a
handle (accept), and its response, status, state and conversation entries are stored
together before anybody sees the response (commit). In between the actor runs, one turn
at a time, in acceptance order.

All state is touched on the loop that `start()` ran on. Clients and the directory come
from any thread and any loop through a bridge.
"""

import asyncio
import contextlib
import logging
import os
import platform
import uuid
from collections.abc import Callable
from functools import partial
from typing import Literal, cast

from agent_runtime_nb._base.loop_bridge import LoopBridge
from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    InvalidRequest,
    NotRunning,
    OutcomeUnknown,
    StorageClosed,
    StorageError,
)
from agent_runtime_nb.runtime import views
from agent_runtime_nb.runtime.catalog import ActorFactory, ActorType, Catalog
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.commit import Policy
from agent_runtime_nb.runtime.directory import LocalDirectory
from agent_runtime_nb.runtime.expiry import Expiry
from agent_runtime_nb.runtime.feed import Feed
from agent_runtime_nb.runtime.listeners import Listeners
from agent_runtime_nb.runtime.recovery import Recovery
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime.turn_log import Slice, TurnLog
from agent_runtime_nb.runtime.wait_graph import WaitGraph
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Cursor,
    RequestStatus,
    TurnUpdate,
    WhenBusy,
)
from agent_runtime_nb.runtime_events import RuntimeListener, TurnScope
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import (
    HostInfo,
    IActorStateStorage,
)
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy

RuntimeState = Literal["not started", "starting", "running", "stopping", "stopped"]

_log = logging.getLogger(__name__)
_SWEEP_EVERY = 1.0


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _default_host_name() -> str:
    return f"process {os.getpid()} on {platform.node() or 'this machine'}"


class InProcessActorRuntime(LocalDirectory):
    """Actors in this process; also the directory of its actors.

    Args:
        storage: where turns and state are kept; in memory if None. The runtime opens
            and closes it.
        settings: the bounds.
        host_name: how this process is named to others that share the storage.
        environment: where time and ids come from.
    """

    def __init__(
        self,
        storage: IActorStateStorage | None = None,
        *,
        settings: RuntimeSettings | None = None,
        host_name: str | None = None,
        environment: Environment | None = None,
    ) -> None:
        self._actors = Catalog(
            storage or InMemoryStateStorage(),
            settings or RuntimeSettings(),
            environment or Environment(),
        )
        self._cells = self._actors.cells
        self._recovery = Recovery(self._actors)
        self._expiry = Expiry(self._actors)
        self._host_name = host_name or _default_host_name()
        self._state: RuntimeState = "not started"
        self.own_loop: asyncio.AbstractEventLoop | None = None
        self._bridge: LoopBridge | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._drains = False  # open turns may still end by themselves
        self._lag = 0.0
        self._actors.submit = self.submit
        self._actors.client = InProcessActorClient(self)

    def __repr__(self) -> str:
        types = ", ".join(sorted(self._actors.types)) or "no actor types"
        return (
            f"<InProcessActorRuntime {self._state}: {types}; "
            f"{len(self._actors)} in memory; {self.storage.location}>"
        )

    # --- set up

    @property
    def storage(self) -> IActorStateStorage:
        """Where turns and state are kept."""
        return self._actors.storage

    @property
    def settings(self) -> RuntimeSettings:
        """The bounds."""
        return self._actors.settings

    @property
    def environment(self) -> Environment:
        """Where time and ids come from."""
        return self._actors.environment

    @property
    def listeners(self) -> Listeners:
        """Who listens to the runtime's events."""
        return self._actors.listeners

    @property
    def take_over(self) -> bool:
        """Whether actors that a living host owns are claimed, from now on.

        That host is then refused at its next write (StaleEpoch) and says so.
        """
        return self._actors.take_over

    @take_over.setter
    def take_over(self, value: bool) -> None:
        self._actors.take_over = value

    @property
    def state(self) -> str:  # no Literal, as NotebookRuntime.loop
        """Where the runtime is in its life: a `RuntimeState`."""
        return self._state

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that actors run on; raises NotRunning before the start."""
        return self.bridge.loop

    @property
    def bridge(self) -> LoopBridge:
        """The way to the runtime's loop; raises NotRunning before the start."""
        if self._bridge is None:
            raise NotRunning(self._state)
        return self._bridge

    def register_actor_type(
        self,
        type_name: str,
        factory: ActorFactory,
        *,
        description: str = "",
        on_interrupted: OnInterrupted = "ask",
        restart: RestartPolicy = RestartPolicy(),  # noqa: B008 - frozen
    ) -> None:
        """Say how actors of a type are made.

        A name that is registered already gets the new factory, which serves from the
        next turn on; state is kept.

        Args:
            type_name: the first part of the ids of these actors.
            factory: given an actor's context, makes the actor; may be async.
            description: one line for people.
            on_interrupted: what becomes of requests that a dead host left behind.
                "rerun" happens at the start for the types that are registered then.
            restart: what becomes of an actor that fails.

        Raises:
            InvalidActorId: if the name cannot be a type name.
            InvalidRequest: if `on_interrupted` is another word, `restart` no
                RestartPolicy, or `factory` cannot be called.
        """
        if not callable(factory):
            problem = "must be callable, such as lambda context: MyActor()"
            raise InvalidRequest("factory", problem)
        if on_interrupted not in ("ask", "rerun", "fail"):
            raise InvalidRequest("on_interrupted", 'must be "ask", "rerun" or "fail"')
        if not isinstance(cast("object", restart), RestartPolicy):
            problem = "must be a RestartPolicy, such as RestartPolicy(max_restarts=10)"
            raise InvalidRequest("restart", problem)
        policy = Policy(on_interrupted, restart)
        self._actors.register(type_name, ActorType(factory, description, policy))
        if self._bridge is None:
            return
        if _running_loop() is self._bridge.loop:
            self._actors.renew(type_name)
        else:
            self._bridge.post(lambda: self._actors.renew(type_name))

    def add_listener(self, listener: RuntimeListener) -> Callable[[], None]:
        """Tell a listener of events from now on; returns what removes it."""
        return self._actors.listeners.add(listener)

    def add_turn_scope(self, scope: TurnScope) -> Callable[[], None]:
        """Wrap turns from now on; returns what removes it."""
        return self._actors.listeners.add_scope(scope)

    # --- life

    async def start(self) -> None:
        """Open the storage and take requests, on the running loop.

        What a dead host left behind becomes INTERRUPTED, and nothing runs by itself,
        unless its type says otherwise (`on_interrupted`); what was told and not yet
        accepted is sent. Starting twice is starting once.

        Raises:
            StorageError: if the storage cannot be opened; start may be called again.
            NotRunning: if it was stopped; a stopped runtime stays stopped.
        """
        if self._bridge is not None:
            self._bridge.check_process()
        if self._state == "running":
            return
        if self._state == "starting":
            raise NotRunning("being started by somebody else")
        if self._state != "not started":
            raise NotRunning(self._state)
        self._state = "starting"
        self.own_loop = asyncio.get_running_loop()
        self._bridge = LoopBridge(self.own_loop)
        host = HostInfo(host_id=uuid.uuid4().hex, name=self._host_name)
        try:
            await self.storage.open(host)
            recovered = await self._recovery.recover()
        except BaseException as error:
            with contextlib.suppress(StorageError):
                await self.storage.close()
            if self.state == "starting":
                self._state, self._bridge, self.own_loop = "not started", None, None
            elif isinstance(error, StorageClosed):  # by the stop
                raise NotRunning(self._state) from None
            raise
        if self.state != "starting":  # stopped meanwhile
            raise NotRunning(self._state)
        if recovered:
            _log.info("a dead host had left requests of %s actor(s)", recovered)
        self._state = "running"
        self._sweep_later()
        self._recovery.resume()

    async def stop(self, *, drain: float = 10.0) -> None:
        """Take no more requests, let open turns end, interrupt the rest, close.

        What those turns ask other actors is still served until then. Every request that
        still waits is answered. Whoever waits for anything else ends, too: see
        `IActorClient` and `RuntimeDirectory`. Stopping twice is stopping once.

        Args:
            drain: seconds that open turns have to end by themselves.
        """
        if self._bridge is None:
            self._state = "stopped"
            return
        if not self._bridge.loop.is_closed():
            await self._bridge.call(lambda: self._stop_once(drain))
        self._state = "stopped"

    def _stop_once(self, drain: float) -> "asyncio.Task[None]":
        if self._stopping is None:
            self._state = "stopping"
            work = self._stop(drain)
            self._stopping = self._actors.tasks.spawn(work, name="stop")
        return self._stopping

    async def _stop(self, drain: float) -> None:
        actors = self._actors
        self._drains = True
        is_idle, self._drains = await actors.wait_idle(drain), False
        if not is_idle:
            actors.cancel_all("stopped")
            await actors.wait_idle(self.settings.cancel_grace + 1.0)
        if self._sweeping is not None:
            self._sweeping.cancel()
        actors.passivate_all()
        actors.close_feeds()
        await actors.disposals.wait(self.settings.dispose_timeout)
        await actors.disposals.close(0)
        await actors.tasks.close(self.settings.cancel_grace)
        actors.end_answers()
        await self.storage.close()
        self._state = "stopped"

    def _sweep_later(self) -> None:
        loop = self.bridge.loop
        due = loop.time() + _SWEEP_EVERY
        self._sweeping = loop.call_at(due, self._sweep, due)

    def _sweep(self, due: float) -> None:
        self._lag = max(0.0, self.bridge.loop.time() - due)
        try:
            self._actors.sweep()
            if self._state == "running":
                self._recovery.tell_again()
                self._expiry.sweep()
        finally:
            self._sweep_later()

    # --- for clients, on the runtime's loop

    def check_running(self) -> None:
        """Raise NotRunning unless it runs; on its loop, where nothing can come between."""
        if self._state != "running":
            raise NotRunning(self._state)

    def submit(self, turn: Turn, when_busy: WhenBusy) -> "Turn | asyncio.Future[Turn]":
        """Accept a request; see `InProcessActorClient.send_request`."""
        if self._state != "running":
            raise NotRunning(self._state)
        cell = self._cells.get(turn.actor_id)
        if cell is None:
            cell = self._actors.get(turn.actor_id)
        return cell.submit(turn, when_busy)

    def submit_ask(
        self, turn: Turn, when_busy: WhenBusy
    ) -> "Turn | asyncio.Future[Turn]":
        """As `submit`, for a running turn: also while a stop lets such turns end."""
        if not self._drains:
            return self.submit(turn, when_busy)
        return self._actors.get(turn.actor_id).submit(turn, when_busy)

    @property
    def waits(self) -> WaitGraph:
        """Whose turns wait for whom."""
        return self._actors.waits

    def may_wait(self, actor_id: ActorId, message_id: str) -> bool:
        """Whether a turn may still wait for what it asked; one elsewhere always may."""
        cell = self._actors.find(actor_id)
        if cell is None:
            return True
        running = cell.running
        if running is None or running.committing:
            return False
        return running.message_id == message_id

    def _known_turn(self, actor_id: ActorId, message_id: str) -> Turn | None:
        cell = self._actors.find(actor_id)
        turn = None if cell is None else cell.open.get(message_id)
        return turn or self._actors.kept_turn(actor_id, message_id)

    def find_turn(
        self, actor_id: ActorId, message_id: str
    ) -> "Turn | asyncio.Future[Turn]":
        """A turn of this or an earlier process; NOT_FOUND if there is none."""
        self.check_running()
        known = self._known_turn(actor_id, message_id)
        if known is not None:
            return known
        look = partial(self._stored_turn, actor_id, message_id)
        bounded = partial(self._actors.within_bounds, look)
        return self._actors.answer(bounded, "find turn")

    async def _stored_turn(self, actor_id: ActorId, message_id: str) -> Turn:
        find = self.storage.find_turn
        record = await find(actor_id, message_id)
        if record is not None and not record.status.is_final:
            # Open, but not here: a dead host left it, then the claim decides; or a
            # living one has it, then the claim says so.
            await self._actors.adopt(actor_id, take_over=False).ready()
            known = self._known_turn(actor_id, message_id)
            if known is not None:
                return known
            record = await find(actor_id, message_id)
        if record is None:
            turn = Turn(actor_id, 0, message_id, b"")
            turn.end(RequestStatus.NOT_FOUND, None, self.environment.wall_clock())
            return turn
        turn = Turn.of_record(actor_id, record)
        if not record.status.is_final:
            turn.lose(OutcomeUnknown(actor_id, message_id))
        return turn

    def cancel_turn(
        self, actor_id: ActorId, message_id: str
    ) -> "bool | asyncio.Future[bool]":
        """Cancel a waiting or running turn; whether that was still possible."""
        cell = self._actors.find(actor_id)
        turn = None if cell is None else cell.open.get(message_id)
        if cell is None or turn is None:
            return False
        accepting = cell.being_accepted(turn)
        if accepting is None:
            return cell.cancel(turn, "cancelled")
        return self._actors.answer(partial(self._cancel_later, accepting), "cancel")

    async def _cancel_later(self, accepting: "asyncio.Future[Turn]") -> bool:
        # Only then it is known whether it is a new request.
        try:
            turn = await asyncio.shield(accepting)
        except AgentRuntimeError:
            return False
        cell = self._actors.find(turn.actor_id)
        return cell is not None and cell.cancel(turn, "cancelled")

    def updates_after(self, turn: Turn, after: int) -> "Slice | asyncio.Future[Slice]":
        """The next slice of a turn's updates."""
        if turn.log is None:
            if turn.ended:
                return Slice([], ended=True)
            turn.log = TurnLog(self.settings.update_limit, self.settings.update_bytes)
        return turn.log.after(after)

    def open_feed(
        self, actor_id: ActorId, after: Cursor | None
    ) -> "asyncio.Future[tuple[Feed[TurnUpdate], list[TurnUpdate]]]":
        """A feed of an actor, and what comes before its first item."""
        opening = partial(views.open_feed, self._actors, actor_id, after)
        return self._actors.answer(opening, "open feed")
