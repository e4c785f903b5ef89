"""What the tests of the SQLite storage run in processes of their own.

`python -m tests.storage.children <what> <file> ...`; each line of output is flushed.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

from agent_runtime_nb.exceptions import AgentRuntimeError, Conflict
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
    TurnRecord,
)

COUNTER = ActorId("test", "counter")


def say(line: str) -> None:
    """Write a line at once, before anything else can happen to this process."""
    os.write(1, f"{line}\n".encode())


async def opened(path: str) -> SqliteStateStorage:
    storage = SqliteStateStorage(path, synchronous="NORMAL")
    await storage.open(HostInfo(f"process-{os.getpid()}", f"process {os.getpid()}"))
    return storage


async def take_turns(path: str) -> None:
    """Turns of 16 actors until killed; says each position after its commit."""
    storage = await opened(path)

    async def converse(name: str) -> None:
        actor_id = ActorId("test", name)
        claim = await storage.claim(actor_id)
        epoch, etag, position = claim.epoch, claim.etag, claim.next_position
        count = int(claim.values.get("count", b"0"))
        while True:
            turn = TurnRecord(
                position=position, message_id=f"{name}-{position}", body=b"{}"
            )
            await storage.apply(actor_id, ActorChange(epoch=epoch, accepted=(turn,)))
            say(f"accepted {name} {position}")
            count += 1
            new_etag = f"{name}-{epoch}-{position}"
            end = TurnEnd(
                position=position,
                status=RequestStatus.COMPLETED,
                result=b"%d" % count,
                ended_at=1.0,
                entries=b"[%d]" % position,
            )
            await storage.apply(
                actor_id,
                ActorChange(
                    epoch=epoch,
                    etag=etag,
                    new_etag=new_etag,
                    ended=(end,),
                    set={"count": b"%d" % count},
                ),
            )
            say(f"ended {name} {position}")
            etag, position = new_etag, position + 1

    await asyncio.gather(*(converse(f"a{n}") for n in range(16)))


async def count(path: str, times: str) -> None:
    """Count up by compare and set."""
    storage = await opened(path)
    done = 0
    while done < int(times):
        state = await storage.read_state(COUNTER)
        number = int(state.values.get("n", b"0")) + 1
        try:
            await storage.write_state(
                COUNTER, set={"n": b"%d" % number}, etag=state.etag
            )
        except Conflict:
            continue
        done += 1
    await storage.close()


async def hold(path: str) -> None:
    """Claim the counter and say so, then wait to be killed."""
    storage = await opened(path)
    await storage.claim(COUNTER)
    say("claimed")
    await asyncio.Event().wait()


async def fork(path: str) -> None:
    """Claim the counter, use the storage in a forked child, wait to be killed.

    The child waits for the end of the input.
    """
    storage = await opened(path)
    await storage.claim(COUNTER)
    if os.fork() == 0:
        _use_in_child(storage)
        os.read(0, 1)
        os._exit(0)
    await storage.write_state(COUNTER, set={"n": b"1"})
    say("parent: wrote")
    await asyncio.Event().wait()


def _use_in_child(storage: SqliteStateStorage) -> None:
    async def use() -> None:
        for call in (storage.claim(COUNTER), storage.read_state(COUNTER)):
            try:
                await call
            except AgentRuntimeError as error:
                say(f"child: {type(error).__name__}: {error}")
        await storage.close()

    try:
        asyncio.run(use())
    except BaseException as error:
        say(f"child: {error!r}")


async def open_only(path: str) -> None:
    """Open, and say how that went."""
    try:
        storage = await opened(path)
    except AgentRuntimeError as error:
        say(type(error).__name__)
    else:
        say("opened")
        await storage.close()


async def open_as_nobody(path: str) -> None:
    """As `open_only`, as a user who owns nothing."""
    # What Python loads on first use is loaded now: that user may not be able to read
    # where this Python is installed.
    with tempfile.TemporaryDirectory() as own:
        await (await opened(f"{own}/state.db")).close()
    os.setgid(65534)
    os.setuid(65534)
    await open_only(path)


WHAT: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    one.__name__: one for one in (take_turns, count, hold, fork, open_as_nobody)
}

if __name__ == "__main__":
    asyncio.run(WHAT[sys.argv[1]](*sys.argv[2:]))
