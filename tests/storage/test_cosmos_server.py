"""The emulator of the tests: had, not had, and as strict as the service."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosHttpResponseError,
)

from tests.servers.cosmos_server import (
    CosmosServer,
    NoCosmosServer,
    install,
)


def test_an_emulator_that_cannot_be_fetched_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))

    with pytest.raises(NoCosmosServer, match=r"is its registry reachable\?.*ECONN"):
        install(tmp_path / "emulator")

    assert not (tmp_path / "emulator").exists()


def test_an_emulator_that_is_there_is_not_fetched_again(
    cosmos_server: CosmosServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")

    assert install().is_dir()


def test_the_emulator_ends_with_whoever_started_it(cosmos_server: CosmosServer):
    with CosmosServer() as server:
        process = server._process
        assert process is not None
        assert process.stdin is not None

        process.stdin.close()

        assert process.wait(10) == 0


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_the_emulator_is_as_strict_as_the_service(cosmos_server: CosmosServer):
    options: dict[str, Any] = {"enable_endpoint_discovery": False}
    document = {"id": "one", "pk": "a", "n": 1}
    found: list[int | None] = []
    async with CosmosClient(
        cosmos_server.endpoint, cosmos_server.key, **options
    ) as client:
        database = await client.create_database_if_not_exists("strict")
        documents = await database.create_container_if_not_exists(
            "strict", PartitionKey("/pk")
        )
        await documents.upsert_item(document)
        batches = [
            [("upsert", ({"id": "two", "pk": "a"},)), ("delete", ("none",))],
            [("create", ({"id": f"{n}", "pk": "a"},)) for n in range(101)],
            [("create", ({"id": "large", "pk": "a", "text": "x" * 2_200_000},))],
            [("patch", ("one", [{"op": "incr", "path": "/n", "value": 1}]))],
        ]
        for batch in batches:
            try:
                await documents.execute_item_batch(batch, partition_key="a")
            except (CosmosBatchOperationError, CosmosHttpResponseError) as error:
                found.append(error.status_code)
        query = "SELECT c.id, c.n FROM c WHERE c.pk = @pk"
        parameters: list[dict[str, object]] = [{"name": "@pk", "value": "a"}]
        stored = [
            one
            async for one in documents.query_items(
                query, parameters=parameters, partition_key="a"
            )
        ]

    assert found == [404, 400, 413]
    assert stored == [{"id": "one", "n": 2}]


async def test_the_emulator_asks_for_the_key(cosmos_server: CosmosServer):
    client = CosmosClient(
        cosmos_server.endpoint,
        "d3Jvbmcga2V5",
        enable_endpoint_discovery=False,
    )
    with pytest.raises(CosmosHttpResponseError) as refused:
        async with asyncio.timeout(20):
            await client.__aenter__()
    await client.close()

    assert refused.value.status_code == 401
