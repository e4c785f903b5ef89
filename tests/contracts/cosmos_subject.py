"""The Cosmos DB storage under the storage contract, on an emulator, with faults."""

import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from agent_runtime_nb.storage.cosmos import CosmosStateStorage
from agent_runtime_nb.storage.cosmos.documents import ABOUT, ROOT_ID
from agent_runtime_nb.storage.cosmos.storage import MAX_VALUE
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.storage_kit.subject import (
    FaultKind,
    Recipe,
    StorageUnderTest,
)
from tests.servers.cosmos_faults import CosmosFaults
from tests.servers.cosmos_server import CosmosServer

DATABASE = "tests"


class CosmosSubject(StorageUnderTest):
    largest_value = MAX_VALUE
    refuses_larger = True

    def __init__(self, server: CosmosServer, wire: CosmosFaults) -> None:
        self.server = server
        self.wire = wire
        self.secrets = (server.key,)
        self.container = f"kit-{uuid.uuid4().hex[:8]}"

    def make(self) -> IActorStateStorage:
        return cosmos_storage(self.wire.endpoint, self.server.key, self.container)

    async def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, CosmosStateStorage)
        session = storage._session
        if session is not None:
            await session.renewer.close()  # nothing else of it is closed

    def recipe(self) -> Recipe:
        arguments = (self.wire.endpoint, self.server.key, self.container, 3.0)
        return Recipe(f"{__name__}:cosmos_storage", arguments)

    def make_unreachable(self) -> IActorStateStorage:
        return cosmos_storage("http://127.0.0.1:1", self.server.key, self.container)

    def make_with_clock(self, ahead: float) -> IActorStateStorage:
        return self.make()  # leases are measured by the service's clock

    @asynccontextmanager
    async def fault(self, kind: FaultKind) -> AsyncGenerator[None]:
        match kind:
            case "down":
                self.wire.down()
            case "slow":
                self.wire.slow(1.0)
            case "cut":
                self.wire.cut_after_commit()
            case "throttled":
                self.wire.refuse(429, times=3, retry_after=0.2)
            case "full":
                self.wire.refuse(403, substatus=1014)
            case "read-only":
                self.wire.refuse(403, substatus=3)
            case "newer-schema":
                await self._tell_schema(1000)
            case "corrupt":
                await self._tell_schema("garbage")
        try:
            yield
        finally:
            self.wire.heal()
            if kind in ("newer-schema", "corrupt"):
                await self._tell_schema(1)

    async def _tell_schema(self, schema: object) -> None:
        async with self.documents() as documents:
            await documents.patch_item(
                ROOT_ID,
                partition_key=ABOUT,
                patch_operations=[{"op": "set", "path": "/schema", "value": schema}],
            )

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[CosmosClient]:
        """The account itself, past the wire."""
        options: dict[str, Any] = {"enable_endpoint_discovery": False}
        server = self.server
        async with CosmosClient(server.endpoint, server.key, **options) as client:
            yield client

    @asynccontextmanager
    async def documents(self) -> AsyncGenerator[ContainerProxy]:
        """The container itself, past the wire."""
        async with self.client() as client:
            database = client.get_database_client(DATABASE)
            yield database.get_container_client(self.container)


def cosmos_storage(
    endpoint: str, key: str, container: str, lease: float = 15.0
) -> CosmosStateStorage:
    """The storage of a `CosmosSubject`, made here or by another process."""
    return CosmosStateStorage(
        endpoint,
        database=DATABASE,
        container=container,
        key=key,
        lease=lease,
        timeout=3.0,
    )


@pytest.fixture
def cosmos_subject(cosmos_server: CosmosServer) -> Iterator[CosmosSubject]:
    """A container of its own in the emulator of all tests."""
    with CosmosFaults(cosmos_server.endpoint) as wire:
        yield CosmosSubject(cosmos_server, wire)
