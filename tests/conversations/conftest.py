"""A running host, on each storage that needs no server."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from tests.conversations.host import Host


@pytest.fixture(params=["memory", "sqlite"])
def open_storage(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], IActorStateStorage]:
    """Opens the same data again and again, as processes one after another do."""
    if request.param == "sqlite":
        return lambda: SqliteStateStorage(tmp_path / "state.db")
    memory = InMemoryStateStorage()
    return lambda: memory


@pytest.fixture
async def host(open_storage: Callable[[], IActorStateStorage]) -> AsyncIterator[Host]:
    """A running host."""
    host = Host(open_storage())
    await host.runtime.start()
    yield host
    await host.runtime.stop(drain=0)
