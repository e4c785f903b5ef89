"""The implementations that the contract suites run over."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from agent_runtime_nb.testing.storage_kit.subject import StorageUnderTest
from tests.contracts import reaches
from tests.contracts.state_storages import STORAGES


@pytest.fixture(params=STORAGES)
def kind(request: pytest.FixtureRequest) -> StorageUnderTest:
    """One backend, on data that it may share with other tests."""
    return STORAGES[request.param](request)


@pytest.fixture
def nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that the contract asks for is worth a warning in the log."""
    yield
    records = caplog.get_records("call")
    serious = [one for one in records if one.levelno >= logging.WARNING]
    said = [record.getMessage() for record in serious]
    # SQLite warns once of a network file system, which is what one kind is.
    assert [text for text in said if "network file system" not in text] == []


@pytest.fixture
def talker() -> Iterator[reaches.Talker]:
    """What the actors of type "talker" do; its gates are open in the end."""
    talker = reaches.Talker()
    yield talker
    for gate in talker.gates.values():
        gate.set()


@pytest.fixture(params=reaches.KINDS)
async def place(
    request: pytest.FixtureRequest, talker: reaches.Talker
) -> AsyncIterator[reaches.Place]:
    """A running runtime with "talker" and "counter", and how it is reached."""
    async with reaches.place_of(request.param, talker) as place:
        yield place


@pytest.fixture
def reach(place: reaches.Place) -> reaches.Reach:
    """A client and a directory of that runtime."""
    return place.reach
