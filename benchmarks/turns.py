"""Turns of 64 conversations at once: the work of the benchmarks with a server."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    TurnEnd,
    TurnRecord,
)
from benchmarks.measure import Figures

CONVERSATIONS = 64
ACTORS = [ActorId("echo", str(number)) for number in range(CONVERSATIONS)]

_TEXT = "What is known of the weather of the coming week in the mountains? " * 3
_PARAMS = {"messages": [{"role": "user", "content": _TEXT}]}
_BODY = json.dumps({"method": "run", "params": _PARAMS}).encode()
_RESULT = json.dumps(_PARAMS).encode()


def accept(position: int) -> ActorChange:
    """The change that accepts a turn."""
    turn = TurnRecord(
        position=position,
        message_id=f"m{position}",
        body=_BODY,
        accepted_at=time.time(),
    )
    return ActorChange(epoch=1, accepted=(turn,), started=(position,))


def commit(position: int) -> ActorChange:
    """The change that ends it."""
    end = TurnEnd(
        position=position,
        status=RequestStatus.COMPLETED,
        result=_RESULT,
        ended_at=time.time(),
        entries=_RESULT,
    )
    etag = f"e{position - 1}" if position > 1 else None
    return ActorChange(
        epoch=1,
        etag=etag,
        new_etag=f"e{position}",
        ended=(end,),
        set={"session": b'{"n": %d}' % position},
    )


async def measured(
    turn: Callable[[ActorId, int], Awaitable[None]], turns_each: int
) -> Figures:
    """Turns of all conversations at once; the first of each is not counted."""

    async def converse(actor_id: ActorId) -> None:
        for position in range(2, turns_each + 2):
            await turn(actor_id, position)

    await asyncio.gather(*(turn(actor_id, 1) for actor_id in ACTORS))
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(converse, ACTORS))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    turns = turns_each * CONVERSATIONS
    return {"turns_per_s": turns / seconds, "cpu_us": cpu / turns * 1e6}
