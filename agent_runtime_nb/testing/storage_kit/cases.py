"""`CASES`: the whole storage contract, case by case."""

from types import ModuleType

from agent_runtime_nb.testing.storage_kit import (
    cases_faults,
    cases_life,
    cases_names,
    cases_owners,
    cases_processes,
    cases_state,
    cases_steps,
    cases_turns,
)
from agent_runtime_nb.testing.storage_kit.case import Case


def _cases_of(module: ModuleType) -> list[Case]:
    return [value for value in vars(module).values() if isinstance(value, Case)]


CASES: tuple[Case, ...] = tuple(
    sorted(
        (
            case
            for module in (
                cases_state,
                cases_steps,
                cases_turns,
                cases_owners,
                cases_names,
                cases_life,
                cases_faults,
                cases_processes,
            )
            for case in _cases_of(module)
        ),
        key=lambda case: case.number,
    )
)
"""All cases, by their numbers; the names are different from each other."""
