"""Every storage keeps the storage contract."""

import pytest

from agent_runtime_nb.testing.storage_kit import cases_processes
from agent_runtime_nb.testing.storage_kit.case import Case
from agent_runtime_nb.testing.storage_kit.cases import CASES
from agent_runtime_nb.testing.storage_kit.check import run_case
from agent_runtime_nb.testing.storage_kit.subject import StorageUnderTest

# Its cases start programs.
PROCESSES = cases_processes.__name__

LONG = {
    "each_actor_is_listed_once_while_others_come_and_go",
    "what_was_acknowledged_survives_sigkill",
}


@pytest.mark.timeout(0)  # a case has a time limit of its own
@pytest.mark.usefixtures("nothing_to_warn_of")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.process] * (case.call.__module__ == PROCESSES),
        )
        for case in CASES
    ],
)
async def test_the_contract_is_kept(case: Case, kind: StorageUnderTest):
    await run_case(case, kind)


@pytest.mark.soak
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name in LONG],
    ids=lambda case: case.name,
)
async def test_the_contract_is_kept_for_long(case: Case, kind: StorageUnderTest):
    kind.kills, kind.listed = 100, 10_000

    await run_case(case, kind)
