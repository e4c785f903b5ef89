"""Two processes on one file that take one conversation from each other, again and again."""

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import RequestStatus
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import Claim, TurnRecord
from tests.fakes import ONE
from tests.faults.conftest import Child
from tests.faults.test_processes import hear, lines_of, say

COMPLETED, INTERRUPTED = RequestStatus.COMPLETED, RequestStatus.INTERRUPTED


async def read(path: Path) -> tuple[Claim, list[TurnRecord]]:
    """What is stored, after a host has dealt with what the last ones left open."""
    storage = SqliteStateStorage(path)
    runtime = InProcessActorRuntime(storage)
    await runtime.start()
    claim = await storage.claim(ONE)
    turns = await storage.read_turns(ONE, limit=1_000_000)
    await runtime.stop()
    return claim, turns


def senders(turns: Iterable[TurnRecord]) -> dict[str, list[int]]:
    """The numbers of each sender's requests, in the order of their turns."""
    found: dict[str, list[int]] = {}
    for turn in turns:
        name, number = turn.message_id.split("-")
        found.setdefault(name, []).append(int(number))
    return found


@pytest.mark.timeout(120)
def test_two_hosts_that_fight_over_one_conversation_lose_no_update_in_1000_turns(
    tmp_path: Path, child: Child
) -> None:
    path = tmp_path / "state.db"
    hosts = [child("fight", path, name, 250) for name in ("a", "b")]
    assert [hear(host) for host in hosts] == ["ready", "ready"]

    for host in hosts:
        say(host, "go")
    said = [line.split() for host in hosts for line in lines_of(host)]
    claim, turns = asyncio.run(read(path))

    told = {message_id: (end, data) for message_id, end, data in filter(is_end, said)}
    of_id = {turn.message_id: turn for turn in turns}
    counts = [int(one.result or b"0") for one in turns if one.status is COMPLETED]
    assert [host.returncode for host in hosts] == [0, 0]
    assert claim.values == {"n": b"1000"}
    assert counts == list(range(1, 1001))
    assert len(of_id) == len(turns)
    assert of_id.keys() == told.keys()
    for message_id, (end, data) in told.items():
        turn = of_id[message_id]
        if end == COMPLETED.value:
            assert (turn.status, turn.result) == (COMPLETED, data.encode())
        else:
            assert turn.status is INTERRUPTED, (turn, end)
    for numbers in senders(turns).values():
        assert numbers == list(range(1, len(numbers) + 1))
    assert claim.epoch > 20, "it was no fight"


def is_end(line: list[str]) -> bool:
    """Whether a host says there how a request ended."""
    return len(line) == 3 and re.fullmatch(r"[ab]\d-\d+", line[0]) is not None
