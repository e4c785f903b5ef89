"""`CosmosStateStorage` in a conversation of some length."""

import asyncio
import statistics
import time

from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage.cosmos import CosmosStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
    TurnRecord,
)
from benchmarks.measure import Figures, amount
from tests.servers.cosmos_server import CosmosServer

_ACTOR = ActorId("agent", "conversation")
_BODY = b'["run", {"messages": [{"role": "user", "content": "%s"}]}]' % (b"What? " * 40)
_ENTRIES = b'[{"role": "user"}, {"role": "assistant", "text": "%s"}]' % (b"So. " * 300)
_SESSION = b'{"state": "%s"}' % (b"s" * 2000)
_AT_ONCE = 40
_WARM_UP, _MEASURED = 20, 60


async def _fill(storage: CosmosStateStorage, epoch: int, turns: int) -> None:
    """A conversation as a copy of one would arrive."""
    for first in range(1, turns + 1, _AT_ONCE):
        positions = range(first, min(first + _AT_ONCE, turns + 1))
        records = tuple(
            TurnRecord(
                position=position,
                message_id=f"old-{position}",
                status=RequestStatus.COMPLETED,
                body=_BODY,
                result=b'"done"',
                entries=_ENTRIES,
                accepted_at=1.0,
                ended_at=2.0,
            )
            for position in positions
        )
        await storage.apply(_ACTOR, ActorChange(epoch=epoch, accepted=records))


async def _turn(
    storage: CosmosStateStorage, epoch: int, position: int, etag: str | None
) -> str:
    record = TurnRecord(position=position, message_id=f"m{position}", body=_BODY)
    accept = ActorChange(epoch=epoch, accepted=(record,), started=(position,))
    await storage.apply(_ACTOR, accept)
    end = TurnEnd(
        position=position,
        status=RequestStatus.COMPLETED,
        result=b'"done"',
        ended_at=2.0,
        entries=_ENTRIES,
    )
    commit = ActorChange(
        epoch=epoch,
        etag=etag,
        new_etag=f"e{position}",
        ended=(end,),
        set={"session": _SESSION},
    )
    await storage.apply(_ACTOR, commit)
    return f"e{position}"


async def _measured(server: CosmosServer, turns: int) -> Figures:
    storage = CosmosStateStorage(
        server.endpoint, database="bench", container="turns", key=server.key
    )
    await storage.open(HostInfo("bench", "bench"))
    epoch = (await storage.claim(_ACTOR)).epoch
    await _fill(storage, epoch, turns)
    begun = time.perf_counter()
    claim = await storage.claim(_ACTOR)
    claimed = time.perf_counter() - begun
    times: list[float] = []
    etag = claim.etag
    for number in range(_WARM_UP + _MEASURED):
        begun = time.perf_counter()
        etag = await _turn(storage, epoch, claim.next_position + number, etag)
        times.append(time.perf_counter() - begun)
    await storage.close()
    return {
        # The lower quartile: a neighbour on the machine only ever makes it longer.
        "turn_us": statistics.quantiles(times[_WARM_UP:], n=4)[0] * 1e6,
        "claim_us": claimed * 1e6,
    }


def short(_: float) -> Figures:
    """A conversation of 10 messages, two for each turn."""
    with CosmosServer() as server:
        return asyncio.run(_measured(server, 5))


def long(scale: float) -> Figures:
    """A conversation of 1,000 messages."""
    with CosmosServer() as server:
        return asyncio.run(_measured(server, amount(500, scale)))
