"""The implementations that the contract suites run over."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_runtime_nb.runtime_abstractions import IActorStateStorage
from tests.contracts.state_storages import KINDS, StorageKind


@pytest.fixture(params=KINDS)
async def kind(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[StorageKind]:
    """One backend with empty data."""
    kind = KINDS[request.param](tmp_path)
    yield kind
    await kind.close()


@pytest.fixture
async def storage(kind: StorageKind) -> IActorStateStorage:
    """An open storage on empty data."""
    return await kind.open()
