"""Every error of the server, the client and the network has its place in our tree."""

import asyncio
import traceback
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    Conflict,
    Corrupt,
    Full,
    ReadOnly,
    StorageClosed,
    StorageError,
    TooLarge,
    Unavailable,
)
from agent_runtime_nb.storage.postgres import driver
from agent_runtime_nb.storage.postgres.errors import translate
from agent_runtime_nb.storage.postgres.target import parse_target
from tests.fakes import background
from tests.storage.postgres_fixtures import A, B, PostgresSchema, accepted

TARGET = parse_target("postgresql://me:s3cret%2Fpass@server/db")


def of_server(state: str, text: str = "what it says") -> Exception:
    """An error as the server sends it."""
    error: Any = driver.PostgresError
    return error.new({"C": state, "M": text, "S": "ERROR"})


@pytest.mark.parametrize(
    ("state", "expected", "retryable"),
    [
        ("53100", Full, True),
        ("25006", ReadOnly, False),
        ("XX001", Corrupt, False),
        ("XX002", Corrupt, False),
        ("54000", TooLarge, False),
        ("23505", Conflict, True),
        ("28P01", Unavailable, False),
        ("28000", Unavailable, False),
        ("3D000", Unavailable, False),
        ("42501", Unavailable, False),
        ("22021", Unavailable, False),
        ("08006", Unavailable, True),
        ("08P01", Unavailable, True),
        ("53300", Unavailable, True),
        ("53200", Unavailable, True),
        ("55P03", Unavailable, True),
        ("57014", Unavailable, True),
        ("57P01", Unavailable, True),
        ("57P03", Unavailable, True),
        ("40001", Unavailable, True),
        ("XX000", Unavailable, True),
    ],
)
def test_an_error_of_the_server_has_one_meaning(
    state: str, expected: type[StorageError], *, retryable: bool
):
    error = of_server(state)

    found = translate(error, TARGET)

    assert type(found) is expected
    assert isinstance(found, StorageError)
    assert found.retryable is retryable
    assert "postgresql://server/db" in str(found)
    assert found.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        OSError(111, "refused"),
        ConnectionResetError(),
        TimeoutError(),
        EOFError(),
        driver.InterfaceError("connection is closed"),
    ],
)
def test_what_goes_wrong_on_the_way_is_unavailable(error: Exception):
    found = translate(error, TARGET)

    assert type(found) is Unavailable
    assert found.retryable


@pytest.mark.parametrize(
    "error", [StorageClosed("x"), KeyError("a mistake"), asyncio.CancelledError()]
)
def test_what_is_ours_or_a_mistake_stays_as_it_is(error: BaseException):
    assert translate(error, TARGET) is error


@pytest.mark.parametrize("secret", ["s3cret/pass", "s3cret%2Fpass"])
def test_an_error_that_says_a_secret_is_told_without_it(secret: str):
    error = of_server("28P01", f"tried {secret}")

    found = translate(error, TARGET)

    found.__context__ = error  # as where it is raised
    shown = "".join(traceback.format_exception(found))
    assert "tried ***" in shown
    assert "s3cret" not in shown


async def test_a_deadlock_with_somebody_else_is_tried_again(postgres: PostgresSchema):
    storage = await postgres.open()
    epochs = [(await storage.claim(actor_id)).epoch for actor_id in (A, B)]
    lock = "select from {s}.actor where instance = '{name}' for update"
    locks = [lock.format(s=postgres.schema, name=one.instance_id) for one in (A, B)]
    other = await driver.connect(dsn=postgres.server.local_url)
    await other.execute("begin; set local deadlock_timeout = '30s'")
    await other.execute(locks[1])

    steps = [
        storage.apply(A, accepted(epochs[0], 1)),
        storage.apply(A, accepted(epochs[0], 2)),
        storage.apply(B, accepted(epochs[1], 1)),
    ]
    waiting = "select count(*) from pg_locks where not granted"
    async with asyncio.timeout(20):
        while not await postgres.sql(waiting):
            pass
    await other.execute(locks[0])  # when the storage has given way
    await other.execute("rollback")
    await other.close()

    assert await asyncio.gather(*steps) == [()] * 3
    assert len(await storage.read_turns(A)) == 2


async def test_a_read_whose_connection_ends_is_asked_again(postgres: PostgresSchema):
    storage = await postgres.open(postgres.wire_url)
    await storage.write_state(A, set={"k": b"1"})
    await storage.read_state(A)
    postgres.wire.slow(0.5)

    reading = background(storage.read_state(A))
    await asyncio.wait([reading], timeout=0.2)
    postgres.wire.cut_all()
    postgres.wire.heal()

    assert (await reading).values == {"k": b"1"}
