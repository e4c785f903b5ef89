"""`--part N/M` of pytest deals the test files."""

from collections import Counter
from pathlib import Path

import pytest

from tests.parts import TESTS, files_of, part_of


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_test_file_is_in_exactly_one_part(parts: int) -> None:
    dealt = Counter(
        path for part in range(1, parts + 1) for path in files_of(part, parts)
    )

    assert set(dealt) == set(TESTS.rglob("test_*.py"))
    assert set(dealt.values()) == {1}
    assert Path(__file__) in dealt


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "x/3", "1/0"])
def test_what_names_no_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        part_of(text)


def test_a_part_is_named_by_its_number_and_how_many_there_are() -> None:
    assert part_of("2/3") == (2, 3)
