"""What is shipped holds the widgets' bundles and needs no Node to install."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools import frontend

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent
STATIC = "agent_runtime_nb/widgets/static/"


def build(target: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d"]
    subprocess.run([*command, str(folder)], cwd=source, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


LAZY = {f"modules/{name}.js" for name in ("highlight", "maths", "sanitise")}
"""What a page asks its kernel for when it needs it."""


def bundles(names: list[str]) -> set[str]:
    return {
        name.partition(STATIC)[2]
        for name in names
        if STATIC in name and name.endswith(".js")
    }


def bundles_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.js")}


@pytest.fixture
def built() -> set[str]:
    """The bundles in the tree, which every setup has made."""
    names = bundles_below(frontend.STATIC)
    assert names, "no bundles: run `make setup`"
    assert names >= LAZY
    return names


def test_the_wheel_holds_the_bundles_and_installs_without_node(
    built: set[str], tmp_path: Path
) -> None:
    wheel = build("wheel", ROOT, tmp_path / "dist")
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]

    subprocess.run(
        [*pip, "--target", str(target), str(wheel)],
        env={**os.environ, "PATH": str(tmp_path)},
        check=True,
        capture_output=True,
    )

    assert bundles_below(target / STATIC) == built
    notices = (target / STATIC / "third_party_licenses.txt").read_text("utf-8")
    for package in ("preact", "highlight.js", "temml", "dompurify"):
        assert f"{package} " in notices
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".tsx")]


def test_a_wheel_built_from_the_sdist_holds_the_bundles_without_npm(
    built: set[str], tmp_path: Path
) -> None:
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    unpacked = tmp_path / "unpacked"
    unpack = [sys.executable, "-m", "tarfile", "-e", str(sdist), str(unpacked)]
    subprocess.run(unpack, check=True, capture_output=True)
    (source,) = unpacked.iterdir()

    wheel = build("wheel", source, tmp_path / "wheel")

    with zipfile.ZipFile(wheel) as archive:
        assert bundles(archive.namelist()) == built
    assert not (source / "widgets" / "node_modules").exists()


def test_a_tree_without_bundles_and_sources_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(frontend, "WIDGETS", tmp_path / "widgets")
    monkeypatch.setattr(frontend, "BUNDLES_STAMP", tmp_path / ".sources")

    with pytest.raises(frontend.FrontendError, match="neither the widgets' sources"):
        frontend.build()


def test_a_changed_source_changes_the_fingerprint_and_line_ends_do_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(frontend, "ROOT", tmp_path)
    source = tmp_path / "index.ts"

    source.write_bytes(b"one\ntwo\n")
    before = frontend.fingerprint([source])
    source.write_bytes(b"one\r\ntwo\r\n")
    on_windows = frontend.fingerprint([source])
    source.write_bytes(b"one\nthree\n")
    after = frontend.fingerprint([source])

    assert on_windows == before
    assert after != before


def test_npm_comes_from_the_wheel_and_not_from_the_path() -> None:
    command = frontend.npm_command(frontend.node_folder())

    version = subprocess.run(
        [*command, "--version"], check=True, capture_output=True, text=True
    )

    assert shutil.which("node") != command[0]
    assert version.stdout.strip()[0].isdigit()
