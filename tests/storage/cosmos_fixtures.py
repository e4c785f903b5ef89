"""Where the Cosmos DB storages of these tests are: fixtures, and small helpers."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.cosmos import CosmosStateStorage
from agent_runtime_nb.storage.cosmos.documents import partition_of
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
    TurnRecord,
)
from tests.contracts.cosmos_subject import DATABASE, CosmosSubject

A = ActorId("worker", "one")
B = ActorId("worker", "two")


class Open(Protocol):
    """Opens a storage for a new host; it is closed when the test ends."""

    async def __call__(
        self, name: str = "host", **options: Any
    ) -> CosmosStateStorage: ...


def storage_on(kind: CosmosSubject, **options: Any) -> CosmosStateStorage:
    """A storage on the container of a test, through its wire unless told else."""
    endpoint = options.pop("endpoint", kind.wire.endpoint)
    given: dict[str, Any] = {
        "database": DATABASE,
        "container": kind.container,
        "key": kind.server.key,
        "timeout": 3.0,
        **options,
    }
    return CosmosStateStorage(endpoint, **given)


@pytest.fixture
async def open_cosmos(cosmos_subject: CosmosSubject) -> AsyncIterator[Open]:
    """See `Open`."""
    storages: list[CosmosStateStorage] = []

    async def open_one(name: str = "host", **options: Any) -> CosmosStateStorage:
        storage = storage_on(cosmos_subject, **options)
        storages.append(storage)
        await storage.open(HostInfo(f"{name}-{len(storages)}", name))
        return storage

    yield open_one
    cosmos_subject.wire.heal()
    for storage in storages:
        await storage.close()


async def documents_of(kind: CosmosSubject, actor_id: ActorId) -> dict[str, Any]:
    """All documents of an actor by their ids, as they are stored."""
    async with kind.documents() as documents:
        found = documents.query_items(
            "SELECT * FROM c WHERE c.pk = @pk",
            parameters=[{"name": "@pk", "value": partition_of(actor_id)}],
            partition_key=partition_of(actor_id),
        )
        return {document["id"]: document async for document in found}


def accepted(epoch: int, *positions: int, body: bytes = b"{}") -> ActorChange:
    """Accept the turns m<position>."""
    turns = tuple(
        TurnRecord(position=position, message_id=f"m{position}", body=body)
        for position in positions
    )
    return ActorChange(epoch=epoch, accepted=turns)


def ended(epoch: int, position: int, **change: Any) -> ActorChange:
    """End a turn."""
    end = TurnEnd(
        position=position,
        status=RequestStatus.COMPLETED,
        result=b'"done"',
        ended_at=2.5,
        entries=b"[%d]" % position,
    )
    return ActorChange(epoch=epoch, ended=(end,), **change)
