"""The list of threats names tests that are there; and some of them."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime_nb.http_api.server import EmbeddedServer

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "http-security.md"
ROWS = [*(f"T{n}" for n in range(1, 11)), "T14", "T17", "T19", "T20", "T25"]


def names_of_tests() -> set[str]:
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    return found


def test_every_threat_names_tests_that_exist():
    text = PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| T")]

    known = names_of_tests()
    assert [line.split()[1] for line in rows] == ROWS
    for line in rows:
        named = set(re.findall(r"`(test_\w+)`", line))
        assert named, line
        assert named <= known


def test_no_module_of_the_package_reads_a_pickle():
    readers = re.compile(
        r"\b(pickle|marshal|shelve|dill|cloudpickle)\.(load|loads|open)\b"
    )
    package = ROOT / "agent_runtime_nb"

    found = [
        path.name
        for path in package.rglob("*.py")
        if readers.search(path.read_text(encoding="utf-8"))
    ]

    assert found == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another"
)
def test_another_user_of_the_machine_needs_the_token(server: EmbeddedServer):
    script = (
        "import http.client, os, sys\n"
        "def ask():\n"
        "    place = '127.0.0.1', int(sys.argv[1])\n"
        "    connection = http.client.HTTPConnection(*place, timeout=10)\n"
        "    connection.request('GET', '/agents')\n"
        "    return connection.getresponse().status\n"
        # First as root: that user may not be able to read where Python is installed,
        # and something may be loaded as late as this.
        "ask()\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print(os.getuid(), ask())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, server.url.rpartition(":")[2]],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert done.stdout.split() == ["65534", "401"]
