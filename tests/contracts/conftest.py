"""The implementations that the contract suites run over."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)
from tests.contracts.state_storages import KINDS, StorageKind


@pytest.fixture(params=KINDS)
async def kind(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[StorageKind]:
    """One backend with empty data; nothing that the suite does is worth a warning."""
    kind = KINDS[request.param](tmp_path)
    yield kind
    await kind.close()
    records = caplog.get_records("call")
    assert [record.getMessage() for record in records] == []


@pytest.fixture
async def storage(kind: StorageKind) -> IActorStateStorage:
    """An open storage on empty data."""
    return await kind.open()
