"""The fixtures of the next version can be written, and those of old ones never again."""

from pathlib import Path

import pytest

from agent_runtime_nb import ActorId
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.upgrades.conftest import BACKENDS
from tests.upgrades.make_fixtures import make
from tests.upgrades.story import tell_story


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_story_can_be_told_and_what_is_stored_can_be_kept(
    request: pytest.FixtureRequest, backend: str
):
    first, second, third = (BACKENDS[backend](request) for _ in range(3))

    expected, dumped = await tell_story(first, second)
    await third.load(dumped)

    storage = third.storage()
    await storage.open(HostInfo("reader", "reader"))
    listed = (await storage.list_actors()).items
    await storage.close()
    assert listed == tuple(sorted(map(ActorId.parse, expected["conversations"])))


async def test_the_fixtures_of_a_version_are_never_written_again(version: Path):
    with pytest.raises(FileExistsError):
        await make(version.name)
