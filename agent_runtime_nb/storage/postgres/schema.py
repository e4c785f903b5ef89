"""The tables, made and brought up to date in one transaction.

Hosts that open at once wait for each other on an advisory lock that ends with the
transaction, so it holds behind a transaction pooler too.
"""

from agent_runtime_nb.exceptions import Corrupt, SchemaTooNew, Unavailable
from agent_runtime_nb.storage.postgres.driver import Connection
from agent_runtime_nb.storage.postgres.target import Target

SCHEMA_VERSION = 1

# Types and instances are texts of collation "C", so they sort by code point whatever
# the database does. Keys and message ids are bytes of UTF-8, which sort the same way
# and, unlike texts here, may have U+0000.
#
# An actor's row stays when the actor is deleted: it holds the epoch and the positions.
# Positions that a deleted actor had used are below first_position.
_VERSION_1 = """
create table {s}.host(
    id text collate "C" primary key,
    name text not null,
    expires_at timestamptz not null
);
create table {s}.actor(
    n bigint generated always as identity primary key,
    type text collate "C" not null,
    instance text collate "C" not null,
    epoch bigint not null default 0,
    owner text collate "C",
    etag text,
    marks text[] not null default '{{}}',
    first_position bigint not null default 1,
    unique(type, instance)
);
create index marked_actor on {s}.actor(type, instance) where marks <> '{{}}';
create table {s}.turn(
    actor bigint not null,
    position bigint not null,
    message_id bytea not null,
    status text not null,
    attempts integer not null,
    accepted_at double precision not null,
    ended_at double precision,
    body bytea,
    result bytea,
    entries bytea,
    checkpoint bytea,
    primary key(actor, position),
    unique(actor, message_id)
);
create index open_turn on {s}.turn(actor, position) where status = 'pending';
create table {s}.value(
    actor bigint not null,
    key bytea not null,
    value bytea not null,
    primary key(actor, key)
);
create table {s}.schema_version(version integer not null);
insert into {s}.schema_version values (0);
"""

MIGRATIONS = (_VERSION_1,)
"""The one at index n brings version n to version n + 1; 0 is nothing at all."""


LOCK = "select pg_advisory_xact_lock(hashtextextended($1, 0))"


async def make_schema(connection: Connection, target: Target) -> None:
    """Make the schema, or bring it up to date; inside a transaction.

    Raises:
        SchemaTooNew, Corrupt: and nothing was changed.
    """
    if await _version(connection, target) == SCHEMA_VERSION:
        return
    await connection.execute(LOCK, f"agent_runtime_nb {target.schema}")
    found = await _version(connection, target)  # others may have done it meanwhile
    schema = f'"{target.schema}"'
    if found == 0 and not await _exists(connection, target):
        await connection.execute(f"create schema {schema}")
    for migration in MIGRATIONS[found:]:
        await connection.execute(migration.format(s=schema))
    if found < SCHEMA_VERSION:
        await connection.execute(
            f"update {schema}.schema_version set version = {SCHEMA_VERSION}"
        )


async def _version(connection: Connection, target: Target) -> int:
    """The version that is there, 0 if there is nothing; only what can be used."""
    tables = await connection.fetchval(
        "select array_agg(c.relname::text) from pg_class c "
        "join pg_namespace s on s.oid = c.relnamespace where s.nspname = $1",
        target.schema,
    )
    if not tables:
        if await connection.fetchval("select getdatabaseencoding()") != "UTF8":
            raise Unavailable(target.location, "its encoding is not UTF8")
        return 0
    if "schema_version" not in tables:
        raise Corrupt(target.location, f"schema {target.schema} is another program's")
    found = await connection.fetchval(
        f'select version from "{target.schema}".schema_version'
    )
    if not isinstance(found, int) or found < 1:
        raise Corrupt(target.location, "it has no schema version")
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(target.location, found, SCHEMA_VERSION)
    return found


async def _exists(connection: Connection, target: Target) -> bool:
    return await connection.fetchval(
        "select exists(select from pg_namespace where nspname = $1)", target.schema
    )
