"""The files of an open database: its locks cannot be lost, and their loss is seen.

SQLite on POSIX keeps a shared lock on the database, and one on its -shm, for as long as
a connection is open: they keep the last other connection from deleting the write-ahead
log. But POSIX drops *all* locks of a process on a file as soon as the process closes
*any* descriptor of it, so `shutil.copy("state.db", ...)` in a cell ends them unseen.

Two things follow. Nothing in this package opens these files but SQLite. And SQLite's own
descriptors get the same locks a second time, of the kind that belongs to the open file
and not to the process (Linux has it): only closing that very descriptor, which SQLite
does last, ends them. Nothing is opened for it, so nothing has to be closed.

The locks of a single read or write, which come and go, cannot be had twice. Writers
exclude each other by a lock of their own (see `host_lock`). A read sets a lock beside
SQLite's that ends when they do, and looks afterwards whether it is still there.

Without a log, on network file systems, none of this is possible: SQLite itself ends all
its locks with every read and write. There only the next paragraph holds.

What no lock prevents, the deletion or replacement of a file by its name, is looked for
around each commit: a commit into files that nobody will open again is not acknowledged.
"""

import contextlib
import errno
import json
import os
import secrets
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from agent_runtime_nb.exceptions import StorageLost, Unavailable

LATELY = 0.05
"""Seconds within which files need not be looked at twice, before a commit or a read."""

_Identity = tuple[int, int]
"""Device and inode: they are not used again while the file is open."""

# SQLite's file format: the bytes of the lock "shared", and of "somebody has -shm open".
_SHARED = (0x40000002, 510)
_IN_USE = (128, 1)

_SIDES = ("", "-wal", "-shm")
"""What the names of a database with a write-ahead log end in."""

_DESCRIPTORS = "/proc/self/fd"


class _Process:
    """Which databases this process has open, how often, and which its parent had."""

    def __init__(self, inherited: frozenset[_Identity] = frozenset()) -> None:
        self.lock = threading.Lock()
        self.opened: Counter[_Identity] = Counter()
        self.inherited = inherited


_process = _Process()  # locks and forks are the process's, so this is, too


def _forked() -> None:
    global _process  # noqa: PLW0603 - the child is another process
    _process = _Process(frozenset(_process.opened) | _process.inherited)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def check_not_inherited(path: Path) -> None:
    """Refuse a database that was open here when this process was forked.

    SQLite believes in such a child that it has the locks of its parent.

    Raises:
        Unavailable: if it was.
        OSError: if there is no such file.
    """
    if _identity_of(path) in _process.inherited:
        forked = "this process was forked while it was open"
        raise Unavailable(str(path), f'{forked}; start it anew, as by "spawn"')


def check_single_name(path: Path) -> None:
    """Refuse a database with several names (hard links).

    SQLite names what is beside it after the name it is opened by: by another name it
    would not find what is only in the write-ahead log, and overwrite it.

    Raises:
        Unavailable: if it has.
        OSError: if there is no such file.
    """
    links = path.stat().st_nlink
    if links > 1:
        reason = (
            f"it is one file under {links} names (hard links): keep only one of them"
        )
        raise Unavailable(str(path), reason)


def check_opened_by_others(path: Path, published: Callable[[], list[bytes]]) -> None:
    """Refuse files of which a living host has some, but not all, open.

    It has not noticed yet that the others were deleted or replaced. SQLite would make
    the missing ones anew, and then nobody could save what is only in those that it has.

    Args:
        path: of the database, without links.
        published: asks for the `OpenFiles.published` of each living host.

    Raises:
        Unavailable: if it is so.
        OSError: if that cannot be seen.
    """
    for text in published():
        changed = [
            name
            for name, *identity in json.loads(text or "[]")
            if _identity_if_any(f"{path}{name}") != tuple(identity)
        ]
        in_part = changed and len(changed) < len(_SIDES)
        # A host that closes takes back what it has published, then SQLite removes files.
        if in_part and text in published():
            names = ", ".join(f"{path.name}{name}" for name in changed)
            reason = f"a host that is alive has another {names} open: stop it first"
            raise Unavailable(str(path), reason)


