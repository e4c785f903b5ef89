"""The programs behind `make` say in words what is wrong."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import chromium, setup_env


def make_program(path: Path, exit_code: int) -> str:
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_is_too_old_is_told_which_one_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(setup_env, "OLDEST", (4, 7))

    with pytest.raises(setup_env.SetupError, match=r"Python 4\.7 or newer is needed"):
        setup_env.check_python()


def test_a_command_that_fails_ends_the_setup_with_its_complaint() -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]

    with pytest.raises(setup_env.SetupError, match="the disk is full"):
        setup_env.run(command, "the disk is full")


def test_an_environment_made_in_another_folder_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stamp = tmp_path / ".setup"
    monkeypatch.setattr(setup_env, "STAMP", stamp)

    stamp.write_text(setup_env.wanted())
    here = setup_env.is_moved()
    stamp.write_text("/elsewhere/.venv\nabc\n")
    elsewhere = setup_env.is_moved()

    assert (here, elsewhere) == (False, True)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
class TestChromium:
    def test_the_one_in_the_variable_comes_first(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        named = make_program(tmp_path / "mine", 0)
        make_program(tmp_path / "chromium", 0)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv(chromium.VARIABLE, named)

        assert chromium.find_chromium() == named

    def test_a_name_in_the_variable_that_does_not_start_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        broken = make_program(tmp_path / "mine", 1)
        monkeypatch.setenv(chromium.VARIABLE, broken)

        with pytest.raises(FileNotFoundError, match="names no Chromium that starts"):
            chromium.find_chromium()

    def test_a_stand_in_on_the_path_that_does_not_start_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        make_program(tmp_path / "chromium-browser", 1)
        real = make_program(tmp_path / "google-chrome", 0)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv(chromium.VARIABLE, raising=False)

        assert chromium.find_chromium() == real


def test_every_target_of_the_makefile_is_explained_in_its_help() -> None:
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run(
        ["/usr/bin/env", "make", "help"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )

    targets = ("lab", "quick", "test", "test-long", "soak", "check", "fix", "build")
    for target in (*targets, "bench", "clean"):
        assert f"make {target} " in listed.stdout


def chosen_by(target: str) -> str:
    """The expression of markers by which a target chooses its tests."""
    root = Path(__file__).resolve().parent.parent
    shown = subprocess.run(
        ["/usr/bin/env", "make", "--no-print-directory", "-n", target, "ARGS="],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    (expression,) = re.findall(r'-m "(.*?)"', shown.stdout)
    return expression


def is_chosen(expression: str, markers: set[str]) -> bool:
    names = {name: name in markers for name in re.findall(r"\w+", expression)}
    return eval(expression, {}, names)  # noqa: S307 - pytest's expressions are Python's


_PARTS = ("python", "programs", "browser", "postgres", "servers")
_MARKERS = ("browser", "external_service", "kill", "notebook", "postgres", "process")


def test_every_test_is_in_exactly_one_part_of_make_test_and_quick_in_one() -> None:
    parts = {name: chosen_by(f"test-{name}") for name in _PARTS}
    quick = chosen_by("quick-1")

    for some in itertools.product((False, True), repeat=len(_MARKERS)):
        markers = set(itertools.compress(_MARKERS, some))
        if "postgres" in markers and "external_service" not in markers:
            continue  # a PostgreSQL is a server
        found = [name for name, part in parts.items() if is_chosen(part, markers)]
        assert len(found) == 1, (markers, found)
        assert is_chosen(quick, markers) == (not markers)


@pytest.mark.parametrize("marker", ["long", "scales"])
def test_every_long_form_is_in_exactly_one_part_of_make_test_long(marker: str) -> None:
    parts = [chosen_by(f"test-long-{name}") for name in ("servers", "others")]

    for markers in ({marker}, {marker, "external_service"}):
        assert [is_chosen(part, markers) for part in parts].count(True) == 1
        assert not any(is_chosen(part, {*markers, "soak"}) for part in parts)
    assert not any(is_chosen(part, {"external_service"}) for part in parts)


@pytest.mark.parametrize("marker", ["bench", "long", "soak"])
def test_no_part_of_make_test_has_the_long_forms(marker: str) -> None:
    for name in _PARTS:
        assert not is_chosen(chosen_by(f"test-{name}"), {marker, *_MARKERS})
