"""Drives hosts, kills them at random moments, and goes on where they left off."""

import multiprocessing
import signal
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.supervision import OnInterrupted
from tests.chaos.history import Asked, History
from tests.chaos.host import MakeStorage, run_host
from tests.chaos.kill_points import KillsItself, Place
from tests.chaos.messages import Ask, Look, Order, Ready, Report, Stop

# Hosts are forked off a process that has imported everything and runs nothing.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.chaos.host"])

PATIENCE = 30.0
_OPEN_PER_ACTOR = 3


class HostProcess:
    """A host in a process of its own, as the history has it."""

    def __init__(
        self,
        make_storage: MakeStorage,
        history: History,
        life: int,
        on_interrupted: OnInterrupted = "ask",
    ) -> None:
        self.life = life
        self.ready = False
        self._history = history
        here, there = _PROCESSES.Pipe()
        self._connection: Connection[Any, Any] = here
        self._process = _PROCESSES.Process(
            target=run_host, args=(there, make_storage, on_interrupted)
        )
        self._process.start()
        there.close()

    def send(self, order: Order) -> None:
        """Tell it to do something."""
        if isinstance(order, Ask):
            self._history.sends(order, self.life)
        self._connection.send(order)

    def hear(self, seconds: float) -> Report | None:
        """What it says next, None if it says nothing for so long."""
        if not self._connection.poll(seconds):
            return None
        report: Report = self._connection.recv()
        self.ready = self.ready or isinstance(report, Ready)
        self._history.hears(report, self.life)
        return report

    def hear_until(
        self, wanted: Report | type[Report], seconds: float = PATIENCE
    ) -> None:
        """Listen until it says that."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            report = self.hear(left)
            if report == wanted or type(report) is wanted:
                return
        raise TimeoutError(f"the host did not say {wanted}")

    def kill(self) -> None:
        """SIGKILL; what is still in the pipe was said before it died."""
        self._process.kill()
        self._history.kills += 1
        self._process.join(PATIENCE)
        self._hear_the_rest()

    def bury(self) -> bool:
        """Wait until it has killed itself; whether it was SIGKILL."""
        self._process.join(PATIENCE)
        self._history.kills += 1
        self._hear_the_rest()
        return self._process.exitcode == -signal.SIGKILL

    def stop(self) -> None:
        """Let it stop in peace."""
        self.send(Stop())
        self._hear_the_rest()
        self._process.join(PATIENCE)
        if self._process.exitcode != 0:
            raise RuntimeError(f"the host ended with {self._process.exitcode}")

    def _hear_the_rest(self) -> None:
        try:
            while self.hear(PATIENCE) is not None:
                pass
        except (EOFError, ConnectionError):
            pass
        self._connection.close()


class KillLoop:
    """Requests to a few actors that never end, and hosts that do.

    Args:
        make_storage: called in each host.
        seed: of every random choice.
        patience: seconds that the last host has to answer everything.
        counters, agents: how many actors of each type.
        on_interrupted: what becomes of what a killed host leaves behind.
    """

    def __init__(
        self,
        make_storage: MakeStorage,
        *,
        seed: int,
        patience: float = PATIENCE,
        counters: int = 4,
        agents: int = 3,
        on_interrupted: OnInterrupted = "ask",
    ) -> None:
        self.history = History()
        self._make_storage = make_storage
        self._patience = patience
        self._random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._actors = [ActorId("counter", f"c{n}") for n in range(counters)]
        self._actors += [ActorId("agent", f"a{n}") for n in range(agents)]
        self._life = 0
        self._on_interrupted: OnInterrupted = on_interrupted

    def run(self, kills: int) -> None:
        """Start a host, load it, kill it; again and again; the last one may finish."""
        for _ in range(kills):
            host = self._start()
            try:
                self._live(host)
            finally:
                host.kill()
        self._finish()

    def _start(self) -> HostProcess:
        self._life += 1
        return HostProcess(
            self._make_storage, self.history, self._life, self._on_interrupted
        )

    def _live(self, host: HostProcess) -> None:
        # By reports, so that a slow machine does not make every life an idle one; and
        # then a moment more, because a host that has just spoken is not any host.
        moment = self._random.uniform(0.0, 0.02)
        if self._random.random() < 0.2:  # killed while it starts, or soon after
            host.hear(moment * 5)
            return
        host.hear_until(Ready)
        self._go_on(host)
        for _ in range(self._random.randint(0, 160)):
            self._ask_more(host)
            if host.hear(1.0) is None:
                break
        until = time.monotonic() + moment
        while (left := until - time.monotonic()) > 0:
            host.hear(left)

    def _go_on(self, host: HostProcess) -> None:
        """Ask again what got no answer, in the old order; and a few that did."""
        for asked in list(self.history.unanswered.values()):
            host.send(self._again(asked))
        answered = [one for one in self.history.asked.values() if one.answers]
        for asked in self._random.sample(answered, min(3, len(answered))):
            host.send(self._again(asked))

    def _again(self, asked: Asked) -> Ask | Look:
        ask = asked.ask
        if asked.acknowledged and self._random.random() < 0.5:
            return Look(ask.actor_id, ask.message_id)
        return ask

    def _ask_more(self, host: HostProcess) -> None:
        open_ones = dict.fromkeys(self._actors, 0)
        for asked in self.history.unanswered.values():
            open_ones[asked.ask.actor_id] += 1
        for actor_id, count in open_ones.items():
            if count < _OPEN_PER_ACTOR:
                host.send(self._new(actor_id))

    def _new(self, actor_id: ActorId) -> Ask:
        message_id = f"m{len(self.history.asked)}"
        if actor_id.type_name == "agent":
            params = {"messages": [{"role": "user", "content": message_id}]}
        else:
            params = {"seconds": self._random.choice([0, 0, 0.002, 0.02])}
        return Ask(actor_id, message_id, params)

    def _finish(self) -> None:
        host = self._start()
        host.hear_until(Ready)
        self._go_on(host)
        until = time.monotonic() + self._patience
        while self.history.unanswered and time.monotonic() < until:
            host.hear(0.5)
        host.stop()


class AimedKillLoop(KillLoop):
    """As that one, but each host kills itself at one place of one commit."""

    def __init__(self, path: Path, place: Place, *, seed: int) -> None:
        super().__init__(partial(KillsItself, path), seed=seed)
        self._path = path
        self._place: Place = place
        self.missed = 0

    def run(self, kills: int) -> None:
        """Let so many hosts kill themselves; the last one may finish."""
        for _ in range(kills):
            number = self._random.randint(1, 40)
            self._make_storage = partial(KillsItself, self._path, self._place, number)
            host = self._start()
            self._live(host)
            self.missed += not host.bury()
        self._make_storage = partial(KillsItself, self._path)
        self._finish()

    def _live(self, host: HostProcess) -> None:
        try:
            host.hear_until(Ready)
            self._go_on(host)
            while True:
                self._ask_more(host)
                host.hear(1.0)
        except (EOFError, OSError):
            return
