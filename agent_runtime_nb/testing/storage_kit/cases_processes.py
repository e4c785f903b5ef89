"""Cases of the storage contract: several processes, stopped ones and killed ones.

Which of them run is said by `StorageUnderTest.recipe`.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import ExitStack

from agent_runtime_nb.exceptions import ActorOwnedElsewhere
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import Claim, IActorStateStorage
from agent_runtime_nb.testing.storage_kit.case import (
    COMPLETED,
    PENDING,
    CaseKit,
    case,
    holds,
    same,
)
from agent_runtime_nb.testing.storage_kit.child import TALKERS, child
from agent_runtime_nb.testing.storage_kit.subject import Skipped

_LINES = 60  # of a process, before it is killed


@case(9, timeout=180)
async def three_processes_count_together(kit: CaseKit) -> None:
    """Compare and set loses no update between processes."""
    recipe = kit.subject.recipe()
    storage = await kit.open()

    with ExitStack() as stack:
        children = [
            stack.enter_context(child(recipe, "count", kit.actor(), 25))
            for _ in range(3)
        ]
        said = [await one.line() for one in children]

    holds(all(line.startswith("counted 25") for line in said), f"all counted: {said}")
    values = (await storage.read_state(kit.actor())).values
    same(values, {"n": b"75"}, "the counter")


@case(12, timeout=120)
async def a_process_that_was_stopped_is_refused_when_it_goes_on(kit: CaseKit) -> None:
    """A host that slept while another took over commits nothing when it wakes."""
    recipe = kit.subject.recipe()
    if not hasattr(signal, "SIGSTOP"):
        raise Skipped("this system has no SIGSTOP")
    storage = await kit.open()

    with child(recipe, "hold", kit.actor()) as other:
        same(await other.line(), "claimed", "what the process says")
        other.tell("go on")
        same(await other.line(), "accepted", "its step while it is the owner")
        os.kill(other.pid, signal.SIGSTOP)
        claim = await storage.claim(kit.actor(), take_over=True)
        os.kill(other.pid, signal.SIGCONT)
        other.tell("go on")

        same(await other.line(), "StaleEpoch", "its step after it has slept")
    same((claim.epoch, len(claim.open_turns)), (2, 1), "epoch and open turns")
    same(len(await storage.read_turns(kit.actor())), 1, "the number of turns")


@case(12, timeout=180)
async def a_killed_process_frees_its_actors(kit: CaseKit) -> None:
    """In a bounded time others may claim what it owned, without take_over."""
    recipe = kit.subject.recipe()
    storage = await kit.open()

    with child(recipe, "hold", kit.actor()) as other:
        same(await other.line(), "claimed", "what the process says")
        await other.kill()

    claim = await _claimed_in_time(storage, kit)
    same(claim.epoch, 2, "the epoch of the next owner")


async def _claimed_in_time(storage: IActorStateStorage, kit: CaseKit) -> Claim:
    until = time.monotonic() + kit.subject.dead_within
    while True:
        try:
            return await storage.claim(kit.actor())
        except ActorOwnedElsewhere:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.1)


@case(40, timeout=600)
async def what_was_acknowledged_survives_sigkill(kit: CaseKit) -> None:
    """Nothing that a killed process was told is written is lost, and nothing is half."""
    recipe = kit.subject.recipe()
    storage = await kit.open()

    for round_number in range(kit.subject.kills):
        with child(recipe, "talk", kit.actor("talk")) as other:
            said = [await other.line() for _ in range(_LINES + 7 * round_number)]
            await other.kill()
            said += await other.lines()
        holds(len(said) >= _LINES, f"the process works: {said[-3:]}")

        for n in range(TALKERS):
            actor_id = kit.actor(f"talk-{n}")
            await _check_talk(storage, actor_id, said)


async def _check_talk(
    storage: IActorStateStorage, actor_id: ActorId, said: list[str]
) -> None:
    state = await storage.read_state(actor_id)
    turns = await storage.read_turns(actor_id, limit=100_000)
    statuses = {turn.position: turn.status for turn in turns}
    for line in said:
        what, name, position = line.split(" ")
        if name == actor_id.instance_id:
            holds(int(position) in statuses, f"{line} is stored")
            ended = statuses[int(position)] is COMPLETED
            holds(ended or what != "ended", f"{line} has its end")
    same([*statuses], list(range(1, len(turns) + 1)), "the positions")
    found = Counter(statuses.values())
    same(int(state.values.get("count", b"0")), found[COMPLETED], "the counted turns")
    same(found[COMPLETED] + found[PENDING], len(turns), "turns open or completed")
    for turn in turns:
        whole = (turn.entries is not None) == (turn.status is COMPLETED)
        holds(whole, f"turn {turn.position} has entries if it is completed")
