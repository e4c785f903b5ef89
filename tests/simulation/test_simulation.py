"""The promises P1 to P7 in simulated worlds, and that broken copies are found there.

A seed that finds something prints its trace; `python -m tests.simulation SEED` runs it
again.
"""

import pytest

from agent_runtime_nb.runtime.cell import ActorCell
from tests.effort import amount
from tests.simulation.broken import (
    BROKEN_ACTORS,
    BROKEN_STORAGES,
    RUNS_BY_ITSELF,
    plant,
)
from tests.simulation.scenario import Outcome, simulate_seed
from tests.simulation.world import Parts

SEEDS = amount(500, quick=20, long=5_000)
SOAK_SEEDS = 50_000
WITHIN = 500  # so many seeds a broken copy must be found
_BATCH = 50


pytestmark = pytest.mark.usefixtures("_quiet")


@pytest.fixture
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    # The runtime logs each failure, and here they are thousands.
    caplog.set_level("CRITICAL", "agent_runtime_nb")


def check(seeds: range) -> None:
    """Fail with the trace of the first seed that finds something."""
    for seed in seeds:
        outcome = simulate_seed(seed)
        if outcome.findings:
            pytest.fail(outcome.report(), pytrace=False)


def batches(first: int, last: int, size: int) -> list[range]:
    return [range(start, min(start + size, last)) for start in range(first, last, size)]


def first_to_find(kinds: set[str], parts: Parts) -> Outcome | None:
    """The first of 500 seeds that finds one of these, among whatever else."""
    for seed in range(WITHIN):
        outcome = simulate_seed(seed, parts)
        if kinds & {finding.kind for finding in outcome.findings}:
            return outcome
    return None


@pytest.mark.scales
@pytest.mark.parametrize("seeds", batches(0, SEEDS, _BATCH), ids=str)
def test_every_promise_is_kept_in_simulated_worlds(seeds: range) -> None:
    check(seeds)


@pytest.mark.soak
@pytest.mark.parametrize("seeds", batches(0, SOAK_SEEDS, 500), ids=str)
def test_every_promise_is_kept_in_50_000_simulated_worlds(seeds: range) -> None:
    check(seeds)


# What each broken copy is bound to show; it may show more.
_SHOWN = {
    "acknowledges before it inserts": {"lost"},
    "has no fence": {"state"},
    "counts no attempt": {"not counted"},
    "gives a known id a second answer": {"two answers"},
    "loses a wake-up": {"starved"},
    "does not shield the commit": {"two answers"},
    "overwrites marks": {"unmarked"},
}


@pytest.mark.parametrize("name", BROKEN_STORAGES)
def test_the_simulation_finds_a_storage_that(name: str) -> None:
    outcome = first_to_find(_SHOWN[name], Parts(wrap=BROKEN_STORAGES[name]))

    assert outcome is not None, f"none of {WITHIN} seeds found a storage that {name}"


@pytest.mark.parametrize("name", BROKEN_ACTORS)
def test_the_simulation_finds_a_runtime_that(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, BROKEN_ACTORS[name])

    outcome = first_to_find(_SHOWN[name], Parts())

    assert outcome is not None, f"none of {WITHIN} seeds found a runtime that {name}"


def test_a_bug_that_overrides_what_is_not_there_cannot_be_planted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Outdated(ActorCell):
        def a_method_of_yesterday(self) -> None: ...

    with pytest.raises(LookupError, match="a_method_of_yesterday"):
        plant(monkeypatch, Outdated)


def test_the_simulation_finds_a_runtime_that_runs_interrupted_turns_by_itself() -> None:
    outcome = first_to_find({"ran by itself"}, RUNS_BY_ITSELF)

    assert outcome is not None


def test_a_seed_gives_the_same_world_each_time() -> None:
    first = list(simulate_seed(7).history.lines())

    again = list(simulate_seed(7).history.lines())

    assert len(first) > 20
    assert again == first


def test_seeds_reach_what_they_are_there_for() -> None:
    traces = [
        line for seed in range(120) for line in simulate_seed(seed).history.lines()
    ]

    seen = "\n".join(traces)

    for word in _REACHED:
        assert word in seen, word


_REACHED = [
    "is killed",
    "stops, drain",
    "storage is down",
    "StaleEpoch",
    "ActorOwnedElsewhere",
    "OutcomeUnknown",
    "MailboxFull",
    "ActorBusy",
    "DeadlineExceeded",
    "NotCompleted",
    "is completed",
    "is failed",
    "is cancelled",
    "is interrupted",
    "cannot use",
    "tells",
    "asks",
    "DeadlockDetected",
    "ActorQuarantined",
    "has requeued",
]
