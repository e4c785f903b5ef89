"""The file of the SQLite storage: making, opening and checking it; its errors.

The folder is 0700 and the files 0600 from the moment they exist (SQLite gives its
side files the mode of the database).
"""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from agent_runtime_nb.exceptions import (
    Conflict,
    Corrupt,
    Full,
    ReadOnly,
    SchemaTooNew,
    StorageError,
    TooLarge,
    Unavailable,
)

MAX_VALUE = 8 * 1024 * 1024
"""The most bytes of one value."""

SCHEMA_VERSION = 1

# An actor's row stays when the actor is deleted: it holds the epoch and the positions.
# Positions that a deleted actor had used are below first_position.
_SCHEMA = """
create table host(id text primary key, name text not null) without rowid;
create table actor(
    n integer primary key,
    type text not null,
    instance text not null,
    epoch integer not null default 0,
    owner text,
    etag text,
    first_position integer not null default 1,
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
"""

_BUSY_MS = 5000
_CHECK_SECONDS = 2.0

# Shared memory, which WAL needs, does not work across machines, and some of these
# answer "wal" and fail later.
_NETWORK = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre"),
    *("ncpfs", "nfs", "nfs3", "nfs4", "ntfs3", "ocfs2", "prl_fs", "smb3", "smbfs"),
    "vboxsf",
}

Synchronous = Literal["FULL", "NORMAL"]


def is_network_path(path: Path, mount_table: str) -> bool:
    """Whether a path is on a network file system, by the text of /proc/mounts."""
    best, kind = -1, ""
    for line in mount_table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # Spaces and the like are octal there.
        point = fields[1].encode().decode("unicode_escape").encode("latin-1")
        mount = Path(os.fsdecode(point))
        if len(mount.parts) >= best and path.is_relative_to(mount):
            best, kind = len(mount.parts), fields[2]
    return kind in _NETWORK or kind.startswith("fuse.")


def make_file(path: Path) -> None:
    """Make sure that the file exists and can be written, with its folder.

    Raises:
        OSError: if not.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if not os.access(path.parent, os.W_OK):  # SQLite puts files beside it
        raise PermissionError(errno.EACCES, "the folder is not writable")


def open_writer(
    path: Path, *, synchronous: Synchronous, network: bool
) -> sqlite3.Connection:
    """The connection that writes; the schema is there and the file was checked.

    Raises:
        SchemaTooNew, Corrupt: and the file is as it was.
        sqlite3.Error: see `translate`.
    """
    deadline = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            return _open_writer(path, synchronous=synchronous, network=network)
        except sqlite3.OperationalError as error:
            # While another host makes the file, the switch to WAL is refused at once:
            # SQLite does not wait where waiting could be a deadlock.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _open_writer(
    path: Path, *, synchronous: Synchronous, network: bool
) -> sqlite3.Connection:
    connection = _connect(path)
    try:
        _check_version(connection, path)
        connection.execute(f"pragma journal_mode={'delete' if network else 'wal'}")
        connection.execute(f"pragma synchronous={synchronous}")
        connection.execute("pragma journal_size_limit=67108864")
        connection.execute("pragma cache_size=-16000")
        _check_pages(connection, path)
        _make_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads."""
    connection = _connect(path)
    connection.execute("pragma query_only=on")
    return connection


def close_writer(connection: sqlite3.Connection) -> None:
    """Move everything into the main file, as far as others allow, and close."""
    with contextlib.suppress(sqlite3.Error):  # what stays in the log is not lost
        connection.execute("pragma busy_timeout=1000")
        connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    connection.execute(f"pragma busy_timeout={_BUSY_MS}")
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    # Both from one snapshot: another host may be making the schema at this moment.
    connection.execute("begin")
    (found,) = connection.execute("pragma user_version").fetchone()
    tables = connection.execute("select count(*) from sqlite_master").fetchone()[0]
    connection.execute("commit")
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(str(path), found, SCHEMA_VERSION)
    if found == 0 and tables:
        raise Corrupt(str(path), "it is a database of another program")


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Look for damage, for a bounded time: a large file is checked in part."""
    deadline = time.monotonic() + _CHECK_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        finding = connection.execute("pragma quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        finding = "ok"
    finally:
        connection.set_progress_handler(None, 0)
    if finding != "ok":
        raise Corrupt(str(path), finding.splitlines()[0])


def _make_schema(connection: sqlite3.Connection) -> None:
    connection.execute("begin immediate")
    try:
        # Another host may have made it while this one waited for the lock.
        if connection.execute("pragma user_version").fetchone()[0] == 0:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"pragma user_version={SCHEMA_VERSION}")
        connection.execute("commit")
    except sqlite3.Error:
        roll_back(connection)
        raise


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, if SQLite has not done so itself."""
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("rollback")


def _full(where: str, _: object) -> StorageError:
    return Full(where)


def _read_only(where: str, _: object) -> StorageError:
    return ReadOnly(where)


def _corrupt(where: str, reason: object) -> StorageError:
    return Corrupt(where, str(reason))


def _too_large(where: str, _: object) -> StorageError:
    return TooLarge(f"a value for {where}", MAX_VALUE + 1, MAX_VALUE)


def _constraint(where: str, reason: object) -> StorageError:
    return Conflict(where, "an unused position", reason)


_Make = Callable[[str, object], StorageError]

_BY_CODE: dict[int, _Make] = {
    sqlite3.SQLITE_FULL: _full,
    sqlite3.SQLITE_IOERR_SHMSIZE: _full,
    sqlite3.SQLITE_READONLY: _read_only,
    sqlite3.SQLITE_CORRUPT: _corrupt,
    sqlite3.SQLITE_NOTADB: _corrupt,
    sqlite3.SQLITE_TOOBIG: _too_large,
    sqlite3.SQLITE_CONSTRAINT: _constraint,
}

_BY_ERRNO: dict[int | None, _Make] = {
    errno.ENOSPC: _full,
    errno.EDQUOT: _full,
    errno.EROFS: _read_only,
    errno.EACCES: _read_only,
    errno.EPERM: _read_only,
}


def translate(error: Exception, where: str) -> Exception:
    """The error of our tree for one of SQLite or the system; others stay themselves."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        make = _BY_CODE.get(code) or _BY_CODE.get(code & 0xFF)
        translated = make(where, error) if make else Unavailable(where, error)
    elif isinstance(error, OSError):
        make = _BY_ERRNO.get(error.errno)
        translated = make(where, error) if make else Unavailable(where, error)
    else:
        return error
    translated.__cause__ = error
    return translated
