"""The Redis storage under the storage contract, over a wire that can be made bad."""

import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest

from agent_runtime_nb.storage.redis.scripts import APPLY
from agent_runtime_nb.storage.redis.storage import MAX_VALUE, RedisStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from agent_runtime_nb.testing.storage_kit.subject import (
    FaultKind,
    Recipe,
    Skipped,
    StorageUnderTest,
)
from tests.servers.redis_server import PASSWORD, RedisServer
from tests.servers.tcp_faults import TcpFaults


class RedisSubject(StorageUnderTest):
    largest_value = MAX_VALUE
    refuses_larger = True
    secrets = (PASSWORD,)

    def __init__(self, server: RedisServer, wire: TcpFaults) -> None:
        self._server = server
        self._wire = wire
        self._prefix = f"kit-{uuid.uuid4().hex[:8]}"

    @property
    def _url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self._wire.port}"

    def make(self) -> IActorStateStorage:
        return redis_storage(self._url, self._prefix)

    async def kill(self, storage: IActorStateStorage) -> None:
        assert isinstance(storage, RedisStateStorage)
        session = storage._session
        if session is not None:
            session.renewer.abandon()
            await session.renewer.close()
            self._server.ask("DEL", storage._keys.host(session.host.host_id))

    def recipe(self) -> Recipe:
        return Recipe(f"{__name__}:redis_storage", (self._url, self._prefix))

    def make_unreachable(self) -> IActorStateStorage:
        return redis_storage(f"redis://:{PASSWORD}@127.0.0.1:1", self._prefix)

    def make_with_clock(self, ahead: float) -> IActorStateStorage:
        return self.make()  # leases are measured by the server's clock

    @asynccontextmanager
    async def fault(self, kind: FaultKind) -> AsyncGenerator[None]:
        ask, schema = self._server.ask, f"{self._prefix}:schema"
        try:
            match kind:
                case "down":
                    self._wire.down()
                case "slow":
                    self._wire.slow(1.0)
                case "cut":
                    self._wire.cut_after_answer(APPLY.digest.encode())
                case "full":
                    ask("CONFIG", "SET", "maxmemory", "1mb")
                case "read-only":
                    ask("REPLICAOF", "127.0.0.1", "1")
                case "newer-schema":
                    ask("SET", schema, "1000")
                case "corrupt":
                    ask("SET", schema, "garbage")
                case "throttled":
                    raise Skipped("a Redis server does not ask to wait")
            yield
        finally:
            self._wire.heal()
            ask("CONFIG", "SET", "maxmemory", "0")
            ask("REPLICAOF", "NO", "ONE")
            if kind in ("newer-schema", "corrupt"):
                assert ask("GET", schema) in (b"1000", b"garbage")
                ask("SET", schema, "1")


def redis_storage(url: str, prefix: str) -> RedisStateStorage:
    """The storage of a `RedisSubject`, made here or by another process."""
    return RedisStateStorage(url, prefix=prefix, lease=6.0)


@pytest.fixture
def redis_subject(redis_server: RedisServer) -> Iterator[RedisSubject]:
    """A storage of its own in the server of all tests."""
    with TcpFaults(redis_server.socket) as wire:
        yield RedisSubject(redis_server, wire)
