"""Tests have the markers of what they start: seen in a run of pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

PYTEST = (sys.executable, "-m", "pytest")
ROOT = Path(__file__).resolve().parent.parent

MADE = """
import pytest

@pytest.fixture(scope="session")
def postgres_server(): return "a server"

@pytest.fixture
def place(postgres_server): return postgres_server

def test_asks(postgres_server): pass
def test_asks_for_what_needs_it(place): pass
def test_hides(request): request.getfixturevalue("postgres_server")
def test_starts_nothing(): pass

@pytest.mark.parametrize("name", ["memory", "postgres"])
def test_of_several(name, request):
    if name == "postgres":
        request.getfixturevalue("postgres_server")
"""


def run_tests(folder: Path, expression: str) -> list[str]:
    """What became of the tests that the expression chooses, line by line."""
    (folder / "test_made.py").write_text(MADE)
    (folder / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  external_service\n  postgres\n"
    )
    done = subprocess.run(
        [*PYTEST, "-p", "tests.markers", "-q", "-rA", "-m", expression],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    found = [line.replace("test_made.py::", "") for line in done.stdout.splitlines()]
    results = [line for line in found if line.startswith(("PASSED", "FAILED", "ERROR"))]
    return sorted(line.partition(" - ")[0] for line in results)


def test_what_uses_a_server_is_chosen_by_its_markers(tmp_path: Path) -> None:
    found = run_tests(tmp_path, "external_service and postgres")

    assert found == [
        "PASSED test_asks",
        "PASSED test_asks_for_what_needs_it",
        "PASSED test_of_several[postgres]",
    ]


def test_a_test_that_hides_the_server_it_uses_fails(tmp_path: Path) -> None:
    found = run_tests(tmp_path, "not external_service")

    assert found == [
        "FAILED test_hides",
        "PASSED test_of_several[memory]",
        "PASSED test_starts_nothing",
    ]
