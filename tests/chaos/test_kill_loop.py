"""What survives SIGKILL, judged by a witness outside; and that the judge sees it."""

import asyncio
import logging
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
)
from agent_runtime_nb.storage.sqlite import SqliteStateStorage
from tests.chaos.broken import AcknowledgesFirst, AnswersFirst, LateStorage
from tests.chaos.driver import PATIENCE, KillLoop
from tests.chaos.witness import Finding, judge, read_all

log = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.kill,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL"),
]


def run_loop(
    storage: SqliteStateStorage, *, seed: int, kills: int, patience: float = PATIENCE
) -> list[Finding]:
    """What the judge finds; the loop must have been worth it."""
    loop = KillLoop(storage, seed=seed, patience=patience)
    loop.run(kills)

    stored = asyncio.run(read_all(storage.location, loop.witness))
    statuses = Counter(turn.status for found in stored.values() for turn in found.turns)
    log.info("%s kills, %s asked, %s", kills, len(loop.witness.asked), statuses)
    assert loop.witness.kills == kills
    assert statuses[RequestStatus.COMPLETED] > kills
    return judge(loop.witness, stored)


@pytest.mark.timeout(180)
def test_25_kills_lose_no_request_and_give_none_two_answers(tmp_path: Path) -> None:
    storage = SqliteStateStorage(tmp_path / "state.db")

    findings = run_loop(storage, seed=25, kills=25)

    assert findings == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_500_kills_lose_no_request_and_give_none_two_answers(
    tmp_path: Path, seed: int
) -> None:
    synchronous = "FULL" if seed % 2 else "NORMAL"
    storage = SqliteStateStorage(tmp_path / "state.db", synchronous=synchronous)

    findings = run_loop(storage, seed=seed, kills=25)

    assert findings == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("broken", "kind"), [(AcknowledgesFirst, "lost"), (AnswersFirst, "count")]
)
def test_the_judge_finds_what_a_broken_storage_does(
    tmp_path: Path, broken: type[LateStorage], kind: str
) -> None:
    storage = broken(tmp_path / "state.db")

    findings = run_loop(storage, seed=5, kills=8, patience=2.0)

    assert kind in {finding.kind for finding in findings}
