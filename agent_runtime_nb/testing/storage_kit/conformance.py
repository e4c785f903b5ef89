"""`StorageConformance`: the storage contract as a class of tests.

    class TestMine(StorageConformance):
        def make(self):
            return MyStorage("a folder")

Each case is one test method, for pytest or whoever else runs methods called `test_...`;
nothing but the standard library is needed.
"""

import asyncio
from collections.abc import Callable

from agent_runtime_nb.testing.storage_kit.case import Case
from agent_runtime_nb.testing.storage_kit.cases import CASES
from agent_runtime_nb.testing.storage_kit.check import run_case
from agent_runtime_nb.testing.storage_kit.subject import StorageUnderTest


class StorageConformance(StorageUnderTest):
    """Derive from it, override `make`, and what else the backend can be asked."""


def _method(case: Case) -> Callable[[StorageConformance], None]:
    def test(self: StorageConformance) -> None:
        asyncio.run(run_case(case, self))

    test.__name__ = f"test_{case.name}"
    test.__qualname__ = f"{StorageConformance.__name__}.{test.__name__}"
    test.__doc__ = case.sentence
    return test


for _case in CASES:
    setattr(StorageConformance, f"test_{_case.name}", _method(_case))
