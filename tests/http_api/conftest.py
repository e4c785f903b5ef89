"""A real uvicorn on a free port in front of fakes; one for each file, it is slow."""

from collections.abc import Iterator

import httpx2
import pytest

from agent_runtime_nb.http_api.server import EmbeddedServer
from tests.http_api.fakes import FakeClient, FakeDirectory
from tests.http_api.served import ServedRuntime


@pytest.fixture(scope="module")
def _served() -> Iterator[tuple[EmbeddedServer, FakeClient, FakeDirectory]]:
    actors, directory = FakeClient(), FakeDirectory()
    server = EmbeddedServer(actors, directory).start()
    yield server, actors, directory
    assert server.stop(), "the server's thread did not end"


@pytest.fixture
def server(
    _served: tuple[EmbeddedServer, FakeClient, FakeDirectory],
) -> EmbeddedServer:
    """The server; what it reaches is as if it were new."""
    server, actors, directory = _served
    vars(actors).update(vars(FakeClient()))
    vars(directory).update(vars(FakeDirectory()))
    return server


@pytest.fixture
def actors(
    server: EmbeddedServer,
    _served: tuple[EmbeddedServer, FakeClient, FakeDirectory],
) -> FakeClient:
    return _served[1]


@pytest.fixture
def directory(
    server: EmbeddedServer,
    _served: tuple[EmbeddedServer, FakeClient, FakeDirectory],
) -> FakeDirectory:
    return _served[2]


@pytest.fixture
def http(server: EmbeddedServer) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx2.Client(
        base_url=server.url, headers=headers, timeout=20, trust_env=False
    ) as client:
        yield client


@pytest.fixture(scope="session")
def anyone() -> Iterator[httpx2.Client]:
    """A client that knows no token."""
    with httpx2.Client(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def served() -> Iterator[ServedRuntime]:
    """A real runtime behind a server of its own."""
    made = ServedRuntime()
    yield made
    made.close()
