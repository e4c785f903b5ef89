"""A copy that is killed, again and again, comes to the same as one that is not."""

import asyncio
from pathlib import Path

import pytest

from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage.copy import copy_storage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange, HostInfo, TurnRecord
from tests.storage.conftest import Child

CONVERSATIONS = 400
TURNS = 45  # more than one change takes


async def fill(path: Path) -> None:
    storage = SqliteStateStorage(path, synchronous="NORMAL")
    await storage.open(HostInfo("filler", "filler"))

    async def converse(actor_id: ActorId) -> None:
        epoch = (await storage.claim(actor_id)).epoch
        turns = [
            TurnRecord(
                position=position,
                message_id=f"m{position}",
                status=RequestStatus.COMPLETED,
                result=b"%d" % position,
                ended_at=1.0,
            )
            for position in range(1, TURNS + 1)
        ]
        for part in (turns[:40], turns[40:]):
            await storage.apply(
                actor_id,
                ActorChange(epoch=epoch, accepted=tuple(part), set={"k": b"1"}),
            )

    await asyncio.gather(
        *(converse(ActorId("echo", f"c{n:03}")) for n in range(CONVERSATIONS))
    )
    await storage.close()


@pytest.mark.kill
async def test_a_copy_that_is_killed_goes_on_and_doubles_nothing(
    tmp_path: Path, child: Child
):
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    await fill(source)
    reached: list[int] = []

    for _ in range(4):
        process = child("copy", source, target)
        assert process.stdout is not None
        begun = process.stdout.readline()  # what former runs have brought, and more
        for _ in range(4):
            begun = process.stdout.readline() or begun
        process.kill()
        process.communicate()
        reached.append(int(begun.split()[0]))

    report = await copy_storage(SqliteStateStorage(source), SqliteStateStorage(target))
    assert 0 < reached[0] < CONVERSATIONS
    assert report.actors == CONVERSATIONS
    assert report.turns == CONVERSATIONS * TURNS
    assert reached[0] - 16 <= report.already_there < CONVERSATIONS
    whole = await copy_storage(
        SqliteStateStorage(source), SqliteStateStorage(tmp_path / "whole.db")
    )
    assert report.sha256 == whole.sha256
