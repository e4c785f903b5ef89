"""The two writes of a turn, straight at the storage: grouped, and one by one.

All write the same rows of the same tables and check the same. "one by one" sends each
statement to a thread and waits for it, as an asynchronous wrapper of sqlite3 does;
"a function each" sends a whole transaction at a time, the best that can be had without
a group.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.sqlite.database import Synchronous, open_writer
from agent_runtime_nb.storage.sqlite.schema import make_schema
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from benchmarks.measure import Figures, amount, database_path
from benchmarks.sqlite.work import BODY, CONVERSATIONS, RESULT, accept, commit

_Turn = Callable[[int, int], Awaitable[None]]
"""Accepts and ends a turn, given by conversation and position."""


async def _measured(turn: _Turn, turns_each: int) -> Figures:
    async def converse(conversation: int) -> None:
        for position in range(2, turns_each + 2):
            await turn(conversation, position)

    await asyncio.gather(*(turn(number, 1) for number in range(CONVERSATIONS)))
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*map(converse, range(CONVERSATIONS)))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    turns = turns_each * CONVERSATIONS
    return {"turns_per_s": turns / seconds, "cpu_us": cpu / turns * 1e6}


async def _grouped(path: Path, synchronous: Synchronous, turns_each: int) -> Figures:
    storage = SqliteStateStorage(path, synchronous=synchronous)
    await storage.open(HostInfo("host", "host"))
    actors = [ActorId("echo", str(number)) for number in range(CONVERSATIONS)]
    for actor in actors:
        await storage.claim(actor)

    async def turn(conversation: int, position: int) -> None:
        await storage.apply(actors[conversation], accept(position))
        await storage.apply(actors[conversation], commit(position))

    figures = await _measured(turn, turns_each)
    await storage.close()
    return figures


_Statements = Generator[tuple[str, tuple[object, ...]], "tuple[object, ...]"]


def _accept(n: int, position: int) -> _Statements:
    """The statements of an accept; each is answered with its first row."""
    yield "begin immediate", ()
    (epoch,) = yield _READ_EPOCH, (str(n),)
    if epoch != 1:
        raise RuntimeError("another owner")
    yield _INSERT, (n, position, f"m{position}", time.time(), BODY)
    yield "commit", ()


def _end(n: int, position: int) -> _Statements:
    """The statements of a commit."""
    yield "begin immediate", ()
    found = yield _READ_ETAG, (str(n),)
    if found != (1, f"e{position - 1}" if position > 1 else None):
        raise RuntimeError("another owner, or another version")
    yield _UPDATE, (RESULT, time.time(), n, position)
    yield "update actor set etag = ? where n = ?", (f"e{position}", n)
    yield "commit", ()


_READ_EPOCH = "select epoch from actor where type = 'echo' and instance = ?"
_READ_ETAG = "select epoch, etag from actor where type = 'echo' and instance = ?"
_INSERT = (
    "insert into turn(actor, position, message_id, status, attempts, accepted_at, body)"
    " values (?, ?, ?, 'pending', 1, ?, ?)"
)
_UPDATE = (
    "update turn set status = 'completed', result = ?, ended_at = ? "
    "where actor = ? and position = ? and status = 'pending'"
)


async def _singly(
    path: Path, synchronous: Synchronous, turns_each: int, *, in_functions: bool
) -> Figures:
    connection = open_writer(path, synchronous=synchronous, network=False)
    make_schema(connection)
    connection.executemany(
        "insert into actor(n, type, instance, epoch) values (?, 'echo', ?, 1)",
        ((n, str(n)) for n in range(1, CONVERSATIONS + 1)),
    )
    thread = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    lock = asyncio.Lock()  # a transaction is not to be mixed with another

    def run(statement: str, arguments: tuple[object, ...]) -> tuple[object, ...]:
        return connection.execute(statement, arguments).fetchone() or ()

    def run_all(statements: _Statements) -> None:
        with contextlib.suppress(StopIteration):
            statement = next(statements)
            while True:
                statement = statements.send(run(*statement))

    async def send_all(statements: _Statements) -> None:
        async with lock:
            with contextlib.suppress(StopIteration):
                statement = next(statements)
                while True:
                    row = await loop.run_in_executor(thread, run, *statement)
                    statement = statements.send(row)

    async def turn(conversation: int, position: int) -> None:
        for write in (_accept, _end):
            statements = write(conversation + 1, position)
            if in_functions:
                await loop.run_in_executor(thread, run_all, statements)
            else:
                await send_all(statements)

    figures = await _measured(turn, turns_each)
    thread.shutdown()
    connection.close()
    return figures


def grouped_normal(scale: float) -> Figures:
    """`SqliteStateStorage`; a commit survives the death of the process."""
    with database_path() as path:
        return asyncio.run(_grouped(path, "NORMAL", amount(300, scale)))


def grouped_full(scale: float) -> Figures:
    """`SqliteStateStorage`; a commit survives the loss of power."""
    with database_path() as path:
        return asyncio.run(_grouped(path, "FULL", amount(200, scale)))


def singly_normal(scale: float) -> Figures:
    """A statement at a time; a commit survives the death of the process."""
    with database_path() as path:
        turns = amount(40, scale)
        return asyncio.run(_singly(path, "NORMAL", turns, in_functions=False))


def singly_full(scale: float) -> Figures:
    """A statement at a time; a commit survives the loss of power."""
    with database_path() as path:
        turns = amount(8, scale)
        return asyncio.run(_singly(path, "FULL", turns, in_functions=False))


def functions_normal(scale: float) -> Figures:
    """A transaction at a time; a commit survives the death of the process."""
    with database_path() as path:
        turns = amount(60, scale)
        return asyncio.run(_singly(path, "NORMAL", turns, in_functions=True))


def functions_full(scale: float) -> Figures:
    """A transaction at a time; a commit survives the loss of power."""
    with database_path() as path:
        turns = amount(8, scale)
        return asyncio.run(_singly(path, "FULL", turns, in_functions=True))
