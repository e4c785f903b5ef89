"""The door to optional packages."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime_nb._base.extras import load
from agent_runtime_nb.exceptions import MissingExtra


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path, forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_whose_packages_are_installed_is_given() -> None:
    assert (
        load("agent_runtime_nb.exceptions", "http")
        is sys.modules["agent_runtime_nb.exceptions"]
    )


def test_a_missing_package_names_its_extra(modules: Path) -> None:
    (modules / "part_with_a_need.py").write_text("import package_that_is_nowhere.sub\n")

    with pytest.raises(
        MissingExtra, match=r'^\'package_that_is_nowhere\' .*"agent-runtime-nb\[ray\]"$'
    ) as caught:
        load("part_with_a_need", "ray")

    assert caught.value.extra == "ray"
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_missing_module_of_our_own_is_our_mistake_and_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        load("agent_runtime_nb.no_such_module", "http")

    assert not isinstance(caught.value, MissingExtra)


def test_another_error_of_the_module_is_not_hidden(modules: Path) -> None:
    (modules / "part_with_a_mistake.py").write_text("raise ValueError('its own')\n")

    with pytest.raises(ValueError, match="its own"):
        load("part_with_a_mistake", "http")


def test_a_name_that_is_missing_in_an_installed_package_is_not_hidden(
    modules: Path,
) -> None:
    (modules / "part_too_new.py").write_text("from json import no_such_name\n")

    with pytest.raises(ImportError, match="no_such_name") as caught:
        load("part_too_new", "http")

    assert not isinstance(caught.value, MissingExtra)
