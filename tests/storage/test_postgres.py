"""What is special to the PostgreSQL storage; the rest is in the storage contract."""

import asyncio
import logging
import subprocess
import sys
import traceback
from collections.abc import Awaitable

import pytest

from agent_runtime_nb.exceptions import (
    InvalidRequest,
    StorageClosed,
    Unavailable,
)
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.postgres.driver import connect
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.storage_abstractions import ActorChange
from tests.servers.transaction_pooler import TransactionPooler
from tests.storage.conftest import ROOT
from tests.storage.postgres_fixtures import A, B, PostgresSchema, accepted, ended

SECRET = "s3cret-pass"  # noqa: S105 - to be looked for


def start(command: list[str]) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


# --- where it is, and what it does not tell


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (f"postgresql://me:{SECRET}@server:5433/db", "postgresql://server:5433/db"),
        (f"postgres://me:{SECRET}@server", "postgresql://server"),
        (f"postgresql://me:{SECRET}@a:1,b:2/db", "postgresql://a:1,b:2/db"),
        (
            f"postgresql:///db?host=/run/pg&user=me&password={SECRET}",
            "postgresql:///run/pg/db",
        ),
        (
            f"postgresql://me:{SECRET}@server/db?sslmode=require&schema=mine",
            "postgresql://server/db?schema=mine",
        ),
    ],
)
def test_a_location_has_no_secret(url: str, location: str):
    storage = PostgresStateStorage(url)

    assert storage.location == location
    assert SECRET not in repr(storage) + repr(storage._target)


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET}@server/db",
        f"postgresql://me:{SECRET}/more@server/db",
        f"postgresql://me:{SECRET}#more@server/db",
        f"postgresql://me:{SECRET}@[server/db",
        f"postgresql://me:{SECRET}@server/db\n",
        f"postgresql://me:{SECRET}@server/db?schema=pg_catalog",
        f'postgresql://me:{SECRET}@server/db?schema=a"b',
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_secret(url: str):
    with pytest.raises(InvalidRequest) as refused:
        PostgresStateStorage(url)

    assert SECRET not in shown(refused.value)


