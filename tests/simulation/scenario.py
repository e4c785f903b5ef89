"""One simulated run: hosts come, are loaded, fail, and go; then everything is judged."""

import asyncio
from asyncio import Task
from typing import NamedTuple

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.testing.faults.plans import RandomFaults
from tests.simulation.chance import seeded
from tests.simulation.dead_letters import write_letters
from tests.simulation.history import Finding, History
from tests.simulation.judge import judge
from tests.simulation.senders import Sender
from tests.simulation.world import Host, Parts, World, open_disk


class Outcome(NamedTuple):
    """What came of a run."""

    seed: int
    findings: list[Finding]
    history: History

    def report(self) -> str:
        """What is to be read when something was found."""
        lines = [f"seed {self.seed}; again: python -m tests.simulation {self.seed}", ""]
        lines += self.history.lines()
        lines += ["", *(f"BROKEN {kind}: {text}" for kind, text in self.findings)]
        return "\n".join(lines)


def simulate_seed(seed: int, parts: Parts | None = None) -> Outcome:
    """Run the world that belongs to a seed."""
    world = World(seed, parts or Parts())
    try:
        findings = world.run(_Scenario(world).run())
    except Exception as error:
        world.history.finds("broke off", f"{type(error).__name__}: {error}")
        findings = world.history.findings
    finally:
        world.end()
    return Outcome(seed, findings, world.history)


class _Scenario:
    def __init__(self, world: World) -> None:
        self._world = world
        self._random = seeded("scenario", world.random.random())
        self._actors = [
            ActorId("worker", f"a{n}") for n in range(self._random.choice([1, 1, 2, 3]))
        ]
        self._outside: list[Task[None]] = []
        self._senders: dict[Host, list[Task[None]]] = {}

    async def run(self) -> list[Finding]:
        """Lives of hosts, then the end."""
        letters = seeded("letters", self._world.seed)
        if letters.random() < 0.25:
            for actor_id in self._actors:
                await write_letters(self._world, actor_id, letters)
        for _ in range(self._random.choice([1, 2, 2, 3, 4])):
            await self._one_life()
        await self._finish()
        disk = await open_disk(self._world)
        findings = await judge(self._world.history, disk, self._world.on_interrupted)
        await disk.close()
        return findings

    async def _one_life(self) -> None:
        random = self._random
        host = await self._start()
        await asyncio.sleep(random.choice([0.02, 0.3, 2.0, 6.0]))
        if random.random() < 0.3:
            await self._storage_is_down(host)
        if random.random() < 0.35:
            await self._start(take_over=True)
            await asyncio.sleep(random.choice([0.1, 1.0, 5.0]))
        for one in [one for one in self._world.hosts if one.alive]:
            await self._let_go(one)

    async def _start(self, *, take_over: bool = False) -> Host:
        faults = self._faults()
        host = self._world.new_host(faults)
        host.calm = not faults.rate
        silence, faults.silence = faults.silence, 0.0
        try:
            await host.do(host.start())
        except AgentRuntimeError:
            host.kill()
            return await self._start(take_over=take_over)
        faults.silence = silence
        host.runtime.take_over = take_over
        self._senders[host] = []
        for number in range(self._random.randint(1, 4)):
            self._load(host, f"{host.name[5:]}-{number}")
        return host

    def _faults(self) -> RandomFaults:
        random = self._random
        return RandomFaults(
            seeded("faults", random.random()),
            rate=random.choice([0.0, 0.0, 0.03, 0.15]),
            slowest=random.choice([0.05, 0.5, 2.0]),
            silence=random.choice([0.0, 0.0, 0.1]),
        )

    def _load(self, host: Host, name: str) -> None:
        outside = self._random.random() < 0.25
        kind = "far" if outside else "near"
        sender = Sender(self._world, host, f"{kind}-{name}", outside=outside)
        work = sender.run(self._actors, self._random.randint(3, 25))
        if outside:
            self._outside.append(asyncio.get_running_loop().create_task(work))
        else:
            self._senders[host].append(host.spawn(work))

    async def _storage_is_down(self, host: Host) -> None:
        self._world.say(host.name, "storage is down")
        host.calm = False
        with host.storage.down():
            await asyncio.sleep(self._random.choice([0.1, 1.0, 4.0]))
        self._world.say(host.name, "storage is up")

    async def _let_go(self, host: Host) -> None:
        dice = self._random.random()
        if dice < 0.6:
            host.kill()
            return
        if dice < 0.85:
            await self._until_quiet(host)
        await host.stop(self._random.choice([0.0, 1.0, 10.0]))

    async def _until_quiet(self, host: Host) -> None:
        await asyncio.gather(*map(host.join, self._senders[host]))

    async def _finish(self) -> None:
        """The last host settles what is left, for everybody who ever asked."""
        await asyncio.gather(*self._outside)
        host = self._world.new_host()
        await host.do(host.start())
        await self._until_all_is_told(host)
        sender = Sender(self._world, host, "last", outside=False)
        await host.do(self._ask_all(sender))
        await host.stop(10.0)

    async def _until_all_is_told(self, host: Host) -> None:
        """Wait for what is on its way between actors."""
        disk = await open_disk(self._world)
        waiting: list[ActorId] = []
        for _ in range(40):
            await asyncio.sleep(5.0)
            marked = (await disk.list_actors(mark="outbox")).items
            waiting = list((await disk.list_actors(open_only=True)).items)
            for actor_id in marked:
                # A mark may outlive its reason.
                if (await disk.list_keys(actor_id, "$outbox/")).items:
                    waiting.append(actor_id)
            if not waiting:
                break
            for asked in list(self._world.history.asked.values()):
                await host.do(host.runtime.revive(asked.actor_id))
        await disk.close()
        if waiting:
            self._world.history.finds("untold", f"{waiting} have open turns or tells")

    async def _ask_all(self, sender: Sender) -> None:
        async with asyncio.TaskGroup() as waits:
            sender.waits = waits
            for asked in list(self._world.history.asked.values()):
                await sender.look(asked)
