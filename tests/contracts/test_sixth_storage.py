"""The worked example of a storage of one's own keeps the contract, as its users check.

The class is what the documentation shows; the other one uses more of the kit.
"""

import ast
import inspect
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent_runtime_nb.storage_abstractions import HostInfo, IActorStateStorage
from agent_runtime_nb.testing.storage_kit.cases import CASES
from agent_runtime_nb.testing.storage_kit.check import check_storage
from agent_runtime_nb.testing.storage_kit.conformance import StorageConformance
from agent_runtime_nb.testing.storage_kit.subject import (
    FaultKind,
    Recipe,
    Skipped,
    StorageUnderTest,
)
from docs.examples.json_file_storage import JsonFileStorage

DOCUMENT = Path(__file__).parents[2] / "docs" / "storage-contract.md"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class TestJsonFileStorage(StorageConformance):
    def make(self):
        return JsonFileStorage("conformance")


BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_the_documented_lines_are_those_that_run_here():
    assert inspect.getsource(TestJsonFileStorage).strip() in BLOCKS[0]


async def test_the_documented_check_runs_as_it_is_written(
    capsys: pytest.CaptureFixture[str],
):
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(BLOCKS[1], str(DOCUMENT), "exec", flags)

    await eval(code, {"JsonFileStorage": JsonFileStorage})  # noqa: S307 - our own text

    assert re.search(
        r"^\d\d passed, 0 failed, \d\d skipped$", capsys.readouterr().out, re.MULTILINE
    )


class JsonFiles(StorageUnderTest):
    """The same with all that the example can be asked."""

    kills = 1

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> IActorStateStorage:
        return JsonFileStorage(self._folder / "data")

    async def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, JsonFileStorage)
        host, storage._host = storage._host, None
        await storage.close()
        storage._host = host  # it does not know that it is dead

    def recipe(self) -> Recipe:
        target = "docs.examples.json_file_storage:JsonFileStorage"
        return Recipe(target, (str(self._folder / "data"),))

    def make_with_clock(self, ahead: float) -> IActorStateStorage:
        return self.make()  # no clock is used

    def make_unreachable(self) -> IActorStateStorage:
        (self._folder / "file").touch()
        return JsonFileStorage(self._folder / "file" / "data")

    @asynccontextmanager
    async def fault(self, kind: FaultKind) -> AsyncGenerator[None]:
        wrong = {"newer-schema": "1000", "corrupt": "garbage"}.get(kind)
        if wrong is None:
            raise Skipped(f"{kind!r} is nothing that happens to a folder")
        version = self._folder / "data" / "version"
        right = version.read_text()
        version.write_text(wrong)
        yield
        assert version.read_text() == wrong
        version.write_text(right)


@pytest.mark.timeout(120)
async def test_the_example_keeps_all_that_it_can_be_asked(tmp_path: Path):
    report = await check_storage(JsonFiles(tmp_path))

    assert [str(outcome) for outcome in report.of("failed")] == []
    skipped = {outcome.case.number for outcome in report.of("skipped")}
    # larger values, older versions, a server's troubles, a full disk, a password
    assert skipped == {2, 28, 30, 31, 32, 33, 34, 35, 36, 39}


async def test_the_check_leaves_no_actor_behind(tmp_path: Path):
    subject = JsonFiles(tmp_path)
    few = [case for case in CASES if case.number in (1, 4, 21, 41)]

    report = await check_storage(subject, cases=few)

    storage = subject.make()
    await storage.open(HostInfo("h1", "the reader"))
    assert report.ok
    assert (await storage.list_actors()).items == ()
    await storage.close()