async def test_a_wrong_password_is_said_and_not_shown(
    postgres: PostgresSchema, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    storage = postgres.make(postgres.server.url(password=SECRET))

    with pytest.raises(Unavailable, match="password authentication failed") as refused:
        await storage.open(postgres.host())

    assert not refused.value.retryable
    assert SECRET not in shown(refused.value) + caplog.text
    assert postgres.server.password not in shown(refused.value) + caplog.text


async def test_a_missing_database_is_named(postgres: PostgresSchema):
    storage = postgres.make(postgres.server.url(database="nowhere"))

    with pytest.raises(Unavailable, match='database "nowhere" does not exist') as no:
        await storage.open(postgres.host())

    assert not no.value.retryable


async def test_an_option_that_the_client_does_not_know_is_unavailable(
    postgres: PostgresSchema,
):
    storage = postgres.make(postgres.server.url() + "?sslmode=" + SECRET)

    with pytest.raises(Unavailable):
        await storage.open(postgres.host())


def test_without_the_extra_its_name_is_said():
    program = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from agent_runtime_nb.exceptions import MissingExtra\n"
        "try:\n    import agent_runtime_nb.storage.postgres.storage\n"
        "except MissingExtra as error:\n    print(error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "agent-runtime-nb[postgres]" in done.stdout


# --- texts that the server cannot have


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
async def test_a_text_that_no_id_has_is_still_a_place_in_the_order(
    postgres: PostgresSchema, odd: str
):
    storage = await postgres.open()
    for actor_id in (A, B):
        await storage.write_state(actor_id, set={f"k{odd}": b"1"})

    assert (await storage.list_actors(after=f"echo/c1{odd}x")).items == (B,)
    assert (await storage.list_actors(f"echo{odd}")).items == ()
    assert (await storage.list_actors(mark=odd)).items == ()
    assert (await storage.read_state(A, [f"k{odd}"])).values == {f"k{odd}": b"1"}
    assert (await storage.list_keys(A, prefix=f"k{odd}")).items == (f"k{odd}",)
    assert await storage.find_turn(A, odd) is None


# --- behind a transaction pooler


async def test_nothing_of_a_session_is_needed(postgres: PostgresSchema):
    async with TransactionPooler(postgres.server.socket) as pooler:
        url = f"postgresql://postgres@127.0.0.1:{pooler.port}/postgres"
        one, two = await postgres.open(url), await postgres.open(url, name="two")

        await use_all_verbs(one, two)

        await one.close()
        await two.close()
        assert pooler.transactions > 20


async def test_the_pooler_of_these_tests_does_break_who_needs_a_session(
    postgres: PostgresSchema,
):
    async with TransactionPooler(postgres.server.socket) as pooler:
        url = f"postgresql://postgres@127.0.0.1:{pooler.port}/postgres"
        client = await connect(dsn=url)  # which names its statements
        await client.fetchval("select 1 + $1::int", 1)

        with pytest.raises(Exception, match="prepared statement"):
            await client.fetchval("select 1 + $1::int", 1)

        client.terminate()


async def use_all_verbs(one: PostgresStateStorage, two: PostgresStateStorage) -> None:
    claim = await one.claim(A)
    await one.apply(A, accepted(claim.epoch, 1, b"x" * 100_000))
    await asyncio.gather(
        one.apply(A, ended(claim.epoch, 1)),
        one.apply(A, accepted(claim.epoch, 2)),
        one.apply(A, ActorChange(epoch=claim.epoch, add_marks=frozenset({"outbox"}))),
        *(two.write_state(ActorId("t", str(n)), set={"k": b"1"}) for n in range(40)),
    )
    assert await one.apply(A, accepted(claim.epoch, 3)) == ()
    assert (await one.apply(A, accepted(claim.epoch, 1)))[0].position == 1
    assert (await two.list_actors(mark="outbox", open_only=True)).items == (A,)
    reads: list[Awaitable[object]] = [
        one.read_state(A),
        one.read_turns(A),
        one.list_keys(A),
        one.list_actors(limit=5),
        one.find_turn(A, "m2"),
    ]
    assert all(await asyncio.gather(*reads * 5))
    taken = await two.claim(A, take_over=True)
    assert [turn.position for turn in taken.open_turns] == [2, 3]
    await two.trim(A, 0)
    assert await two.delete_state(A) is True
    assert await two.delete_state(B) is False


async def test_pgbouncer_in_transaction_mode_is_enough(
    postgres: PostgresSchema, pgbouncer: int
):
    url = f"postgresql://postgres@127.0.0.1:{pgbouncer}/postgres"
    one, two = await postgres.open(url), await postgres.open(url, name="two")

    await use_all_verbs(one, two)

    await one.close()
    await two.close()


# --- life


async def test_opening_that_is_cancelled_leaves_nothing_behind(
    postgres: PostgresSchema,
):
    await (await postgres.open()).close()
    storage, host = postgres.make(postgres.wire_url), postgres.host()
    postgres.wire.slow(0.2)

    opening = asyncio.gather(storage.open(host))
    await asyncio.wait([opening], timeout=0.5)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    with pytest.raises(StorageClosed):
        await storage.read_state(A)

    postgres.wire.heal()
    again = await postgres.open()
    await again.claim(A)


async def test_a_cancelled_read_does_not_hurt_the_next(postgres: PostgresSchema):
    storage = await postgres.open(postgres.wire_url, readers=1)
    await storage.write_state(A, set={"k": b"1"})
    postgres.wire.slow(0.3)

    for _ in range(3):
        reading = asyncio.gather(storage.read_state(A))
        await asyncio.wait([reading], timeout=0.1)
        reading.cancel()
    postgres.wire.heal()

    assert (await storage.read_state(A)).values == {"k": b"1"}


async def test_a_read_that_still_waits_at_the_close_is_told_so(
    postgres: PostgresSchema,
):
    storage = await postgres.open()
    session, waits = storage._session, asyncio.Event()
    assert session is not None

    async def read(_: object) -> None:
        loop.call_soon_threadsafe(waits.set)
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    reading = loop.create_task(session.read(read))
    await asyncio.wait_for(waits.wait(), 10)
    await storage.close()

    with pytest.raises(StorageClosed):
        await asyncio.wait_for(reading, 10)


async def test_its_connections_are_few_and_go_with_it(postgres: PostgresSchema):
    storage = await postgres.open(readers=3)
    await asyncio.gather(
        *(storage.read_state(ActorId("t", str(n))) for n in range(50)),
        *(storage.write_state(ActorId("t", str(n)), set={}) for n in range(50)),
    )
    mine = (
        "select count(*) from pg_stat_activity "
        "where application_name = 'agent_runtime_nb'"
    )

    while_open = await postgres.sql(mine)
    await storage.close()

    assert while_open <= 3 + 2
    left = while_open
    for _ in range(1000):  # the server takes note a moment later
        left = await postgres.sql(mine)
        if not left:
            break
    assert left == 0


_FORKING = """
import asyncio, os, sys
from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
A = ActorId("echo", "c1")
storage = PostgresStateStorage(sys.argv[1], schema=sys.argv[2])

async def use_in_child():
    for call in (storage.claim(A), storage.read_state(A)):
        try:
            await call
        except AgentRuntimeError as error:
            print(f"child: {type(error).__name__}: {error}", flush=True)
    await storage.close()
    await storage.open(HostInfo("child", "child"))
    print("child:", (await storage.read_state(A)).values, flush=True)
    await storage.close()

async def main():
    await storage.open(HostInfo("parent", "parent"))
    etag = await storage.write_state(A, set={"n": b"1"})
    await storage.read_state(A)
    if os.fork() == 0:
        asyncio._set_running_loop(None)
        asyncio.run(use_in_child())
        os._exit(0)
    os.wait()
    await storage.write_state(A, set={"n": b"2"}, etag=etag)
    print("parent:", (await storage.read_state(A)).values, flush=True)
    await storage.close()

asyncio.run(main())
"""


async def test_a_forked_child_is_refused_and_its_parent_goes_on(
    postgres: PostgresSchema,
):
    command = [sys.executable, "-c", _FORKING, postgres.server.local_url]
    process = start([*command, postgres.schema])

    said, wrong = await asyncio.to_thread(process.communicate, timeout=50)

    lines = said.splitlines()
    assert wrong == ""
    assert [line.partition("://")[0] for line in lines[:2]] == [
        "child: StorageClosed: the storage postgresql"
    ] * 2
    assert "opened before a fork" in lines[0]
    assert lines[2:] == ["child: {'n': b'1'}", "parent: {'n': b'2'}"]
