"""Parts of the front end that are sent on request."""

from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.widgets.lazy_modules import NAMES, LazyModules


def answers(folder: Path, name: str) -> list[dict[str, Any]]:
    posted: list[dict[str, Any]] = []
    modules = LazyModules(posted.append, folder)
    modules.handlers["module"]({"name": name})
    return posted


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_module_is_sent_as_its_text(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.js").write_text("export const é = 1;", encoding="utf-8")

    [answer] = answers(tmp_path, name)

    assert answer == {"type": "module", "name": name, "text": "export const é = 1;"}


def test_a_module_that_was_not_built_is_answered_with_the_reason(
    tmp_path: Path,
) -> None:
    [answer] = answers(tmp_path, "maths")

    assert answer["name"] == "maths"
    assert "No such file" in answer["error"]
    assert "text" not in answer


@pytest.mark.parametrize("name", ["", "maths.js", "../chat_panel", "/etc/hostname"])
def test_a_name_that_is_no_modules_reads_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "maths.js.js").write_text("secret", encoding="utf-8")

    [answer] = answers(tmp_path, name)

    assert answer["error"] == "there is no such module"
