"""`check_storage`: the storage contract run on a backend, without pytest.

`run_case` runs one case and lets its error through; `check_storage` runs all and
reports. Both clean up behind themselves: of each actor of a case stays what the
contract keeps of a deleted one, its epoch.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from agent_runtime_nb.exceptions import reason_of
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.storage_kit.case import Case, CaseKit, ContractBroken
from agent_runtime_nb.testing.storage_kit.cases import CASES
from agent_runtime_nb.testing.storage_kit.subject import (
    MadeBy,
    Skipped,
    StorageUnderTest,
)

Result = Literal["passed", "failed", "skipped"]

_CLEANING = 60.0  # seconds


@dataclass(frozen=True)
class Outcome:
    """How a case went; `reason` is empty if it passed."""

    case: Case
    result: Result
    reason: str
    seconds: float

    def __str__(self) -> str:
        line = f"{self.result:8}{self.case.number:3}  {self.case.name}"
        return f"{line}: {self.reason}" if self.reason else line


@dataclass(frozen=True)
class Report:
    """How all cases went, in the order in which they ran."""

    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    @property
    def ok(self) -> bool:
        """Whether none failed."""
        return not self.of("failed")

    def of(self, result: Result) -> list[Outcome]:
        """The outcomes with one result."""
        return [one for one in self.outcomes if one.result == result]

    def __str__(self) -> str:
        counts = ", ".join(
            f"{len(self.of(result))} {result}"
            for result in ("passed", "failed", "skipped")
        )
        return "\n".join([*map(str, self.outcomes), counts])


async def run_case(case: Case, subject: StorageUnderTest) -> None:
    """Run one case.

    Raises:
        ContractBroken: if the backend does not do what the case says.
        Skipped: if the backend cannot be asked.
        Exception: whatever the storage has raised beside the contract.
    """
    if reason := subject.skips.get(case.name):
        raise Skipped(reason)
    kit = CaseKit(subject)
    limit = asyncio.timeout(case.timeout)
    try:
        async with limit:
            await case.call(kit)
    except TimeoutError:
        if not limit.expired():
            raise
        raise ContractBroken(f"it did not end within {case.timeout:g} s") from None
    finally:
        async with asyncio.timeout(_CLEANING):
            await kit.close()


async def check_storage(
    storage: Callable[[], IActorStateStorage] | StorageUnderTest,
    *,
    on_outcome: Callable[[Outcome], None] | None = None,
    cases: Iterable[Case] = CASES,
) -> Report:
    """Run the storage contract on a backend, on data that may be in use.

    Args:
        storage: a function that makes storages on the same data, or all that is known
            of the backend.
        on_outcome: called after each case.
        cases: the cases to run.
    """
    subject = storage if isinstance(storage, StorageUnderTest) else MadeBy(storage)
    report = Report()
    for case in cases:
        outcome = await _outcome_of(case, subject)
        report.outcomes.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
    return report


async def _outcome_of(case: Case, subject: StorageUnderTest) -> Outcome:
    result: Result = "passed"
    reason = ""
    start = time.perf_counter()
    try:
        await run_case(case, subject)
    except Skipped as error:
        result, reason = "skipped", reason_of(error)
    except ContractBroken as error:
        result, reason = "failed", reason_of(error)
    except Exception as error:
        result, reason = "failed", f"{type(error).__name__}: {reason_of(error)}"
    return Outcome(case, result, reason, time.perf_counter() - start)
