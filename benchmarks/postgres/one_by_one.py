"""The same statements, a transaction for each step, each awaited by itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.postgres.driver import Connection, connect
from agent_runtime_nb.storage.postgres.group import PostgresGroup, PostgresStep
from agent_runtime_nb.storage.postgres.plan import Plan
from agent_runtime_nb.storage.postgres.statements import Statements
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from benchmarks.measure import Figures, amount
from benchmarks.turns import ACTORS, accept, commit, measured
from tests.servers.postgres_server import running_server

HOST = HostInfo("host", "host")


class Singly:
    """A few connections, which know their statements already."""

    def __init__(self, schema: str) -> None:
        self._statements = Statements(schema, 15.0)
        self._free: asyncio.Queue[Connection] = asyncio.Queue()

    @asynccontextmanager
    async def connected(self, url: str, connections: int) -> AsyncGenerator[None]:
        """There are so many connections."""
        for _ in range(connections):
            self._free.put_nowait(await connect(dsn=url))
        yield
        for _ in range(connections):
            await (await self._free.get()).close()

    async def run(self, step: PostgresStep) -> None:
        """One step in a transaction of its own."""
        connection = await self._free.get()
        await connection.execute(self._statements.begin)
        (outcome,) = await PostgresGroup(connection, self._statements, HOST).run([step])
        await connection.execute("commit")
        self._free.put_nowait(connection)
        if isinstance(outcome, Exception):
            raise outcome


async def _singly(url: str, turns_each: int, connections: int) -> Figures:
    storage = PostgresStateStorage(url)
    await storage.open(HOST)  # makes the tables
    await asyncio.gather(*map(storage.claim, ACTORS))
    await storage.close()
    singly = Singly("agent_runtime_nb")

    async def turn(actor_id: ActorId, position: int) -> None:
        await singly.run(PostgresStep(Plan.apply, actor_id, accept(position)))
        await singly.run(PostgresStep(Plan.apply, actor_id, commit(position)))

    async with singly.connected(url, connections):
        return await measured(turn, turns_each)


def one_connection(scale: float) -> Figures:
    """One connection for all."""
    with running_server() as server:
        return asyncio.run(_singly(server.local_url, amount(10, scale), 1))


def many_connections(scale: float) -> Figures:
    """A connection for every second conversation."""
    with running_server() as server:
        return asyncio.run(_singly(server.local_url, amount(20, scale), 32))
