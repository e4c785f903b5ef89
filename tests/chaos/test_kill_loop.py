"""What survives SIGKILL, judged by a history that is kept outside; and that the judge sees it."""

import asyncio
import logging
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.supervision import OnInterrupted, RestartPolicy
from tests.chaos.broken import AcknowledgesFirst, AnswersFirst, LateStorage
from tests.chaos.driver import PATIENCE, AimedKillLoop, KillLoop
from tests.chaos.history import Finding, History, judge, read_all
from tests.chaos.host import MakeStorage
from tests.chaos.kill_points import Place, targets_of

log = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.kill,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL"),
]


def run_loop(
    make_storage: MakeStorage,
    path: Path,
    *,
    seed: int,
    kills: int,
    patience: float = PATIENCE,
    on_interrupted: OnInterrupted = "ask",
) -> list[Finding]:
    """What the judge finds; the loop must have been worth it."""
    loop = KillLoop(
        make_storage, seed=seed, patience=patience, on_interrupted=on_interrupted
    )
    loop.run(kills)
    most_runs = RestartPolicy().max_attempts if on_interrupted == "rerun" else 1

    stored = asyncio.run(read_all(str(path), loop.history))
    statuses = Counter(turn.status for found in stored.values() for turn in found.turns)
    tell(loop.history, statuses)
    assert loop.history.kills == kills
    assert statuses[RequestStatus.COMPLETED] > kills
    return judge(loop.history, stored, most_runs=most_runs)


def tell(history: History, statuses: Counter[RequestStatus]) -> None:
    """What came of a loop, with the share of turns that ran more than once."""
    begun = [len(asked.ran) for asked in history.asked.values() if asked.ran]
    again = sum(runs > 1 for runs in begun)
    words = ", ".join(f"{count} {status.value}" for status, count in statuses.items())
    log.info(
        "%s kills, %s asked: %s; %s of %s turns ran more than once (%.1f %%)",
        history.kills,
        len(history.asked),
        words,
        again,
        len(begun),
        100 * again / max(len(begun), 1),
    )


@pytest.mark.timeout(180)
def test_25_kills_lose_no_request_and_give_none_two_answers(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    findings = run_loop(partial(SqliteStateStorage, path), path, seed=25, kills=25)

    assert findings == []


@pytest.mark.timeout(180)
def test_what_25_kills_left_runs_again_and_takes_effect_once(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    findings = run_loop(
        partial(SqliteStateStorage, path),
        path,
        seed=26,
        kills=25,
        on_interrupted="rerun",
    )

    assert findings == []


KEPT: dict[Place, RequestStatus] = {
    "before": RequestStatus.INTERRUPTED,
    "between": RequestStatus.COMPLETED,
    "after": RequestStatus.COMPLETED,
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("place", KEPT)
def test_a_kill_around_a_commit_leaves_it_whole_or_not_there(
    tmp_path: Path, place: Place
) -> None:
    path = tmp_path / "state.db"
    loop = AimedKillLoop(path, place, seed=3)

    loop.run(8)

    stored = asyncio.run(read_all(str(path), loop.history))
    targets = [line.split() for line in targets_of(path).read_text().splitlines()]
    turns = [
        next(turn for turn in found.turns if turn.position == int(position))
        for name, position in targets
        for found in [stored[ActorId.parse(name)]]
    ]
    assert loop.missed == 0
    assert [turn.status for turn in turns] == [KEPT[place]] * 8
    assert judge(loop.history, stored) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_500_kills_lose_no_request_and_give_none_two_answers(
    tmp_path: Path, seed: int
) -> None:
    synchronous = "FULL" if seed % 2 else "NORMAL"
    path = tmp_path / "state.db"
    make_storage = partial(SqliteStateStorage, path, synchronous=synchronous)

    findings = run_loop(
        make_storage,
        path,
        seed=seed,
        kills=25,
        on_interrupted="rerun" if seed % 4 > 1 else "ask",
    )

    assert findings == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("broken", "kind"), [(AcknowledgesFirst, "lost"), (AnswersFirst, "count")]
)
def test_the_judge_finds_what_a_broken_storage_does(
    tmp_path: Path, broken: type[LateStorage], kind: str
) -> None:
    found: set[str] = set()

    for seed in (5, 6, 7):  # where a kill strikes is up to the machine
        if kind not in found:
            path = tmp_path / f"{seed}.db"
            make_storage = partial(broken, path)
            findings = run_loop(make_storage, path, seed=seed, kills=8, patience=2.0)
            found |= {finding.kind for finding in findings}

    assert kind in found
