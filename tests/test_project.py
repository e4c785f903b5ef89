"""Rules about the repository itself that no linter knows."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WALL = 600
RULE = 400

# Files over the rule, each with its reason; none may pass the wall.
LONG_FILES: dict[str, str] = {
    "agent_runtime_nb/runtime/activation.py": "one class: what an actor may do in a turn",
    "agent_runtime_nb/exceptions.py": "the whole tree of errors",
    "agent_runtime_nb/http_client/client.py": "a client and its directory, a line a verb",
    "agent_runtime_nb/http_api/server.py": "one server: its thread, its life, its addresses",
    "agent_runtime_nb/notebook/runtime.py": "one class: what a notebook holds",
    "agent_runtime_nb/runtime/catalog.py": "one class: all actors in memory",
    "agent_runtime_nb/runtime/ownership.py": "one class: claims and what is lost with them",
    "agent_runtime_nb/runtime/runtime.py": "one class: life, and what clients call",
    "agent_runtime_nb/runtime_abstractions.py": "interfaces, most of it their contracts",
    "agent_runtime_nb/storage/memory.py": "one backend, eleven verbs",
    "tests/http_api/test_tickets.py": "one row of the guard: all that a ticket must not do",
    "tests/notebook/test_runtime.py": "all that start() gives",
    "tests/properties/test_client_model.py": "one machine: the client and its model",
    "tests/storage/test_sqlite.py": "all that is special to one backend",
    "tests/agents/test_actor.py": "one turn of an agent, three lines over",
    "tests/storage/children.py": "all that these tests run in processes of their own",
    "tests/storage/test_sqlite_locks.py": "one subject: open files and who touches them",
    "tools/architecture.py": "a script that stands alone: six rules, a function each",
}

_VIRTUAL = "the clock is a simulated one: no second passes"

# Tests that wait by the clock, each with its reason.
SLEEPERS: dict[str, str] = {
    "tests/http_api/test_in_jupyter.py": "a cell that blocks its kernel's loop",
    "tests/properties/test_client_model.py": _VIRTUAL,
    "tests/runtime/test_stops.py": _VIRTUAL,
    "tests/simulation/actors.py": _VIRTUAL,
    "tests/simulation/scenario.py": _VIRTUAL,
    "tests/simulation/senders.py": _VIRTUAL,
    "tests/simulation/test_requeue.py": _VIRTUAL,
    "tests/simulation/world.py": _VIRTUAL,
    "tests/testing/test_faulty_storage.py": _VIRTUAL,
    "tests/testing/test_simulated_loop.py": _VIRTUAL,
    "tests/widgets/test_frozen_by_program.py": "a cell that looks for a copy, bounded",
}

SOURCES = {".css", ".mjs", ".py", ".pyi", ".ts", ".tsx"}
BINARIES = {".db", ".gif", ".ico", ".jpg", ".png", ".svg", ".webp"}

# Written in pieces, so that this file passes its own test.
FORBIDDEN = {
    "a package registry's host": "|".join(
        [r"registry\.npm" + "js", r"pypi\." + "org", "files.python" + "hosted"]
    ),
    "a path of one machine": "|".join(
        r"(?<![\w.])/" + path
        for path in ("work/", "tmp/", "root/", "opt/", r"home/\w+/", r"Users/\w+/")
    ),
}


def project_files() -> Iterator[Path]:
    """Everything that is not ignored by git; works where there is no git, too."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    ignored = {Path(line).name for line in lines if line.endswith("/")} | {".git"}
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if name not in ignored]
        # In a worktree of git `.git` is a file.
        yield from (Path(folder, name) for name in names if name not in ignored)


def read_json(name: str) -> dict[str, Any]:
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))


def test_no_source_file_is_over_the_wall_and_long_ones_are_named() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines())
        for path in project_files()
        if path.suffix in SOURCES
    }

    over_the_rule = {name for name, length in lengths.items() if length > RULE}
    over_the_wall = {name for name, length in lengths.items() if length > WALL}

    assert over_the_wall == set()
    assert over_the_rule == set(LONG_FILES)
    assert all(LONG_FILES.values())


def test_no_file_names_a_registry_host_or_a_path_of_one_machine() -> None:
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in project_files()
        if path.suffix not in BINARIES
    }

    found = [
        f"{name}: {what}: {match[0]}"
        for name, text in texts.items()
        for what, pattern in FORBIDDEN.items()
        for match in re.finditer(pattern, text)
    ]

    assert len(texts) > 20
    assert found == []


def test_constraints_pin_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    strange = [
        line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!]+( ; .+)?", line)
    ]

    assert len(lines) > 100
    assert strange == []


def test_constraints_cover_every_direct_dependency() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines}
    extras = settings["project"]["optional-dependencies"]
    groups = settings["dependency-groups"]
    wanted = [*settings["project"]["dependencies"], *extras["http"], *extras["lab"]]
    wanted += [
        need
        for group in groups.values()
        for need in group
        if "include" not in str(need)
    ]

    names = {re.split(r"[\[<>=~!; ]", need)[0] for need in wanted}

    assert names - pinned - {"agent-runtime-nb"} == set()


def test_npm_lock_has_no_addresses_and_every_platforms_binaries() -> None:
    packages = read_json("widgets/package-lock.json")["packages"]

    with_address = [name for name, entry in packages.items() if "resolved" in entry]
    optional = {
        f"node_modules/{name}"
        for entry in packages.values()
        for name in entry.get("optionalDependencies", {})
    }

    assert with_address == []
    assert optional - set(packages) == set()
    assert any("win32" in name for name in optional)


def test_npm_packages_are_pinned_exactly() -> None:
    package = read_json("widgets/package.json")

    versions = package["dependencies"] | package["devDependencies"]

    assert len(versions) > 5
    assert [v for v in versions.values() if not re.fullmatch(r"\d+\.\d+\.\d+", v)] == []


def test_every_make_target_that_the_readme_names_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```.*?```|`[^`]+`", readme, re.DOTALL)

    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(code)))

    assert {"lab", "test"} <= named
    assert named - make_targets() == set()


def test_changelog_begins_with_the_unreleased_or_the_current_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    root = (ROOT / "agent_runtime_nb" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "([^"]+)"$', root, re.MULTILINE)

    newest = re.search(r"^## \[?([^\]\s]+)", changelog, re.MULTILINE)

    assert version is not None
    assert newest is not None
    assert newest[1] in {"Unreleased", version[1]}


def test_binder_installs_the_repository_with_the_pinned_versions_and_nothing_else() -> (
    None
):
    folder = ROOT / "binder"

    lines = (folder / "requirements.txt").read_text(encoding="utf-8").split("\n")

    assert lines == ["-c ../constraints.txt", ".[lab]", ""]
    assert re.fullmatch(r"python-3\.1[1-9]\n", (folder / "runtime.txt").read_text())
    assert {path.name for path in folder.iterdir()} <= {
        "requirements.txt",
        "runtime.txt",
        "jupyter_server_config.json",
        "start",
    }


def test_no_test_waits_by_the_clock() -> None:
    sleep = re.compile(r"\btime\.sleep\(|\basyncio\.sleep\((?!0\))|wait_for_timeout\(")
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]

    found = {
        path.relative_to(ROOT).as_posix()
        for path in tests
        if sleep.search(path.read_text(encoding="utf-8"))
    }

    assert found == set(SLEEPERS)
