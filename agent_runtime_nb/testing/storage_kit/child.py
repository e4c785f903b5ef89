"""`python -m agent_runtime_nb.testing.storage_kit.child`: another process of a case.

Its first line of input is a job as JSON (the recipe of the storage, what to do, the
actor); it says what it does in lines, each after the fact. `Child` is the side that
starts it.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agent_runtime_nb.exceptions import AgentRuntimeError, Conflict
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    IActorStateStorage,
    TurnEnd,
    TurnRecord,
)
from agent_runtime_nb.testing.storage_kit.subject import Recipe

TALKERS = 8
"""How many actors `talk` lets converse at once: `<instance id>-0` and so on."""


class Child:
    """A process that works on the same data; see `child`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    def tell(self, line: str) -> None:
        """Write a line of its input."""
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    async def line(self) -> str:
        """The next line that it says, or "" after the last one."""
        assert self._process.stdout is not None  # noqa: S101 - as above
        return (await asyncio.to_thread(self._process.stdout.readline)).strip()

    async def lines(self) -> list[str]:
        """What it says until it ends."""
        found: list[str] = []
        while line := await self.line():
            found.append(line)
        return found

    async def kill(self) -> None:
        """End it as SIGKILL does, and wait until it is gone."""
        self._process.kill()
        await asyncio.to_thread(self._process.wait)


@contextmanager
def child(
    recipe: Recipe, what: str, actor_id: ActorId, times: int = 0
) -> Generator[Child]:
    """Another process that does `what`; it does not outlive the block."""
    job = {
        "target": recipe.target,
        "arguments": list(recipe.arguments),
        "options": dict(recipe.options),
        "what": what,
        "actor": [actor_id.type_name, actor_id.instance_id],
        "times": times,
    }
    # What this process can import, that one can, too. The job may hold a password:
    # it goes through a pipe, because arguments of a command are seen by everybody.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_runtime_nb.testing.storage_kit.child"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    one = Child(process)
    try:
        one.tell(json.dumps(job))
        yield one
    finally:
        process.kill()
        process.communicate()


# --- in the other process -------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """What the other process does."""

    storage: IActorStateStorage
    actor_id: ActorId
    times: int


def say(line: str) -> None:
    """Write a line at once, before anything else can happen to this process."""
    os.write(1, f"{line}\n".encode())


async def count(job: Job) -> None:
    """Count up by compare and set, and say how often a conflict came between."""
    done = conflicts = 0
    while done < job.times:
        state = await job.storage.read_state(job.actor_id)
        number = int(state.values.get("n", b"0")) + 1
        try:
            await job.storage.write_state(
                job.actor_id, set={"n": b"%d" % number}, etag=state.etag
            )
        except Conflict:
            conflicts += 1
        else:
            done += 1
    say(f"counted {done} with {conflicts} conflicts")


async def hold(job: Job) -> None:
    """Claim the actor, then use it once for each line of input."""
    claim = await job.storage.claim(job.actor_id)
    say("claimed")
    position = claim.next_position
    while await asyncio.to_thread(sys.stdin.readline):
        turn = TurnRecord(position=position, message_id=f"of a child {position}")
        change = ActorChange(epoch=claim.epoch, accepted=(turn,))
        try:
            await job.storage.apply(job.actor_id, change)
            say("accepted")
        except AgentRuntimeError as error:
            say(type(error).__name__)
        position += 1


async def talk(job: Job) -> None:
    """Turns of several actors until killed; says each step once it is written."""
    type_name, instance_id = job.actor_id.type_name, job.actor_id.instance_id
    actors = [ActorId(type_name, f"{instance_id}-{n}") for n in range(TALKERS)]
    await asyncio.gather(*(_converse(job.storage, actor_id) for actor_id in actors))


async def _converse(storage: IActorStateStorage, actor_id: ActorId) -> None:
    claim = await storage.claim(actor_id, take_over=True)
    epoch, etag, position = claim.epoch, claim.etag, claim.next_position
    count = int(claim.values.get("count", b"0"))
    while True:
        name = f"{actor_id.instance_id} {position}"
        turn = TurnRecord(position=position, message_id=f"m{position}", body=b"{}")
        await storage.apply(actor_id, ActorChange(epoch=epoch, accepted=(turn,)))
        say(f"accepted {name}")
        count += 1
        end = TurnEnd(
            position=position,
            status=RequestStatus.COMPLETED,
            result=b"%d" % count,
            ended_at=1.0,
            entries=b"[%d]" % position,
        )
        new_etag = f"{actor_id}-{epoch}-{position}"
        commit = ActorChange(epoch=epoch, etag=etag, new_etag=new_etag, ended=(end,))
        commit.set = {"count": b"%d" % count}
        await storage.apply(actor_id, commit)
        say(f"ended {name}")
        etag, position = new_etag, position + 1


WHAT: dict[str, Callable[[Job], Coroutine[Any, Any, None]]] = {
    one.__name__: one for one in (count, hold, talk)
}


async def _work(order: dict[str, Any]) -> None:
    recipe = Recipe(order["target"], tuple(order["arguments"]), order["options"])
    storage = recipe.make()
    await storage.open(HostInfo(f"process-{os.getpid()}", f"process {os.getpid()}"))
    try:
        job = Job(storage, ActorId(*order["actor"]), order["times"])
        await WHAT[order["what"]](job)
    finally:
        await storage.close()


if __name__ == "__main__":
    asyncio.run(_work(json.loads(sys.stdin.readline())))
