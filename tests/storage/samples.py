"""Sample files of each schema version, kept in `tests/data`, and what is in them.

`python -m tests.storage.samples FILE` makes one with the code as it is.
"""

import asyncio
import sys
from pathlib import Path

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    IActorStateStorage,
    TurnEnd,
    TurnRecord,
)

DATA = Path(__file__).parents[1] / "data"
HOST = HostInfo("sample-host", "the host of the sample")

TALK = ActorId("echo", "a talk")
STATE_ONLY = ActorId("echo", "Å/日本 'quoted' %_*")
DELETED = ActorId("echo", "deleted")
WAITING = ActorId("mock-ai", "waiting")

ENDS = (
    RequestStatus.COMPLETED,
    RequestStatus.FAILED,
    RequestStatus.CANCELLED,
    RequestStatus.INTERRUPTED,
    RequestStatus.COMPLETED,
)


def talk_turn(position: int, status: RequestStatus) -> TurnRecord:
    """A turn of TALK as it is in every sample."""
    return TurnRecord(
        position=position,
        message_id=f"talk-{position}",
        status=status,
        attempts=1,
        body=b'{"method":"run","params":{"n":%d}}' % position,
        result=b'{"answer":%d}' % position,
        entries=b'[{"role":"user","contents":[]}]',
        accepted_at=1000.5 + position,
        ended_at=2000.25 + position,
    )


TALK_TURNS = [talk_turn(position, status) for position, status in enumerate(ENDS, 1)]
TALK_TURNS[0].result = TALK_TURNS[0].body = None  # trimmed
TALK_VALUES = {"session": b'{"kept":true}', "zero": b"0", "": b'"an empty key"'}
OPEN_TURN = TurnRecord(
    position=1,
    message_id="open-1",
    attempts=2,
    body=b"{}",
    checkpoint=b'{"text":"half an ans"}',
    accepted_at=3000.0,
)
WAITING_TURN = TurnRecord(
    position=2, message_id="open-2", body=b"{}", accepted_at=3001.0
)
MARKS = {TALK: frozenset({"dead", "outbox"}), WAITING: frozenset({"outbox"})}
"""The marks in samples of version 2 and later."""


async def fill(storage: IActorStateStorage) -> None:
    """Write the content into an open storage, as a runtime would."""
    await _fill_talk(storage)
    await storage.write_state(STATE_ONLY, set={"k": '"é☃"'.encode()})
    claim = await storage.claim(DELETED)
    gone = ActorChange(epoch=claim.epoch, accepted=(talk_turn(1, ENDS[0]),))
    await storage.apply(DELETED, gone)
    await storage.delete_state(DELETED)
    epoch = (await storage.claim(WAITING)).epoch
    first = TurnRecord(position=1, message_id="open-1", body=b"{}", accepted_at=3000.0)
    for change in (
        ActorChange(epoch=epoch, accepted=(first, WAITING_TURN), started=(1,)),
        ActorChange(
            epoch=epoch, started=(1,), checkpoint=(1, b'{"text":"half an ans"}')
        ),
    ):
        await storage.apply(WAITING, change)


async def _fill_talk(storage: IActorStateStorage) -> None:
    epoch = (await storage.claim(TALK)).epoch
    for position, status in enumerate(ENDS, 1):
        turn = talk_turn(position, status)
        accepted = TurnRecord(
            position=position,
            message_id=turn.message_id,
            body=turn.body,
            accepted_at=turn.accepted_at,
        )
        change = ActorChange(epoch=epoch, accepted=(accepted,), started=(position,))
        await storage.apply(TALK, change)
        end = TurnEnd(
            position=position,
            status=status,
            result=turn.result,
            entries=turn.entries,
            ended_at=turn.ended_at or 0,
        )
        await storage.apply(TALK, ActorChange(epoch=epoch, ended=(end,)))
    values = ActorChange(epoch=epoch, new_etag="talk-etag", set=TALK_VALUES)
    await storage.apply(TALK, values)
    await storage.trim(TALK, 4)


async def mark(storage: IActorStateStorage) -> None:
    """Give the actors of the content their marks."""
    for actor_id, marks in MARKS.items():
        epoch = (await storage.claim(actor_id)).epoch
        await storage.apply(actor_id, ActorChange(epoch=epoch, add_marks=marks))


async def _make(path: str) -> None:
    storage = SqliteStateStorage(path)
    await storage.open(HOST)
    await fill(storage)
    await mark(storage)
    await storage.close()


if __name__ == "__main__":
    asyncio.run(_make(sys.argv[1]))
