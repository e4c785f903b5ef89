"""The storage that a path or a URL names."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime_nb.exceptions import (
    InvalidRequest,
    MissingExtra,
    ReadOnly,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage.urls import open_storage

pytestmark = pytest.mark.usefixtures("leak_check")

SERVERS = {
    "redis://ada:s3cret@example.invalid:6379/0": ("redis", "redis"),
    "rediss://ada:s3cret@example.invalid:6379/0": ("redis", "redis"),
    "unix://ada:s3cret@/example.invalid/redis.sock": ("redis", "redis"),
    "postgresql://ada:s3cret@example.invalid/db": ("postgres", "asyncpg"),
    "postgres://ada:s3cret@example.invalid/db": ("postgres", "asyncpg"),
    "cosmos://s3cretAA@example.invalid/db/container": ("cosmos", "azure"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENT_RUNTIME_STORAGE", raising=False)
    return tmp_path


def test_the_default_storage_ignores_itself_in_git(folder: Path) -> None:
    storage = open_storage()

    assert isinstance(storage, SqliteStateStorage)
    assert str(folder / ".agent_runtime" / "state.db") in storage.location
    assert (folder / ".agent_runtime" / ".gitignore").read_text() == "*\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_folder_that_it_makes_is_the_persons_alone(folder: Path) -> None:
    open_storage()
    open_storage(folder / "else" / "where.db")

    for name in (".agent_runtime", "else"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o700


def test_the_environment_overrides_the_default_storage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_RUNTIME_STORAGE", str(folder / "else" / "where.db"))

    storage = open_storage()

    assert str(folder / "else" / "where.db") in storage.location
    assert not (folder / ".agent_runtime").exists()


@pytest.mark.parametrize(
    "target",
    ["there.db", Path("there.db"), "sqlite:there.db", "sqlite:///there.db"],
)
def test_a_path_or_a_sqlite_url_is_a_file(folder: Path, target: str | Path) -> None:
    storage = open_storage(target)

    assert isinstance(storage, SqliteStateStorage)
    assert str(folder / "there.db") in storage.location


@pytest.mark.parametrize("start", ["sqlite:", "sqlite:///"])
def test_a_sqlite_url_can_name_an_absolute_path(folder: Path, start: str) -> None:
    storage = open_storage(f"{start}{folder / 'there.db'}")

    assert str(folder / "there.db") in storage.location


def test_memory_is_memory() -> None:
    assert isinstance(open_storage("memory:"), InMemoryStateStorage)


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("memory", '"memory:"'),
        (":memory:", '"memory:"'),
        ("redis", '"redis://host:6379/0"'),
        ("Postgres", '"postgresql://user@host/db"'),
    ],
)
def test_a_word_that_is_nearly_a_url_makes_no_file(
    folder: Path, target: str, meant: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"write {meant}"):
        open_storage(target)

    assert not list(folder.iterdir())
    assert isinstance(open_storage(f"./{target}"), SqliteStateStorage)


def test_a_storage_is_used_as_it_is() -> None:
    storage = InMemoryStateStorage()

    assert open_storage(storage) is storage


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"oracle: is not known.*sqlite.*memory"):
        open_storage("oracle://somewhere")


@pytest.mark.parametrize("url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite://host"])
def test_a_sqlite_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="names no file"):
        open_storage(url)


def test_a_folder_that_cannot_be_made_is_read_only(folder: Path) -> None:
    (folder / "file").write_text("in the way")

    with pytest.raises(ReadOnly, match="AGENT_RUNTIME_STORAGE"):
        open_storage(folder / "file" / "state.db")


def test_a_sqlite_url_can_ask_for_speed(folder: Path) -> None:
    storage = open_storage("sqlite:///there.db?synchronous=NORMAL")

    assert isinstance(storage, SqliteStateStorage)
    assert storage.location == str(folder / "there.db")
    assert storage._synchronous == "NORMAL"


def test_a_sqlite_url_can_ask_to_begin_anew(folder: Path) -> None:
    storage = open_storage("sqlite:///there.db?on_corrupt=fresh&synchronous=full")

    assert isinstance(storage, SqliteStateStorage)
    assert (storage._on_corrupt, storage._synchronous) == ("fresh", "FULL")


@pytest.mark.parametrize("query", ["synchronous=off", "mode=ro", "on_corrupt=", "x"])
def test_an_option_that_a_sqlite_url_does_not_have_is_refused(
    folder: Path, query: str
) -> None:
    with pytest.raises(InvalidRequest, match=r"write \?synchronous=normal or full"):
        open_storage(f"sqlite:///there.db?{query}")


# --- servers --------------------------------------------------------------------------


@pytest.mark.parametrize("url", SERVERS)
def test_the_url_of_a_server_is_its_storage_and_its_password_is_hidden(
    url: str,
) -> None:
    extra, package = SERVERS[url]
    pytest.importorskip(package, reason=f"needs the extra {extra}")

    storage = open_storage(url)

    assert type(storage).__module__.startswith(f"agent_runtime_nb.storage.{extra}")
    assert "example.invalid" in storage.location
    for shown in (storage.location, repr(storage), str(storage)):
        assert "s3cret" not in shown


@pytest.mark.parametrize("url", SERVERS)
def test_a_missing_extra_is_named_with_what_to_install(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra, package = SERVERS[url]
    for name in list(sys.modules):
        ours = name.startswith(f"agent_runtime_nb.storage.{extra}")
        if ours or name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtra) as missing:
        open_storage(url)

    assert f'pip install "agent-runtime-nb[{extra}]"' in str(missing.value)
    assert "s3cret" not in str(missing.value)


@pytest.mark.parametrize(
    "url",
    ["redis:", "redis://", "postgresql:ada:s3cret@host/db", "cosmos:///s3cret"],
)
def test_a_url_that_names_no_server_is_refused_without_its_password(url: str) -> None:
    scheme = url.partition(":")[0]

    with pytest.raises(InvalidRequest, match=rf"write {scheme}://") as refused:
        open_storage(url)

    assert "s3cret" not in str(refused.value)


def test_what_a_server_needs_is_not_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys; from agent_runtime_nb.storage.urls import open_storage; "
        "open_storage('memory:'); "
        "print(*{'asyncpg', 'azure', 'redis'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == ""
