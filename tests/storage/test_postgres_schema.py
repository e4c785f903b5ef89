"""The schema of the PostgreSQL storage: made once, migrated, never taken from others."""

import asyncio
import subprocess
import sys

import pytest

from agent_runtime_nb.exceptions import Corrupt, SchemaTooNew, Unavailable
from agent_runtime_nb.storage.postgres import schema
from agent_runtime_nb.storage.postgres.driver import connect
from tests.storage.conftest import ROOT
from tests.storage.postgres_fixtures import A, PostgresSchema, accepted

SECRET = "s3cret-pass"  # noqa: S105 - of a user


def start(command: list[str]) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


async def test_two_schemas_of_a_database_are_two_storages(postgres: PostgresSchema):
    one = await postgres.open()
    two = await postgres.open(schema=f"{postgres.schema}_b")

    await one.write_state(A, set={"k": b"1"})

    assert (await two.list_actors()).items == ()
    assert (await two.claim(A)).epoch == 1


async def test_five_hosts_that_open_at_once_make_one_schema(postgres: PostgresSchema):
    program = (
        "import asyncio, sys\n"
        "from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage\n"
        "from agent_runtime_nb.storage_abstractions import HostInfo\n"
        "storage = PostgresStateStorage(sys.argv[1], schema=sys.argv[2])\n"
        "async def main():\n"
        "    await storage.open(HostInfo(sys.argv[3], 'a process'))\n"
        "    await storage.close()\n"
        "asyncio.run(main())\n"
    )
    arguments = [sys.executable, "-c", program, postgres.server.local_url]
    processes = [start([*arguments, postgres.schema, f"p{n}"]) for n in range(5)]

    waiting = (
        "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    )

    holder = await connect(dsn=postgres.server.local_url)
    await holder.execute("begin")
    await holder.execute(schema.LOCK, f"agent_runtime_nb {postgres.schema}")
    async with asyncio.timeout(40):
        while await postgres.sql(waiting) < 5:
            pass
    await holder.execute("commit")
    await holder.close()
    told = [await asyncio.to_thread(one.communicate, timeout=50) for one in processes]

    assert [process.returncode for process in processes] == [0] * 5, told
    assert await postgres.sql("select count(*) from {s}.host") == 5
    versions = "select array_agg(version) from {s}.schema_version"
    assert await postgres.sql(versions) == [schema.SCHEMA_VERSION]


async def test_an_older_schema_is_brought_up_to_date(
    postgres: PostgresSchema, monkeypatch: pytest.MonkeyPatch
):
    storage = await postgres.open()
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))
    await storage.close()
    later = (*schema.MIGRATIONS, "alter table {s}.actor add column later text")
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", len(later))

    hosts = await asyncio.gather(*(postgres.open() for _ in range(3)))

    assert [turn.message_id for turn in await hosts[0].read_turns(A)] == ["m1"]
    assert await postgres.sql(
        "select version from {s}.schema_version",
    ) == len(later)
    await postgres.sql("select later from {s}.actor")


async def test_a_migration_that_fails_leaves_everything_as_it_was(
    postgres: PostgresSchema, monkeypatch: pytest.MonkeyPatch
):
    storage = await postgres.open()
    await storage.write_state(A, set={"k": b"1"})
    await storage.close()
    broken = (*schema.MIGRATIONS, "drop table {s}.value; select 1 / 0")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", broken)
        patch.setattr(schema, "SCHEMA_VERSION", len(broken))

        with pytest.raises(Unavailable, match="division by zero"):
            await postgres.open()

    again = await postgres.open()
    assert (await again.read_state(A)).values == {"k": b"1"}


async def test_a_newer_schema_is_left_untouched(postgres: PostgresSchema):
    await (await postgres.open()).close()
    await postgres.sql("update {s}.schema_version set version = 7")

    with pytest.raises(SchemaTooNew) as refused:
        await postgres.open()

    assert (refused.value.found, refused.value.known) == (7, schema.SCHEMA_VERSION)
    assert await postgres.sql("select count(*) from {s}.host") == 1


async def test_a_schema_of_another_program_is_left_untouched(postgres: PostgresSchema):
    await postgres.sql(
        "create schema {s}",
        "create table {s}.turn(a integer)",
    )

    with pytest.raises(Corrupt, match="another program"):
        await postgres.open()

    tables = "select array_agg(relname::text) from pg_class join pg_namespace n "
    where = f"on relnamespace = n.oid where nspname = '{postgres.schema}'"
    assert await postgres.sql(tables + where) == ["turn"]


async def test_a_user_without_rights_in_the_database_can_have_a_schema_made_for_it(
    postgres: PostgresSchema,
):
    user = f"u_{postgres.schema}"
    await postgres.sql(f"create role {user} login password '{SECRET}'")
    url = f"postgresql://{user}:{SECRET}@127.0.0.1:{postgres.server.port}/postgres"

    with pytest.raises(Unavailable, match="permission denied") as refused:
        await postgres.open(url)
    await postgres.sql(f"create schema {postgres.schema} authorization {user}")
    storage = await postgres.open(url)

    assert not refused.value.retryable
    assert await storage.write_state(A, set={"k": b"1"})


async def test_ids_sort_by_code_point_whatever_the_database_does(
    postgres: PostgresSchema,
):
    await postgres.open()

    collations = await postgres.sql(
        "select array_agg(distinct collation_name::text) "
        "from information_schema.columns where table_schema = '{s}' "
        "and column_name in ('type', 'instance')"
    )

    assert collations == ["C"]


async def test_a_database_that_cannot_keep_every_text_is_refused(
    postgres: PostgresSchema,
):
    name = f"d_{postgres.schema}"
    await postgres.sql(
        f"create database {name} encoding 'LATIN1' locale 'C' template template0"
    )

    with pytest.raises(Unavailable, match="encoding is not UTF8"):
        await postgres.open(postgres.server.url(database=name))

    await postgres.sql(f"drop database {name} with (force)")


async def test_a_database_that_acknowledges_too_early_is_named_once(
    postgres: PostgresSchema, caplog: pytest.LogCaptureFixture
):
    await (await postgres.open()).close()
    quiet = list(caplog.messages)

    await postgres.open(postgres.server.local_url + "&synchronous_commit=off")

    assert quiet == []
    (warning,) = caplog.messages
    assert postgres.schema in warning
    assert "has synchronous_commit = off" in warning
