"""The SQLite storage while processes are killed."""

import random
import sqlite3
from pathlib import Path

import pytest

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
)
from tests.storage.conftest import Child

A = ActorId("echo", "c1")
HOST = HostInfo("h1", "the first")
MIB = 1024 * 1024


async def check_history(storage: SqliteStateStorage, history: list[str]) -> int:
    """Compare what was said with what is stored; returns how much was said."""
    said = [line.split() for line in history if line.endswith("\n")]
    for name in {name for _, name, _ in said}:
        actor_id = ActorId("test", name)
        turns = await storage.read_turns(actor_id, limit=100_000)
        positions = [turn.position for turn in turns]
        assert positions == list(range(1, len(turns) + 1))
        ended = {turn.position for turn in turns if turn.status.is_final}
        for what, at in ((what, int(at)) for what, who, at in said if who == name):
            assert at in (positions if what == "accepted" else ended)
        # State and status of a turn are there together: they count the same.
        state = await storage.read_state(actor_id)
        assert int(state.values.get("count", b"0")) == len(ended)
        for turn in turns:
            whole = (turn.result is None) == (turn.entries is None)
            assert whole
            assert (turn.result is not None) == turn.status.is_final
    return len(said)


@pytest.mark.kill
async def test_what_was_acknowledged_survives_sigkill(tmp_path: Path, child: Child):
    path = tmp_path / "state.db"
    history: list[str] = []
    source = random.Random(5)  # noqa: S311 - moments to kill at
    for n in range(5):
        process = child("take_turns", path)
        assert process.stdout is not None
        history += [process.stdout.readline() for _ in range(source.randint(50, 1500))]
        process.kill()
        history += process.stdout.readlines()

        storage = SqliteStateStorage(path)
        await storage.open(HostInfo(f"check-{n}", "check"))
        assert await check_history(storage, history) > 0
        # The dead host's open turns are found, and end once.
        for actor_id in (await storage.list_actors("test", open_only=True)).items:
            await end_open_turns(storage, actor_id)
        assert (await storage.list_actors(open_only=True)).items == ()
        await storage.close()


async def end_open_turns(storage: SqliteStateStorage, actor_id: ActorId) -> None:
    claim = await storage.claim(actor_id)
    count = int(claim.values.get("count", b"0"))
    ends = tuple(
        TurnEnd(
            position=turn.position,
            status=RequestStatus.INTERRUPTED,
            result=b"null",
            ended_at=1.0,
            entries=b"[]",
        )
        for turn in claim.open_turns
    )
    assert len(ends) == 1
    change = ActorChange(
        epoch=claim.epoch,
        etag=claim.etag,
        new_etag=f"{actor_id}-{claim.epoch}",
        ended=ends,
        set={"count": b"%d" % (count + len(ends))},
    )
    await storage.apply(actor_id, change)


@pytest.mark.kill
async def test_a_backup_of_a_file_in_use_is_whole(tmp_path: Path, child: Child):
    path, backup = tmp_path / "state.db", tmp_path / "backup.db"
    process = child("take_turns", path)
    assert process.stdout is not None
    history = [process.stdout.readline() for _ in range(200)]

    connection = sqlite3.connect(path)
    connection.execute("vacuum into ?", (str(backup),))
    connection.close()

    # It goes on meanwhile, and what was said before is in the backup.
    assert process.stdout.readline()
    process.kill()
    storage = SqliteStateStorage(backup)
    await storage.open(HOST)
    assert await check_history(storage, history) == 200
    await storage.close()
