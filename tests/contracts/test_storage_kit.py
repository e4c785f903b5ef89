"""The conformance kit itself: its list, its reports, its skips, its messages."""

import asyncio
import subprocess
import sys

import pytest

from agent_runtime_nb.exceptions import Conflict
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.storage_kit.case import (
    Case,
    CaseKit,
    ContractBroken,
    refused,
    same,
)
from agent_runtime_nb.testing.storage_kit.cases import CASES
from agent_runtime_nb.testing.storage_kit.check import Outcome, check_storage, run_case
from agent_runtime_nb.testing.storage_kit.conformance import StorageConformance
from agent_runtime_nb.testing.storage_kit.subject import (
    MadeBy,
    Skipped,
    StorageUnderTest,
)
from tests.contracts.storage_contract_list import found, listed


class Forgetful(StorageUnderTest):
    """Every storage has data of its own."""

    skips = dict.fromkeys(["one_of_many_first_claims_wins"], "it knows one host only")

    def make(self) -> IActorStateStorage:
        return InMemoryStateStorage()


def case_called(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def test_the_documentation_lists_exactly_the_cases():
    assert found() == listed()


def test_every_promise_has_a_case_and_every_case_a_sentence():
    assert {case.number for case in CASES} == set(range(1, 46))
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in CASES if not case.sentence.endswith(".")] == []


def test_every_case_is_a_test_of_the_class():
    tests = {name for name in dir(StorageConformance) if name.startswith("test_")}

    assert tests == {f"test_{case.name}" for case in CASES}


def test_the_kit_needs_neither_pytest_nor_hypothesis():
    code = (
        "import sys, agent_runtime_nb.testing.storage_kit.conformance;"
        "print({'pytest', 'hypothesis', 'agent_framework'} & {*sys.modules})"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


async def test_a_report_tells_what_failed_what_was_skipped_and_why():
    names = (
        "a_value_is_read_byte_for_byte",
        "take_over_claims_from_a_living_host",
        "one_of_many_first_claims_wins",
        "three_processes_count_together",
    )
    seen: list[Outcome] = []

    report = await check_storage(
        Forgetful(),
        cases=[case_called(name) for name in names],
        on_outcome=seen.append,
    )

    assert seen == report.outcomes
    results = [outcome.result for outcome in report.outcomes]
    assert results == ["passed", "failed", "skipped", "skipped"]
    assert not report.ok
    lines = str(report).splitlines()
    assert lines[0] == "passed    2  a_value_is_read_byte_for_byte"
    assert lines[1].endswith("the new epoch: expected 2, got 1")
    assert lines[2].endswith("one_of_many_first_claims_wins: it knows one host only")
    assert lines[-1] == "1 passed, 1 failed, 2 skipped"


async def test_a_function_that_makes_storages_is_enough():
    first = InMemoryStateStorage()
    cases = [case for case in CASES if case.number < 5]

    report = await check_storage(lambda: InMemoryStateStorage(like=first), cases=cases)

    assert report.ok
    assert len(report.of("passed")) >= 15


async def test_an_error_of_the_storage_is_a_failure_that_names_it():
    async def breaks(kit: CaseKit) -> None:
        await kit.open()
        raise RuntimeError("the disk is on fire")

    case = Case(1, "breaks", "It breaks.", breaks, 5.0)

    report = await check_storage(InMemoryStateStorage, cases=[case])

    assert report.outcomes[0].reason == "RuntimeError: the disk is on fire"


async def test_a_storage_that_hangs_fails_in_time():
    async def hangs(kit: CaseKit) -> None:
        await asyncio.Event().wait()

    case = Case(1, "hangs", "It hangs.", hangs, 0.01)

    report = await check_storage(InMemoryStateStorage, cases=[case])

    assert report.outcomes[0].reason == "it did not end within 0.01 s"


async def test_a_case_cleans_up_though_it_failed():
    first = InMemoryStateStorage()
    made: list[IActorStateStorage] = []

    async def writes_and_breaks(kit: CaseKit) -> None:
        storage = await kit.open()
        made.append(storage)
        for type_name in ("echo", "other"):
            actor_id = kit.actor("c1", type_name)
            await storage.write_state(actor_id, set={"k": b"1"})
        assert len(await kit.actors(storage)) == 2
        raise ContractBroken("on purpose")

    case = Case(1, "breaks", "It breaks.", writes_and_breaks, 5.0)

    with pytest.raises(ContractBroken, match="on purpose"):
        await run_case(case, MadeBy(lambda: InMemoryStateStorage(like=first)))

    reader = CaseKit(MadeBy(lambda: InMemoryStateStorage(like=first)))
    storage = await reader.open()
    assert (await storage.list_actors()).items == ()
    assert len(made) == 1
    await reader.close()


def test_what_differs_is_told_and_long_values_are_cut():
    with pytest.raises(ContractBroken, match=r"^a: expected 2, got 1$"):
        same(1, 2, "a")
    with pytest.raises(ContractBroken, match=r"^b at index 10: expected -1, got 10$"):
        same(list(range(20)), [*range(10), -1, *range(11, 20)], "b")
    with pytest.raises(ContractBroken, match=r"^c, how many there are: .* 19, got 20$"):
        same(list(range(20)), list(range(19)), "c")
    with pytest.raises(ContractBroken, match=r"\(1003 characters\)$"):
        same(b"x" * 1000, b"", "d")


def test_a_refusal_has_to_come_and_to_be_the_expected_one():
    not_raised = pytest.raises(ContractBroken, match="Conflict was not raised")
    with not_raised, refused("a write", Conflict):
        pass
    another = pytest.raises(ContractBroken, match=r"was expected, KeyError\(1\)")
    with another, refused("a write", Conflict):
        raise KeyError(1)
    with pytest.raises(KeyboardInterrupt), refused("a write", Conflict):
        raise KeyboardInterrupt


def test_a_skipped_case_is_known_to_unittest_and_pytest():
    with pytest.raises(Skipped, match="recipe"):
        Forgetful().recipe()
