"""Dead letters of one actor are sent again while its turns tell, then its host dies.

Chance decides how slow each step of the storage is, and when the host dies.
"""

import asyncio
from typing import Any

import pytest

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep, slow
from tests.simulation.broken import OverwritesMarks, plant
from tests.simulation.chance import seeded
from tests.simulation.dead_letters import write_letter
from tests.simulation.history import Finding
from tests.simulation.judge import judge
from tests.simulation.senders import Sender
from tests.simulation.world import Parts, World, open_disk

ONE = ActorId("worker", "one")
SEEDS = range(100)


def findings_of(seed: int) -> list[Finding]:
    """What is broken when two letters that tell are sent again at once."""
    world = World(seed, Parts(on_interrupted="fail"))
    try:
        return world.run(_requeue_two(world))
    finally:
        world.end()


async def _requeue_two(world: World) -> list[Finding]:
    random = seeded("requeue", world.seed)

    def plan(_: FaultStep) -> Fault:
        return slow(random.choice([0.0, 0.01, 0.1]), random.choice([0.0, 0.01, 0.1]))

    params: dict[str, Any] = {
        "steps": [("tell", ("other", {"steps": []})), *[("pause", 0)] * 3]
    }
    letters = [await write_letter(world, ONE, number, params) for number in (1, 2)]
    host = world.new_host(plan)
    await host.do(host.start())
    sender = Sender(world, host, "clerk", outside=False)
    for letter in letters:
        host.spawn(sender.requeue(letter))
        await asyncio.sleep(random.uniform(0.0, 0.5))
    host.kill()

    later = world.new_host()
    await later.do(later.start())
    await asyncio.sleep(5.0)  # nobody asks the actor for anything
    await later.stop(0.0)
    disk = await open_disk(world)
    findings = await judge(world.history, disk, "fail")
    await disk.close()
    return findings


@pytest.mark.parametrize("seed", SEEDS)
def test_tells_of_requeued_letters_arrive_although_their_host_dies(seed: int) -> None:
    assert findings_of(seed) == []


def test_tells_are_lost_if_a_requeue_overwrites_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch, OverwritesMarks)

    found = {finding.kind for seed in SEEDS for finding in findings_of(seed)}

    assert {"unmarked", "untold"} <= found