class OpenFiles:
    """Holds and watches the files of a database that SQLite has opened just now.

    Args:
        path: of the database, without links.
        wal: whether it has a write-ahead log.

    Raises:
        StorageLost: if they are not what SQLite has open.
        OSError: if they cannot be looked at, or another process wants them for itself.
    """

    def __init__(self, path: Path, *, wal: bool) -> None:
        self._where = str(path)
        self._wal = wal
        self._lost = ""
        self._seen = 0.0
        names = _SIDES if wal else ("",)
        self._identities = {
            f"{path}{name}": _identity_of(f"{path}{name}") for name in names
        }
        self._database = self._identities[self._where]
        self._canary = _Canary(self._identities[f"{path}-shm"]) if wal else None
        with _process.lock:
            if wal:
                _lock(self._database, *_SHARED)
                _lock(self._identities[f"{path}-shm"], *_IN_USE)
            _process.opened[self._database] += 1
        self.check()

    @property
    def published(self) -> bytes:
        """What they are, for `check_opened_by_others`."""
        start = len(self._where)
        found = [(name[start:], *one) for name, one in self._identities.items()]
        return json.dumps(found).encode()

    @property
    def is_lost(self) -> bool:
        """Whether `check` has failed."""
        return bool(self._lost)

    @property
    def may_be_written(self) -> bool:
        """Whether no file of somebody else with one of these names has any content.

        Whoever only looks at a database whose log was deleted makes an empty one.
        """
        sides = [name for name in self._identities if name != self._where]
        with contextlib.suppress(OSError):
            return all(
                not Path(name).exists()
                or _identity_of(name) == self._identities[name]
                or not Path(name).stat().st_size
                for name in sides
            )
        return False

    def check(self, *, lately: float = 0.0) -> None:
        """See that each file is still there under its name; once not, never again.

        Args:
            lately: seconds within which an earlier look is good enough.

        Raises:
            StorageLost: if not.
            OSError: if that cannot be seen.
        """
        now = time.monotonic()
        if not self._lost and now - self._seen >= lately:
            self._lost = self._look()
            self._seen = now
        if self._lost:
            raise StorageLost(self._where, self._lost)

    def begin_read(self) -> None:
        """Before SQLite takes the locks of a read; on the reader's thread."""
        if self._canary is not None:
            self._canary.set()

    def read_was_locked(self) -> bool:
        """Whether SQLite's locks have held since `begin_read`, as far as can be seen."""
        return self._canary is None or self._canary.is_alive()

    def release(self) -> None:
        """Let SQLite close the files, and as the last one remove what is beside them.

        What is lost stays locked until it is closed: so SQLite, which goes by names,
        removes nothing that is somebody else's.
        """
        with _process.lock:
            _process.opened[self._database] -= 1
            if not _process.opened[self._database]:
                del _process.opened[self._database]
                if self._wal and not self._lost:
                    with contextlib.suppress(OSError):  # then what is beside them stays
                        _unlock(self._database, *_SHARED)

    def _look(self) -> str:
        for name, identity in self._identities.items():
            try:
                found = os.stat(name)  # noqa: PTH116 - it is part of every commit
            except (FileNotFoundError, NotADirectoryError):
                return f"{name} was deleted or moved away"
            if (found.st_dev, found.st_ino) != identity:
                return f"{name} is another file now"
            if not found.st_size and name == self._where:
                return f"{name} was emptied"
        return ""


def _identity_of(path: str | Path) -> _Identity:
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _identity_if_any(path: str) -> _Identity | None:
    with contextlib.suppress(FileNotFoundError):
        return _identity_of(path)
    return None


class _Canary:
    """A lock of this process, on a byte of a file that nobody else locks.

    It ends when the process closes any descriptor of the file, and so exactly when
    SQLite's locks on the file do. (Not on a database without log: there SQLite itself
    ends all locks, with every transaction.)
    """

    def __init__(self, file: _Identity) -> None:
        self._file = file
        self._byte = 2**60 + secrets.randbits(60)
        self._descriptor = self._find_descriptor()

    def set(self) -> None:
        # If it cannot be set it is not alive, and the read is made again.
        with contextlib.suppress(OSError):
            if self._descriptor is not None and not _is_of(
                self._descriptor, self._file
            ):
                self._descriptor = self._find_descriptor()  # it was not SQLite's
            if self._descriptor is not None:
                _set_process_lock(self._descriptor, self._byte)

    def is_alive(self) -> bool:
        return self._descriptor is None or _has_process_lock(
            self._descriptor, self._byte
        )

    def _find_descriptor(self) -> int | None:
        return next(iter(_descriptors_of(self._file)), None)


if sys.platform == "linux":
    import fcntl

    def _lock(file: _Identity, start: int, length: int) -> None:
        _lock_descriptors(file, _request(fcntl.F_RDLCK, start, length))

    def _unlock(file: _Identity, start: int, length: int) -> None:
        _lock_descriptors(file, _request(fcntl.F_UNLCK, start, length))

    def _lock_descriptors(file: _Identity, request: bytes) -> None:
        """On every descriptor of the file: SQLite's are among them."""
        for descriptor in _descriptors_of(file):
            try:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
            except OSError as error:
                # EBADF: it was closed, or is somebody else's, for writing only; EINVAL:
                # a kernel without such locks. Else another process wants it alone.
                if error.errno not in (errno.EBADF, errno.EINVAL):
                    raise

    def _set_process_lock(descriptor: int, byte: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_SETLK, _request(fcntl.F_RDLCK, byte, 1))

    def _has_process_lock(descriptor: int, byte: int) -> bool:
        # For the open file a lock of the process is a stranger's, so it is in the way.
        wanted = _request(fcntl.F_WRLCK, byte, 1)
        try:
            found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, wanted)
        except OSError as error:
            return error.errno == errno.EINVAL  # a kernel without such locks
        return not found.startswith(struct.pack("h", fcntl.F_UNLCK))

    def _request(kind: int, start: int, length: int) -> bytes:
        return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0)

else:  # no such locks: what is lost is still seen

    def _lock(file: _Identity, start: int, length: int) -> None: ...

    def _unlock(file: _Identity, start: int, length: int) -> None: ...

    def _set_process_lock(descriptor: int, byte: int) -> None: ...

    def _has_process_lock(_descriptor: int, _byte: int) -> bool:
        return True


def _descriptors_of(file: _Identity) -> list[int]:
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 - numbers, no paths
    except FileNotFoundError:  # a system without
        return []
    return [descriptor for descriptor in map(int, names) if _is_of(descriptor, file)]


def _is_of(descriptor: int, file: _Identity) -> bool:
    try:
        found = os.fstat(descriptor)
    except OSError:  # it is closed by now
        return False
    return (found.st_dev, found.st_ino) == file
