"""Hosts in one simulated world: they share a storage and the time, and may be killed."""

import asyncio
from asyncio import Task
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from agent_runtime_nb.exceptions import AgentRuntimeError, StorageError
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.ownership import DEAD
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime.tell import OUTBOX
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo, IActorStateStorage
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy
from agent_runtime_nb.testing.faults.plans import Plan
from agent_runtime_nb.testing.faults.storage import FaultyStorage
from agent_runtime_nb.testing.simulated_loop import SimulatedLoop, SimulatedTime
from tests.simulation.actors import STUBBORN, Worker
from tests.simulation.chance import seeded
from tests.simulation.history import Answer, Asked, Call, History, Run

T = TypeVar("T")

SETTINGS = RuntimeSettings(
    turn_timeout=8.0,
    waiting_timeout=20.0,
    cancel_grace=2.0,
    mailbox_limit=4,
    idle_timeout=3.0,
    max_resident=2,
    storage_timeout=5.0,
    commit_retries=(0.1, 0.5, 2.0),
    update_linger=2.0,
)

RESTART = RestartPolicy(max_restarts=3, within=5.0, backoff=0.1, longest=1.0)

WrapStorage = Callable[[IActorStateStorage], IActorStateStorage]
MakeRuntime = Callable[..., InProcessActorRuntime]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What hosts are made of; the planted bugs replace one."""

    runtime: MakeRuntime = InProcessActorRuntime
    wrap: WrapStorage = lambda storage: storage
    on_interrupted: OnInterrupted | None = None  # whatever was asked for


class World:
    """The time, the stored data, and an observer who belongs to no host."""

    def __init__(self, seed: int, parts: Parts) -> None:
        self.seed = seed
        self.time = SimulatedTime(seed)
        self.time.now = 1.0  # no clock that a process sees begins with 0
        self.random = seeded(seed)
        self.parts = parts
        policies: list[OnInterrupted] = ["ask", "ask", "ask", "rerun", "fail"]
        self.on_interrupted: OnInterrupted = self.random.choice(policies)
        self.history = History()
        self.data = InMemoryStateStorage()
        self.outside = self.new_loop("outside")
        self.hosts: list[Host] = []

    def new_loop(self, name: str) -> SimulatedLoop:
        """A loop whose unhandled errors are findings."""
        loop = SimulatedLoop(self.time)

        def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            self.history.finds("unhandled", f"{name}: {context['message']} {error!r}")

        loop.set_exception_handler(handle)
        return loop

    def run(self, work: Coroutine[Any, Any, T], limit: float = 3600.0) -> T:
        """Run a coroutine that belongs to no host, and with it everything else."""
        return self.time.run(self.outside.create_task(work), limit)

    def say(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self.history.say(self.time.now, who, what)

    def new_host(self, plan: Plan | None = None) -> "Host":
        """A process that has not started."""
        host = Host(self, f"host-{len(self.hosts) + 1}", plan)
        self.hosts.append(host)
        return host

    def look_at_marks(self) -> None:
        """Who has tells or dead letters is found by a mark, at every moment."""
        disk = at_once(open_disk(self))
        for mark, prefix in (("outbox", OUTBOX), ("dead", DEAD)):
            marked = at_once(disk.list_actors(mark=mark)).items
            for actor_id in dict.fromkeys(one for one, _ in self.history.asked):
                keys = at_once(disk.list_keys(actor_id, prefix)).items
                if keys and actor_id not in marked:
                    self.history.finds("unmarked", f"{actor_id} has {keys}")
        at_once(disk.close())

    def end(self) -> None:
        """Let nothing of it stay behind."""
        for host in self.hosts:
            host.bury()
        self.outside.close()


class Host:
    """A process: a loop of its own, a runtime and a way to the shared data."""

    def __init__(self, world: World, name: str, plan: Plan | None) -> None:
        self.name = name
        self.alive = True
        self.stopping = False
        self.calm = plan is None
        self.started_at = world.time.now
        self.loop = world.new_loop(name)
        self._world = world
        self._disk = InMemoryStateStorage(world.data)
        self.storage = FaultyStorage(world.parts.wrap(self._disk), plan)
        self.runtime = world.parts.runtime(
            self.storage,
            settings=SETTINGS,
            host_name=name,
            environment=self.loop.environment(name),
        )
        self.runtime.register_actor_type(
            "worker",
            lambda _: Worker(self),
            on_interrupted=world.parts.on_interrupted or world.on_interrupted,
            restart=RESTART,
        )
        self.client = InProcessActorClient(self.runtime)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    # --- life

    def spawn(self, work: Coroutine[Any, Any, T]) -> "Task[T]":
        """Start something in this process."""
        return self.loop.create_task(work)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in this process; for whoever is outside."""
        return await self.join(self.spawn(work))

    async def join(self, task: "Task[T]") -> T:
        """Wait for a task of this process; for whoever is outside."""
        here = asyncio.get_running_loop()
        done: asyncio.Future[None] = here.create_future()
        task.add_done_callback(
            lambda _: here.call_soon_threadsafe(done.set_result, None)
        )
        await done
        return task.result()

    async def start(self, tries: int = 5) -> None:
        """Start the runtime; a storage that fails gets another chance."""
        for left in reversed(range(tries)):
            try:
                await self.runtime.start()
            except StorageError as error:
                self._world.say(self.name, f"cannot start: {error}")
                if not left:
                    raise
                await asyncio.sleep(0.5)
            else:
                self._world.say(self.name, "started")
                return

    def kill(self) -> None:
        """As kill -9: nothing of it goes on, and the others take it for dead."""
        self._world.say(self.name, "is killed")
        self._ends()
        self._world.time.freeze(self.loop)
        at_once(self._disk.close())

    async def stop(self, drain: float) -> None:
        """Let the runtime stop in peace, and look whether it leaves something behind."""
        history, world = self._world.history, self._world
        world.say(self.name, f"stops, drain {drain}")
        before, self.stopping = world.time.now, True
        await self.do(self.runtime.stop(drain=drain))
        if world.time.now - before > drain + SETTINGS.dispose_timeout + 8.0:
            history.finds(
                "hangs", f"{self.name} took {world.time.now - before} s to stop"
            )
        await asyncio.sleep(STUBBORN + 3.0)  # senders and stubborn turns come to an end
        left = self.loop.waiting()
        if left or self.loop.is_ready() or self.loop.next_timer() is not None:
            history.finds("leak", f"{self.name} left behind: {left}")
        self._ends()
        world.say(self.name, "has stopped")

    def _ends(self) -> None:
        self.alive = False
        self._world.look_at_marks()
        if self.calm:
            self._world.history.calm[self.name] = self._world.time.now

    def bury(self) -> None:
        """Take a dead process apart, so that Python has nothing to complain about."""
        self.alive = False
        self.loop.bury()

    # --- the observer of its actors

    def begins(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Run:
        """An actor begins to process a request: was that counted, and is it open?"""
        world = self._world
        run = Run(self.name, world.time.now, world.history.moment())
        if not self.alive:
            return run
        world.say(self.name, f"{context.actor_id} runs {message.message_id}")
        asked = world.history.asked[context.actor_id, message.message_id]
        asked.runs.append(run)
        find = self._disk.find_turn(context.actor_id, message.message_id)
        record = at_once(find)
        if record is None:
            world.history.finds("not stored", f"{asked} runs and is not stored")
        elif record.attempts < len(asked.runs):
            text = f"{asked} runs for the {len(asked.runs)}. time, {record.attempts} counted"
            world.history.finds("not counted", text)
        elif record.status is not RequestStatus.PENDING and not self._is_stale():
            text = f"{asked} runs and is {record.status.value}"
            world.history.finds("ran after its end", text)
        return run

    def ends(self, run: Run) -> None:
        """A run has ended, however."""
        if self.alive:
            run.until = self._world.time.now

    def tells(self, teller: Run, target: ActorId, message_id: str, params: Any) -> None:
        """A turn has staged a message to an actor."""
        if self.alive:
            told_by = next(
                one for one in self._world.history.asked.values() if teller in one.runs
            )
            told = Asked(target, message_id, params, told_by=told_by)
            self._world.history.asked[target, message_id] = told
            self._world.say(self.name, f"{told_by} tells {told}: {params}")

    async def asks(
        self,
        context: IActorRuntimeContext,
        target: ActorId,
        message_id: str,
        params: Any,
    ) -> None:
        """A turn asks another actor, and waits for the answer."""
        if not self.alive:
            return
        world, key = self._world, (target, message_id)
        asked = world.history.asked.setdefault(key, Asked(target, message_id, params))
        asked.cut = True  # its asker may be ended at any time, and it with him
        caller = f"{context.actor_id} on {self.name}"
        call = Call(self.name, caller, world.history.moment(), world.time.now)
        asked.calls.append(call)
        world.say(self.name, f"{context.actor_id} asks {asked}: {params}")
        try:
            handle = await context.send_request(target, "run", params, message_id)
            call.acknowledged = world.history.moment()
            call.acknowledged_at = world.time.now
            response = await handle.get_response()
        except AgentRuntimeError as error:
            if call.acknowledged is None:
                call.refused = type(error).__name__
            asked.lost = True
            world.say(self.name, f"{context.actor_id} gets no answer: {error!r}")
            return
        world.say(self.name, f"{message_id} is {response.status.value}")
        asked.answers.append(Answer(response.status, response.data))

    def _is_stale(self) -> bool:
        # Another host may have taken the actor over; this one does not know it yet.
        return any(
            other is not self and other.alive and other.started_at >= self.started_at
            for other in self._world.hosts
        )


async def open_disk(world: World) -> InMemoryStateStorage:
    """A host that only looks."""
    disk = InMemoryStateStorage(world.data)
    await disk.open(HostInfo("judge", "judge"))
    return disk


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits, as those of the memory storage."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waits")
