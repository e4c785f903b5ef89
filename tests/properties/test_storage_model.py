"""Whatever is done to a storage, it does what the model does."""

import pytest
from hypothesis import Phase

from tests.contracts import (
    late_storages as late,
    wrong_reads as reads,
    wrong_storages as wrong,
)
from tests.contracts.state_storages import STORAGES
from tests.contracts.wrapped_storage import WrappedStorage, WrappedSubject
from tests.effort import amount
from tests.properties.storage_machine import drive

EXAMPLES = {
    "cosmos": amount(3, quick=1, long=15),
    "postgres": amount(6, quick=1, long=60),
    "redis": amount(12, quick=1, long=120),
}
"""How many runs a backend gets, if not as many as one without a network."""
OTHERS = amount(20, quick=5, long=200)


@pytest.mark.scales
@pytest.mark.timeout(amount(180, quick=180, long=900))
@pytest.mark.parametrize("name", STORAGES)
def test_a_storage_does_what_the_model_does(
    name: str, request: pytest.FixtureRequest
) -> None:
    examples = EXAMPLES.get(name, OTHERS)

    drive(
        STORAGES[name](request),
        derandomize=True,
        database=None,
        max_examples=examples,
        stateful_step_count=25,
    )


@pytest.mark.parametrize(
    "kind",
    [
        *(reads.AliasingValues, reads.AliasingTurns, reads.StaleReads),
        *(reads.StatesAsFound, reads.PrefixOfStatesIsAPattern, reads.KeysOrPrefix),
        *(wrong.NoVersionCheck, wrong.NoVersionCheckInTurns, wrong.ReusedVersions),
        *(wrong.HalfBatch, wrong.NoTombstone, wrong.NobodyLives),
        *(wrong.NoEpochCheckOnAccept, wrong.NoEpochCheckOnDelete),
        *(wrong.PositionsReusedAfterDelete, wrong.AcceptsTwice),
        *(wrong.EndedArriveOpen, wrong.TrimDropsOpenTurns, wrong.PrefixIsAPattern),
        *(late.CancellingUndoes, late.LastCalledFirst, late.CloseForgets),
    ],
    ids=lambda kind: kind.__name__,
)
def test_a_wrong_storage_does_what_the_model_does_not(
    kind: type[WrappedStorage],
) -> None:
    with pytest.raises(Exception):  # noqa: B017 - some break in the middle of a step
        drive(
            WrappedSubject(kind),
            derandomize=True,
            database=None,
            max_examples=150,
            stateful_step_count=30,
            phases=[Phase.generate],
        )


@pytest.mark.soak
@pytest.mark.parametrize("name", STORAGES)
def test_a_storage_does_what_the_model_does_for_long(
    name: str, request: pytest.FixtureRequest
) -> None:
    examples = 50 * EXAMPLES.get(name, OTHERS)

    drive(STORAGES[name](request), max_examples=examples, stateful_step_count=50)
