"""The writer of a host: runs groups of steps, on its thread, into files that are its own."""

import contextlib
import logging
import sqlite3

from agent_runtime_nb.exceptions import StorageLost
from agent_runtime_nb.storage.sqlite.database import empty_log, translate
from agent_runtime_nb.storage.sqlite.files import LATELY, OpenFiles
from agent_runtime_nb.storage.sqlite.group import SqliteGroup, SqliteStep
from agent_runtime_nb.storage.sqlite.host_lock import HostLock
from agent_runtime_nb.storage_abstractions import HostInfo

_log = logging.getLogger(__name__)


class GroupWriter:
    """The writer of one host: runs groups, on its thread, into files that are its own.

    Args:
        connection: the only one of this host that writes; closed by `close`.
        host: who writes.
        lock: this host's, and by it the others are known.
        files: what the connection has open.
        where: names the storage in errors.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        host: HostInfo,
        lock: HostLock,
        files: OpenFiles,
        where: str,
    ) -> None:
        self._connection = connection
        self._host = host
        self._lock = lock
        self._files = files
        self._where = where
        self._saved = False

    def run(self, steps: list[SqliteStep]) -> list[object]:
        """Run steps as one transaction; an outcome each, exceptions for those that failed.

        If the group as a whole fails (no space for one large value, ...), each step is
        run alone, so that only those fail that cannot be done.
        """
        try:
            self._files.check(lately=LATELY)
            with self._lock.writing():
                self._connection.execute("begin immediate")
                outcomes = self._commit(steps)
            # It was committed, but perhaps into what nobody will ever open again.
            self._files.check()
        except (sqlite3.Error, OSError, StorageLost) as error:
            if isinstance(error, StorageLost):
                self._save()
            return [translate(error, self._where) for _ in steps]
        if outcomes is None:
            return [self.run([step])[0] for step in steps]
        return outcomes

    def close(self) -> None:
        """Leave one whole file, as far as others allow."""
        self._save()
        self._files.release()
        self._connection.close()

    def _commit(self, steps: list[SqliteStep]) -> list[object] | None:
        """The outcomes; None if each step has to be run alone."""
        group = SqliteGroup(
            self._connection, self._host, self._lock.is_alive, self._where
        )
        try:
            return group.run(steps)
        except Exception as error:
            if len(steps) == 1:
                return [translate(error, self._where)]
            _log.warning("a group of %d steps is run one by one: %s", len(steps), error)
            return None

    def _save(self) -> None:
        """Move what is in the log into the database, if both are still this host's.

        Where they were taken away, it is the last that can be done for what was
        acknowledged before: the database, wherever it is now, has it then, and no log
        is left that would be taken for that of the next database of this name.
        """
        if self._saved or not self._files.may_be_written:
            return
        self._saved = self._files.is_lost
        with contextlib.suppress(OSError), self._lock.writing():
            empty_log(self._connection)
