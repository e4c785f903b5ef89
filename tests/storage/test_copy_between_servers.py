"""A storage goes once around all backends, broken off on each, and comes back the same."""

import shutil
from asyncio import Future
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent_runtime_nb.cli import app
from agent_runtime_nb.exceptions import Unavailable
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.copy import copy_storage
from agent_runtime_nb.storage_abstractions import ActorChange, TurnRecord
from agent_runtime_nb.testing.storage_kit.subject import StorageUnderTest
from tests.contracts.redis_subject import PASSWORD
from tests.contracts.state_storages import STORAGES
from tests.storage import samples
from tests.storage.test_copy import content, fill


class BreakingOff:
    """A storage that cannot be reached any more after so many changes."""

    def __init__(self, storage: Any, changes: int) -> None:
        self._storage = storage
        self._left = changes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "Future[tuple[TurnRecord, ...]]":
        self._left -= 1
        if self._left < 0:
            raise Unavailable("it", "broken off")
        return self._storage.apply(actor_id, change)


@pytest.mark.parametrize("name", [name for name in STORAGES if name != "memory"])
async def test_a_copy_to_a_backend_and_back_is_the_same(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
):
    first: StorageUnderTest = STORAGES["memory"](request)
    there: StorageUnderTest = STORAGES[name](request)
    back: StorageUnderTest = STORAGES["memory"](request)
    await fill(first.make)

    for source, target in ((first, there), (there, back)):
        broken: Any = BreakingOff(target.make(), changes=4)
        with pytest.raises(Unavailable, match="broken off"):
            await copy_storage(source.make(), broken)
        going = await copy_storage(source.make(), target.make())
        again = await copy_storage(source.make(), target.make())
        assert (going.actors, again.already_there) == (4, 4)
        assert going.sha256 == again.sha256

    assert await content(back.make) == await content(first.make)


@pytest.mark.parametrize("server", ["redis", "postgres"])
def test_a_copy_to_the_url_of_a_server_shows_no_password(
    server: str, request: pytest.FixtureRequest, tmp_path: Path
):
    source = shutil.copy(samples.DATA / "storage_v2.db", tmp_path)
    found = request.getfixturevalue(f"{server}_server")
    url, password = (
        (found.url, PASSWORD) if server == "redis" else (found.url(), found.password)
    )
    arguments = ["copy", str(source), url, "--overwrite"]

    done = CliRunner().invoke(app, ["storage", *arguments])

    assert done.exit_code == 0, done.output
    assert "3 conversations with 7 turns and 4 values are in" in done.output
    assert password not in done.output
