"""The file of the SQLite storage: making, opening and checking it; its errors.

The folder is 0700 and the files 0600 from the moment they exist (SQLite gives its
side files the mode of the database).
"""

import contextlib
import errno
import os
import shlex
import sqlite3
import stat
import sys
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
from agent_runtime_nb.storage.sqlite.schema import SCHEMA_VERSION

MAX_VALUE = 8 * 1024 * 1024
"""The most bytes of one value."""

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
OnCorrupt = Literal["refuse", "fresh"]


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

    A file that exists is not opened; see `files` for why.

    Raises:
        OSError: if not.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        with contextlib.suppress(FileExistsError):  # another host was faster
            _make_empty(path)
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, "the file is not writable")
    if not os.access(path.parent, os.W_OK):  # SQLite puts files beside it
        raise PermissionError(errno.EACCES, "the folder is not writable")


if sys.platform == "linux":

    def _make_empty(path: Path) -> None:
        # Not by opening: another thread may have it open before this one closes it.
        os.mknod(path, stat.S_IFREG | 0o600)

else:

    def _make_empty(path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def open_writer(
    path: Path, *, synchronous: Synchronous, network: bool
) -> sqlite3.Connection:
    """The connection that writes; the file was checked, and may have no schema yet.

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
        _check_pages(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads."""
    connection = _connect(path)
    try:
        connection.execute("pragma query_only=on")
        connection.execute("select count(*) from host").fetchone()  # opens all files
    except BaseException:
        connection.close()
        raise
    return connection


def has_log(connection: sqlite3.Connection) -> bool:
    """Whether the database has a write-ahead log."""
    return connection.execute("pragma journal_mode").fetchone()[0] == "wal"


def empty_log(connection: sqlite3.Connection) -> None:
    """Move everything into the main file, as far as others allow."""
    with contextlib.suppress(sqlite3.Error):  # what stays in the log is not lost
        connection.execute("pragma busy_timeout=1000")
        connection.execute("pragma wal_checkpoint(truncate)")


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


def _check_pages(connection: sqlite3.Connection) -> None:
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
        error = sqlite3.DatabaseError(finding.splitlines()[0])
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def is_damage(error: BaseException) -> bool:
    """Whether an error says that a database of ours is damaged."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF == sqlite3.SQLITE_CORRUPT


def rename_damaged(path: Path) -> Path:
    """Rename the file, with what SQLite keeps beside it; its new path."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    renamed = path.with_name(f"{path.name}.corrupt-{stamp}")
    for side in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + side).rename(f"{renamed}{side}")
    return renamed


def _full(where: str, _: object) -> StorageError:
    return Full(where)


def _read_only(where: str, _: object) -> StorageError:
    return ReadOnly(where)


def _corrupt(where: str, reason: object) -> StorageError:
    saving = f"`sqlite3 {shlex.quote(where)} .recover` shows what can be saved"
    return Corrupt(where, f"{reason}; {saving}")


def _no_database(where: str, reason: object) -> StorageError:
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
    sqlite3.SQLITE_NOTADB: _no_database,
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
