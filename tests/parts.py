"""A plugin of pytest: `--part 2/3` runs the second of three parts of the test files.

The parts are about equal, and each file is in one: they are dealt like cards, in the
order of their paths. `make quick` runs them side by side.
"""

import functools
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@functools.cache
def files_of(part: int, parts: int) -> frozenset[Path]:
    """The test files of one part; the first is 1."""
    return frozenset(sorted(TESTS.rglob("test_*.py"))[part - 1 :: parts])


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the option."""
    parser.addoption(
        "--part",
        type=part_of,
        metavar="N/M",
        help="run the N-th of M parts of the files",
    )


def part_of(text: str) -> tuple[int, int]:
    """The number of a part, and of how many.

    Raises:
        ValueError: if it names none.
    """
    part, _, parts = text.partition("/")
    if not 1 <= int(part) <= int(parts):
        raise ValueError(text)
    return int(part), int(parts)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over the test files of other parts without importing them."""
    chosen: tuple[int, int] | None = config.getoption("part")
    is_test = collection_path.name.startswith("test_") and collection_path.is_file()
    if chosen is None or not is_test or collection_path in files_of(*chosen):
        return None  # as pytest has it
    return True
