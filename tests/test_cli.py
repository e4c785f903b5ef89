"""The command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent_runtime_nb import __version__
from agent_runtime_nb.cli import app


def test_the_version_is_shown() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert result.exit_code == 0
    assert result.output.strip() == f"agent-runtime-nb {__version__}"


def test_the_demo_shows_turns_conversations_and_what_was_kept() -> None:
    result = CliRunner().invoke(app, ["demo"])

    assert result.exit_code == 0, result.output
    assert "agent: Echo: Hello, actor!" in result.output
    assert "agent: Hello! How can I help you today?" in result.output
    for name in ("ada", "grace", "edsger"):
        assert f"echo/demo-{name}  agent: Echo: It is me, {name}." in result.output
    kept = [line for line in result.output.splitlines() if "(kept)" in line]
    assert len(kept) == 6
    assert result.output.rstrip().endswith("Could you tell me a little more?")


def test_the_demo_on_memory_says_that_nothing_was_kept() -> None:
    result = CliRunner().invoke(app, ["demo", "--storage", "memory:"])

    assert result.exit_code == 0, result.output
    assert "nothing was kept" in result.output


def test_the_demo_keeps_its_conversations_in_a_file_that_is_named(
    tmp_path: Path,
) -> None:
    path = tmp_path / "demo.db"
    CliRunner().invoke(app, ["demo", "--storage", str(path)])

    result = CliRunner().invoke(app, ["demo", "--storage", str(path)])

    assert result.exit_code == 0, result.output
    assert path.exists()
    assert result.output.count("(kept)") == 14


def test_a_storage_that_is_not_known_is_one_line() -> None:
    result = CliRunner().invoke(app, ["demo", "--storage", "oracle:x"])

    assert result.exit_code == 1
    assert result.stderr.startswith("agent-runtime-nb: storage: oracle: is not known")


@pytest.mark.parametrize("arguments", [["serve", "--help"]])
def test_serving_takes_the_arguments_of_the_http_command(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0
    assert "--no-token" in result.output
