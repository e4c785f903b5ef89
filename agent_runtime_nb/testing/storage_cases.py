"""`CASES`: the whole storage contract, case by case."""

from types import ModuleType

from agent_runtime_nb.testing import (
    storage_cases_faults,
    storage_cases_life,
    storage_cases_names,
    storage_cases_owners,
    storage_cases_processes,
    storage_cases_state,
    storage_cases_steps,
    storage_cases_turns,
)
from agent_runtime_nb.testing.storage_case import Case


def _cases_of(module: ModuleType) -> list[Case]:
    return [value for value in vars(module).values() if isinstance(value, Case)]


CASES: tuple[Case, ...] = tuple(
    sorted(
        (
            case
            for module in (
                storage_cases_state,
                storage_cases_steps,
                storage_cases_turns,
                storage_cases_owners,
                storage_cases_names,
                storage_cases_life,
                storage_cases_faults,
                storage_cases_processes,
            )
            for case in _cases_of(module)
        ),
        key=lambda case: case.number,
    )
)
"""All cases, by their numbers; the names are different from each other."""
