"""The commands that look after a storage."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent_runtime_nb.cli import app
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.storage import samples

HOST = HostInfo("test", "the test")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with three conversations."""
    path = tmp_path / "source.db"
    path.write_bytes((samples.DATA / "storage_v2.db").read_bytes())
    return path


def run(*arguments: str | Path):
    return CliRunner().invoke(app, ["storage", *map(str, arguments)])


def names_in(path: Path) -> list[str]:
    async def names() -> list[str]:
        storage = SqliteStateStorage(path)
        await storage.open(HOST)
        page = await storage.list_actors()
        await storage.close()
        return [str(actor_id) for actor_id in page.items]

    return asyncio.run(names())


def test_a_copy_is_reported_with_its_counts_and_digest(source: Path, tmp_path: Path):
    target = tmp_path / "target.db"

    result = run("copy", source, f"sqlite:///{target}")

    assert result.exit_code == 0, result.output
    assert "3 conversations with 7 turns and 4 values are in" in result.output
    assert "The same on both sides: SHA-256 " in result.output
    assert names_in(target) == names_in(source)


def test_a_copy_into_other_data_is_refused_without_overwrite(
    source: Path, tmp_path: Path
):
    target = tmp_path / "target.db"
    run("copy", source, target)

    async def differ() -> None:
        storage = SqliteStateStorage(target)
        await storage.open(HOST)
        await storage.delete_state(samples.TALK)
        await storage.write_state(samples.TALK, set={"k": b"1"})
        await storage.close()

    asyncio.run(differ())

    refused = run("copy", source, target)
    told = run("copy", source, target, "--overwrite")

    assert refused.exit_code == 1
    assert refused.stderr.startswith("agent-runtime-nb: the copy of ")
    assert "the target has other data, echo/a talk" in refused.stderr
    assert told.exit_code == 0
    assert "2 were there already" in told.output


def test_a_source_that_is_not_there_is_not_made(tmp_path: Path):
    result = run("copy", tmp_path / "typo.db", tmp_path / "target.db")

    assert result.exit_code == 1
    assert "there is no file" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_not_shown_when_a_copy_fails(source: Path):
    result = run("copy", source, "oracle://ada:s3cret@host/db")

    assert result.exit_code == 1
    assert "oracle: is not known" in result.stderr
    assert "s3cret" not in result.output + result.stderr


@pytest.mark.process
@pytest.mark.parametrize("name", ["memory:", "state.db"])
def test_a_check_runs_the_contract_and_leaves_nothing(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    result = run("check", name)

    assert result.exit_code == 0, result.output
    assert "passed    4  a_version_is_never_used_again" in result.output
    assert " passed, 0 failed, " in result.output.splitlines()[-2]
    assert result.output.splitlines()[-1].startswith("Skipped is what needs")
    if name != "memory:":
        assert names_in(tmp_path / name) == []
