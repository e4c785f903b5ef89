"""The tables of the file, their version, and how an older file becomes a new one.

An actor's row stays when the actor is deleted: it holds the epoch and the positions.
Positions that a deleted actor had used are below `first_position`. `marks` holds the
words in sorted order, each between spaces.
"""

import contextlib
import sqlite3
from collections.abc import Mapping

_TABLES = """
create table host(id text primary key, name text not null) without rowid;
create table actor(
    n integer primary key,
    type text not null,
    instance text not null,
    epoch integer not null default 0,
    owner text,
    etag text,
    first_position integer not null default 1,
    marks text,
    unique(type, instance)
);
create table turn(
    actor integer not null,
    position integer not null,
    message_id text not null,
    status text not null,
    attempts integer not null,
    accepted_at real not null,
    ended_at real,
    body blob,
    result blob,
    entries blob,
    checkpoint blob,
    primary key(actor, position),
    unique(actor, message_id)
);
create index open_turn on turn(actor, position) where status = 'pending';
create table value(
    actor integer not null,
    key text not null,
    value blob not null,
    primary key(actor, key)
);
create index marked_actor on actor(type, instance, marks) where marks is not null;
"""

_MIGRATIONS: Mapping[int, str] = {
    1: """
alter table actor add column marks text;
create index marked_actor on actor(type, instance, marks) where marks is not null;
""",
}
"""What makes the version after it of a version."""

SCHEMA_VERSION = max(_MIGRATIONS) + 1
"""The `user_version` of a file that this code has made or migrated."""


def make_schema(connection: sqlite3.Connection) -> None:
    """Make the tables, or migrate those of an older version, in one transaction."""
    connection.execute("begin immediate")
    try:
        # Another host may have done it while this one waited for the lock.
        found = connection.execute("pragma user_version").fetchone()[0]
        if found == 0:
            _run(connection, _TABLES)
        else:
            for version in range(found, SCHEMA_VERSION):
                _run(connection, _MIGRATIONS[version])
        if found < SCHEMA_VERSION:
            connection.execute(f"pragma user_version={SCHEMA_VERSION}")
        connection.execute("commit")
    except sqlite3.Error:
        roll_back(connection)
        raise


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not executescript(), which commits first.
    for statement in script.split(";\n"):
        connection.execute(statement)


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, if SQLite has not done so itself."""
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("rollback")
