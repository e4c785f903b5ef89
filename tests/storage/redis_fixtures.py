"""Where the Redis storages of these tests are: fixtures, and small helpers."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol

import pytest

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.redis.storage import RedisStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    TurnEnd,
    TurnRecord,
)
from tests.servers.redis_server import PASSWORD, RedisServer
from tests.servers.tcp_faults import TcpFaults

A = ActorId("worker", "one")


class Open(Protocol):
    """Opens a storage for a new host; it is closed when the test ends."""

    async def __call__(
        self, url: str, name: str = "host", **options: Any
    ) -> RedisStateStorage: ...


@pytest.fixture
def prefix() -> str:
    """Data of its own in the server of all tests."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def wire(redis_server: RedisServer) -> Iterator[TcpFaults]:
    """A way to the server of all tests that can be made bad."""
    with TcpFaults(redis_server.socket) as wire:
        yield wire


@pytest.fixture
def private_server(redis_program: str) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers of this test alone, with options."""
    servers: list[RedisServer] = []

    def start(**options: str) -> RedisServer:
        server = RedisServer(redis_program, **options)
        servers.append(server.__enter__())
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
async def opened(prefix: str) -> AsyncIterator[Open]:
    """See `Open`."""
    storages: list[RedisStateStorage] = []

    async def opened(url: str, name: str = "host", **options: Any) -> RedisStateStorage:
        options.setdefault("prefix", prefix)
        storage = RedisStateStorage(url, **options)
        storages.append(storage)
        await storage.open(HostInfo(f"{name}-{len(storages)}", name))
        return storage

    yield opened
    for storage in storages:
        await storage.close()


def url_of(wire: TcpFaults) -> str:
    """The URL of a server behind a wire."""
    return f"redis://:{PASSWORD}@127.0.0.1:{wire.port}"


def accepted(epoch: int, position: int) -> ActorChange:
    """Accept the turn m<position>."""
    turn = TurnRecord(position=position, message_id=f"m{position}", body=b"{}")
    return ActorChange(epoch=epoch, accepted=(turn,))


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


async def die(storage: RedisStateStorage, server: RedisServer) -> None:
    """The host of a storage is dead, as after SIGKILL and the end of its lease."""
    session = storage._session
    assert session is not None
    session.renewer.abandon()
    await session.renewer.close()
    server.ask("DEL", storage._keys.host(session.host.host_id))
