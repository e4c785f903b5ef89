"""The page of promises names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "promises.md"


def existing_tests() -> set[str]:
    sources = (
        path.read_text(encoding="utf-8")
        for path in Path(__file__).parent.rglob("test_*.py")
    )
    return {name for text in sources for name in re.findall(r"def (test_\w+)", text)}


def named_tests(text: str) -> list[str]:
    return re.findall(r"`(test_\w+)`", text)


def test_every_test_that_the_promises_name_exists() -> None:
    named = set(named_tests(PAGE.read_text(encoding="utf-8")))

    assert len(named) > 30
    assert named - existing_tests() == set()


def test_each_promise_has_its_limit_and_its_tests() -> None:
    page = PAGE.read_text(encoding="utf-8")

    rows = [line.split("|") for line in page.splitlines() if line.startswith("| **P")]

    assert [row[1].split("**")[1] for row in rows] == [f"P{n}" for n in range(1, 8)]
    for _, _, promise, limit, proof, _ in rows:
        assert promise.strip()
        assert limit.strip()
        assert len(named_tests(proof)) >= 3
