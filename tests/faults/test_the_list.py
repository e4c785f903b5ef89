"""The page of faults is whole, and the oracle of their tests finds what is wrong."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.runtime_abstractions import ActorRequestMessage
from tests.fakes import ONE, echo
from tests.faults.conftest import Begin
from tests.faults.oracle import SECRET
from tests.test_promises import ROOT, existing_tests, named_tests

PAGE = ROOT / "docs" / "faults.md"
WANTED = [*range(3, 11), *range(18, 23), 24, *range(28, 35)]


def rows() -> dict[str, str]:
    """The line of each fault."""
    found = re.findall(r"^\| (F\d+) \|(.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    return dict(found)


def test_every_fault_of_the_list_has_a_row_with_tests_that_exist() -> None:
    found = rows()

    assert list(found) == [f"F{number}" for number in WANTED]
    named = {name: named_tests(row) for name, row in found.items()}
    assert [name for name, tests in named.items() if not tests] == []
    every = {test for tests in named.values() for test in tests}
    assert every - existing_tests() == set()


def test_every_fault_is_tested_with_the_oracle_or_by_the_kill_loop() -> None:
    folder = ROOT / "tests" / "faults"
    files = set(folder.glob("test_*.py")) - {Path(__file__)}
    sources = [path.read_text(encoding="utf-8") for path in files]
    numbers = {one for text in sources for one in re.findall(r"\bF\d+\b", text)}

    assert rows().keys() - numbers == {"F22"}  # tests/chaos has a judge of its own


# --- what the oracle finds


async def test_the_oracle_finds_a_state_that_is_not_the_number_of_turns(
    begin: Begin,
) -> None:
    world = await begin()
    await world.ask()
    found = await world.storage.read_state(ONE)
    await world.storage.write_state(ONE, set={"n": b"7"}, etag=found.etag)

    with pytest.raises(AssertionError, match="7 of 1 turns"):
        await world.judge(same_actor=None)


async def test_the_oracle_finds_a_turn_that_is_told_otherwise_than_it_is_stored(
    begin: Begin,
) -> None:
    world = await begin()
    first = await world.send("one", message_id="m-1")
    await world.ask("two", message_id="m-2")
    world.accepted[ONE, "m-2"] = first

    with pytest.raises(AssertionError, match="two answers"):
        await world.judge()


async def test_the_oracle_finds_runs_out_of_order_and_runs_that_were_not_counted(
    begin: Begin,
) -> None:
    world = await begin()
    await world.ask(message_id="m-1")
    await world.ask(message_id="m-2")

    for runs, problem in (
        (["m-2", "m-1"], "order"),
        (["m-1", "m-1", "m-2"], "not counted"),
    ):
        world.ran[ONE] = runs
        with pytest.raises(AssertionError, match=problem):
            await world.judge(same_actor=None)


async def test_the_oracle_finds_who_is_never_answered(begin: Begin) -> None:
    world = await begin(patience=0.05)

    async def never(*_: Any) -> Any:
        await world.runtime.loop.create_future()

    world.handle = never
    await world.send()

    with pytest.raises(TimeoutError):
        await world.judge(same_actor=None)


@pytest.mark.parametrize(
    "said", ["worker/one failed in m-2", f"worker/one failed in m-1 with {SECRET}"]
)
async def test_the_oracle_finds_errors_too_many_and_secrets_in_the_log(
    begin: Begin, said: str
) -> None:
    async def fails(_: Any, message: ActorRequestMessage) -> Any:
        raise ValueError(message.message_id)

    world = await begin(fails)
    await world.ask(message_id="m-1")
    world.handle = echo
    await world.judge("m-1", same_actor=None)

    level = logging.WARNING if SECRET in said else logging.ERROR
    logging.getLogger("agent_runtime_nb").log(level, said)

    with pytest.raises(AssertionError):
        await world.judge("m-1", same_actor=None)


async def test_the_oracle_finds_an_error_that_nobody_logged(begin: Begin) -> None:
    world = await begin()

    with pytest.raises(AssertionError, match="m-1"):
        await world.judge("m-1")
