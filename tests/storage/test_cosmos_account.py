"""The Cosmos DB storage: where it is, and how to get in."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.cosmos import PartitionKey
from typer.testing import CliRunner

from agent_runtime_nb.cli import app
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    Unavailable,
)
from agent_runtime_nb.storage.cosmos import CosmosStateStorage
from agent_runtime_nb.storage.cosmos.service import INDEXING_POLICY
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.contracts.cosmos_subject import DATABASE, CosmosSubject
from tests.servers.cosmos_server import CosmosServer
from tests.storage.cosmos_fixtures import (
    Open,
    storage_on,
)

HOST = HostInfo("h", "h")


@pytest.mark.parametrize(
    ("url", "environ", "found"),
    [
        (
            "cosmos://:c2VjcmV0@a.documents.azure.com/db/c",
            {"COSMOS_KEY": "b3RoZXI="},
            ("https://a.documents.azure.com:443", "db", "c", "c2VjcmV0"),
        ),
        (
            "cosmos://:a/b+c9==@127.0.0.1:8081/my%20db/c/",
            {},
            ("https://127.0.0.1:8081", "my db", "c", "a/b+c9=="),
        ),
        (
            "cosmos://:a%2Fb%2Bc9%3D%3D@host/db/c",
            {},
            ("https://host:443", "db", "c", "a/b+c9=="),
        ),
        (
            "cosmos://host/db/c",
            {"COSMOS_KEY": "", "AZURE_COSMOS_KEY": "b3RoZXI=\n"},
            ("https://host:443", "db", "c", "b3RoZXI="),
        ),
    ],
)
def test_a_url_says_it_all(url: str, environ: dict[str, str], found: tuple[str, ...]):
    account = CosmosStateStorage(url, environ=environ)._account

    place = (account.endpoint, account.database, account.container, account.credential)
    assert place == found


@pytest.mark.parametrize(
    "url",
    [
        "cosmos:",
        "cosmos://:c2VjcmV0@host",
        "cosmos://:c2VjcmV0@host/db",
        "cosmos://:c2VjcmV0@host/db/c/more",
        "cosmos://:c2VjcmV0@host:port/db/c",
        "cosmos://:c2VjcmV0/db/c?x=1",
        "https://:c2VjcmV0@host",
    ],
)
def test_a_url_that_names_no_container_says_how_to_write_it(url: str):
    with pytest.raises(InvalidRequest, match="cosmos://ACCOUNT") as refused:
        CosmosStateStorage(url, environ={})

    assert "c2VjcmV0" not in str(refused.value)


def test_a_key_that_is_none_says_so_without_showing_it():
    with pytest.raises(InvalidRequest, match="base64") as refused:
        CosmosStateStorage(
            "https://host", database="d", container="c", key="not-a-key!"
        )

    assert "not-a-key" not in str(refused.value)


def test_without_a_key_azure_is_asked():
    storage = CosmosStateStorage("cosmos://host/db/c", environ={})

    made: Any = storage._account.credential
    assert made.__name__ == "DefaultAzureCredential"


class FakeCredential:
    """What azure-identity makes, as far as azure-cosmos looks at it."""

    closed = 0

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        return AccessToken("a-secret-token", 2**40)

    async def close(self) -> None:
        FakeCredential.closed += 1

    async def __aenter__(self) -> "FakeCredential":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


async def test_a_credential_is_used_and_closed(cosmos_subject: CosmosSubject):
    storage = storage_on(
        cosmos_subject,
        endpoint=cosmos_subject.server.endpoint,  # a token is never sent unencrypted
        key=None,
        credential=FakeCredential,
    )
    FakeCredential.closed = 0

    with pytest.raises(Unavailable, match=r"refused \(401\)") as refused:
        await storage.open(HOST)  # the emulator knows keys only

    assert FakeCredential.closed >= 1
    assert "a-secret-token" not in str(refused.value)


async def test_a_wrong_key_says_so_without_showing_it(cosmos_subject: CosmosSubject):
    wrong = "d3Jvbmcga2V5IHdyb25nIGtleQ=="
    storage = storage_on(cosmos_subject, key=wrong)

    with pytest.raises(Unavailable, match=r"the key or credential was refused \(401\)"):
        await storage.open(HOST)

    assert wrong not in repr(vars(storage))


async def test_what_is_missing_is_made_only_if_it_may(
    cosmos_subject: CosmosSubject, open_cosmos: Open
):
    storage = storage_on(cosmos_subject, create=False)

    with pytest.raises(Unavailable, match=r"make it, with the partition key /pk"):
        await storage.open(HOST)

    await open_cosmos()
    await storage.open(HOST)
    await storage.close()


async def test_a_container_of_another_kind_is_refused(cosmos_subject: CosmosSubject):
    async with cosmos_subject.client() as client:
        database = await client.create_database_if_not_exists(DATABASE)
        await database.create_container(
            cosmos_subject.container, PartitionKey("/other")
        )

    with pytest.raises(Unavailable, match=r"partition key is \['/other'\]; make one"):
        await storage_on(cosmos_subject).open(HOST)


def test_the_docs_show_the_indexes_that_are_made():
    page = (Path(__file__).parents[2] / "docs" / "storage-cosmos.md").read_text("utf-8")

    shown = re.findall(r"```json\n(.*?)```", page, re.DOTALL)

    assert [json.loads(text) for text in shown] == [INDEXING_POLICY]


def test_a_check_with_a_wrong_key_is_one_line(cosmos_server: CosmosServer):
    port = cosmos_server.endpoint.rpartition(":")[2]
    wrong = "d3Jvbmcga2V5"
    url = f"cosmos://:{wrong}@127.0.0.1:{port}/tests/check"

    result = CliRunner().invoke(app, ["storage", "check", url])

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "was refused (401)" in result.stderr
    assert wrong not in result.output + result.stderr
