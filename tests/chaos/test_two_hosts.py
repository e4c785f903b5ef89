"""Two hosts on one file: the death of one does not touch what the other does."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import pytest

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from tests.chaos.driver import HostProcess, KillLoop
from tests.chaos.history import History, Stored, judge, read_all
from tests.chaos.messages import Answered, Ask, Ready, Refused, Release

pytestmark = [
    pytest.mark.kill,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL"),
    pytest.mark.timeout(120),
]

CONVERSATIONS = [ActorId("counter", f"survivor-{n}") for n in range(3)]
OPEN_EACH = 2  # one runs and holds, one waits


def start_holding(path: Path, history: History) -> HostProcess:
    """A host in whose conversations turns run and wait, until it is released."""
    host = HostProcess(partial(SqliteStateStorage, path), history, life=0)
    host.hear_until(Ready)
    for actor_id in CONVERSATIONS:
        for number in range(OPEN_EACH):
            host.send(Ask(actor_id, f"held-{number}", {"hold": True}))
    while not all(asked.acknowledged for asked in history.asked.values()) or (
        sum(len(asked.ran) for asked in history.asked.values()) < len(CONVERSATIONS)
    ):
        assert host.hear(30) is not None
    return host


def read(path: Path, history: History) -> dict[ActorId, Stored]:
    return asyncio.run(read_all(str(path), history))


def test_the_open_turns_of_a_living_host_outlive_the_kills_of_another(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    history = History()
    survivor = start_holding(path, history)

    victims = KillLoop(partial(SqliteStateStorage, path), seed=8)
    victims.run(6)
    meanwhile = read(path, history)
    survivor.send(Release())
    while history.unanswered:
        assert survivor.hear(30) is not None
    survivor.stop()

    for found in meanwhile.values():
        assert [turn.status for turn in found.turns] == ["pending"] * OPEN_EACH
        assert [turn.attempts for turn in found.turns] == [1, 0]
    assert judge(history, read(path, history)) == []
    assert judge(victims.history, read(path, victims.history)) == []
    assert {answer[0] for one in history.asked.values() for answer in one.answers} == {
        RequestStatus.COMPLETED
    }


def test_another_host_is_refused_until_the_owner_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    history = History()
    owner = start_holding(path, history)
    other = HostProcess(partial(SqliteStateStorage, path), history, life=1)
    other.hear_until(Ready)
    actor_id = CONVERSATIONS[0]

    other.send(Ask(actor_id, "early", {}))
    other.hear_until(Refused)
    owner.kill()
    other.send(Ask(actor_id, "late", {}))
    other.hear_until(Answered)
    other.stop()

    refused = history.asked[actor_id, "early"]
    turns = read(path, history)[actor_id].turns
    assert "ActorOwnedElsewhere" in refused.refusals[0]
    assert not refused.ran
    assert [(turn.message_id, turn.status) for turn in turns] == [
        ("held-0", RequestStatus.INTERRUPTED),
        ("held-1", RequestStatus.INTERRUPTED),
        ("late", RequestStatus.COMPLETED),
    ]
    assert history.asked[actor_id, "held-1"].ran == []
