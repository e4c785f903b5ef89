"""Who is alive: an operating system lock per host, freed by its death, even SIGKILL.

Every open storage holds an exclusive lock on a file of its own in a folder beside the
database. To ask whether a host lives is to try that lock; a file that is missing or
can be locked has no living owner. Locks, not process ids: ids are reused, and one
process may be several hosts. What a host has to say to those that open after it is in
its file (see `files.check_opened_by_others`).

The folder itself is locked by the host that writes just now. SQLite sees to that, too;
but its locks end when this process closes any descriptor of its files (see `files`),
and these do not.
"""

import contextlib
import errno
import hashlib
import os
import sys
import time
import weakref
from collections.abc import Generator
from pathlib import Path

_TRIES = 100  # to lock a file that others remove or look at in that moment
_LONGEST_WAIT = 5.0  # seconds for the host that writes
_BETWEEN_TRIES = 0.001
# NFS locks no folders; others have no locks at all.
_NO_LOCKS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int, *, shared: bool) -> bool:  # noqa: ARG001 - no such locks there
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int, *, shared: bool) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class HostLock:
    """Holds the lock of one host from its making to `release`.

    Args:
        folder: where the lock files of all hosts of one database are; made if missing.
        host_id: any text.

    Raises:
        FileExistsError: if a living host has this id.
        OSError: if the folder cannot be made or written.
    """

    def __init__(self, folder: Path, host_id: str) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._path = _file_of(folder, host_id)
        self._descriptor = _lock_own(self._path)
        self._folder_descriptor: int | None = None
        try:
            self._folder_descriptor = _open_folder(folder)
        except OSError:
            self.release()
            raise
        _held.add(self)

    def is_alive(self, host_id: str) -> bool:
        """Whether a host of this database holds its lock."""
        path = _file_of(self._folder, host_id)
        if path == self._path:
            return self._descriptor is not None
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two hosts that ask at once do not see each other.
            return not _try_lock(descriptor, shared=True)
        finally:
            os.close(descriptor)

    def is_alone(self) -> bool:
        """Whether no other host of this database is alive."""
        return not self.published_by_others()

    def publish(self, text: bytes) -> None:
        """Let others read a text of at most 1,000 bytes instead of the one before."""
        if self._descriptor is not None and sys.platform != "win32":
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text, 0)

    def published_by_others(self) -> list[bytes]:
        """What the other living hosts of this database have published; empty: nothing."""
        return [
            text for path in self._folder.glob("*.lock") for text in self._ask(path)
        ]

    def _ask(self, path: Path) -> Generator[bytes]:
        if path == self._path:
            return
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                if not _try_lock(descriptor, shared=True):
                    # Windows lets nobody read what is locked.
                    yield b"" if sys.platform == "win32" else os.read(descriptor, 1000)
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def writing(self) -> Generator[None]:
        """For as long as it is entered no other host of this database writes.

        Raises:
            TimeoutError: if another one does for too long.
        """
        folder = self._folder_descriptor
        if folder is None:  # a system that cannot lock it: SQLite's lock must do
            yield
            return
        if not _try_lock(folder, shared=False):
            _wait_for(folder)
        try:
            yield
        finally:
            _unlock(folder)

    def remove_dead(self) -> None:
        """Remove the files of hosts that died without closing."""
        for path in self._folder.glob("*.lock"):
            with contextlib.suppress(OSError):  # another host removes it just now
                descriptor = os.open(path, os.O_RDWR)
                try:
                    if _try_lock(descriptor, shared=False) and path != self._path:
                        _unlink(path)
                finally:
                    os.close(descriptor)

    def release(self) -> None:
        """Free the lock: the host is dead. Twice is once."""
        if self._descriptor is not None:
            _unlink(self._path)
        self.abandon()

    def abandon(self) -> None:
        """Drop the lock as a killed process does: the file stays. Twice is once."""
        own, self._descriptor = self._descriptor, None
        folder, self._folder_descriptor = self._folder_descriptor, None
        _held.discard(self)
        for descriptor in (own, folder):
            if descriptor is not None:
                os.close(descriptor)


_held: "weakref.WeakSet[HostLock]" = weakref.WeakSet()


def _forked() -> None:
    # A forked child has the open files too, and would keep a dead host alive.
    for lock in list(_held):
        lock.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _file_of(folder: Path, host_id: str) -> Path:
    # A digest, because an id may be longer than a file name or have slashes.
    return folder / f"{hashlib.sha256(host_id.encode()).hexdigest()[:32]}.lock"


def _unlink(path: Path) -> None:
    # Windows refuses to remove an open file: it is removed by a later host then.
    with contextlib.suppress(OSError):
        path.unlink()


def _lock_own(path: Path) -> int | None:
    for _ in range(_TRIES):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Between opening and locking another host may have removed the file as dead.
        if _try_lock(descriptor, shared=False) and _is_file(descriptor, path):
            if sys.platform != "win32":
                os.ftruncate(descriptor, 0)  # what one of this id said that died
            return descriptor
        os.close(descriptor)
    raise FileExistsError(f"the host of {path.name} is already open")


def _open_folder(folder: Path) -> int | None:
    """A descriptor to lock the folder by; None where that is not possible."""
    if sys.platform == "win32":  # it opens no folders
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _try_lock(descriptor, shared=False):
            _unlock(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _NO_LOCKS:
            return None
        raise
    return descriptor


def _wait_for(folder: int) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT
    while not _try_lock(folder, shared=False):
        if time.monotonic() > deadline:
            raise TimeoutError("another host writes, and does not end")
        time.sleep(_BETWEEN_TRIES)  # flock can wait, but not for a time; own thread


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
