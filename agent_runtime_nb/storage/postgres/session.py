"""What exists while a storage is open: threads, connections, the lease."""

import asyncio
import logging
import os
from asyncio import Future
from collections.abc import Awaitable, Callable
from concurrent.futures import Future as ThreadFuture
from typing import Any, TypeVar

from agent_runtime_nb._base.loop_thread import LoopEnded, LoopThread
from agent_runtime_nb.exceptions import OutcomeUnknown, StorageClosed, Unavailable
from agent_runtime_nb.storage.group_commit import GroupWorker
from agent_runtime_nb.storage.lease import LeaseRenewer
from agent_runtime_nb.storage.postgres.driver import Connection
from agent_runtime_nb.storage.postgres.errors import (
    CommitUnknown,
    is_of_one_step,
    translate,
)
from agent_runtime_nb.storage.postgres.group import (
    PostgresGroup,
    PostgresStep,
    in_bounds,
)
from agent_runtime_nb.storage.postgres.host import PostgresHostLease, add_host
from agent_runtime_nb.storage.postgres.reads import Fetch
from agent_runtime_nb.storage.postgres.schema import make_schema
from agent_runtime_nb.storage.postgres.server import Server
from agent_runtime_nb.storage.postgres.statements import Statements
from agent_runtime_nb.storage.postgres.target import Target
from agent_runtime_nb.storage_abstractions import ActorChange, HostInfo

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Session:
    """From `open` to `end`; everything it needs is on its own threads.

    Args:
        target: where.
        statements: for the tables there.
        server: the connections; used on this session's thread only.
        host: who.
        ttl: seconds after its death until others may have its actors.
    """

    def __init__(
        self,
        target: Target,
        statements: Statements,
        server: Server,
        host: HostInfo,
        ttl: float,
    ) -> None:
        self.host = host
        self.process = os.getpid()
        self._target = target
        self._statements = statements
        self._server = server
        self._ttl = ttl
        lease = PostgresHostLease(server, statements, host, ttl)
        self.renewer = LeaseRenewer(
            lease.renew, ttl=ttl, where=target.location, release=lease.release
        )
        self._thread = LoopThread(f"postgres {target.location}")
        self._writer: GroupWorker[PostgresStep] | None = None

    async def open(self) -> None:
        """Connect, make the schema, come alive; once only.

        Raises:
            StorageError: and nothing is left of the session.
        """
        opening = self._thread.submit(self._open())
        opening.add_done_callback(self._opened)
        try:
            await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(self._close_unwanted)
            raise

    async def _open(self) -> None:
        async def prepare(connection: Connection) -> None:
            await make_schema(connection, self._target)
            await add_host(
                connection, self._statements, self._target, self.host, self._ttl
            )
            await self._warn_of_loss(connection)

        try:
            await self._server.open()
            await self._server.write(prepare)
            await self.renewer.start()
        except BaseException as error:
            self.renewer.abandon()
            await self._server.close()
            found = error.__cause__ if isinstance(error, CommitUnknown) else error
            raise translate(found or error, self._target) from None
        self._writer = GroupWorker(
            self._run_steps, where=self._target.location, at_end=self._disconnect
        )

    async def _warn_of_loss(self, connection: Connection) -> None:
        for setting in ("fsync", "synchronous_commit"):
            if (
                await connection.fetchval(f"select current_setting('{setting}')")
                == "off"
            ):
                _log.warning(
                    "%s has %s = off: what was acknowledged may be lost with the power",
                    self._target.location,
                    setting,
                )

    def _opened(self, opening: "ThreadFuture[None]") -> None:
        if opening.cancelled() or opening.exception() is not None:
            self._thread.stop()

    def _close_unwanted(self, opening: "ThreadFuture[None]") -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.end()

    def end(self) -> None:
        """Take no more steps; those called are written, then everything ends."""
        if self._writer is not None:
            self._writer.end()

    async def close(self) -> None:
        """As `end`, and wait for it; cancelling the wait cancels nothing."""
        if self._writer is not None:
            await self._writer.close()

    def _disconnect(self) -> None:
        """The last act, on the writer's thread."""
        try:
            asyncio.run(self.renewer.close())
            self._thread.submit(self._server.close()).result()
        except Exception:
            _log.exception("leaving %s", self._target.location)
        self._thread.stop()

    # --- steps

    def submit(self, step: PostgresStep) -> "Future[Any]":
        """Queue a step; see `GroupWorker.submit`."""
        if self._writer is None:
            raise StorageClosed(self._target.location)
        return self._writer.submit(step)

    def _run_steps(self, steps: list[PostgresStep]) -> list[object]:
        outcomes: list[object] = []
        for group in in_bounds(steps):
            outcomes += self._thread.submit(self._run_group(group)).result()
        return outcomes

    async def _run_group(self, steps: list[PostgresStep]) -> list[object]:
        """An outcome for each step.

        If the group as a whole fails (no space for one large value, ...), each step is
        run alone, so that only those fail that cannot be done.
        """

        def work(connection: Connection) -> Awaitable[list[object]]:
            return PostgresGroup(connection, self._statements, self.host).run(steps)

        try:
            return await self._server.write(work)
        except Exception as error:
            if len(steps) == 1 or not is_of_one_step(error):
                return [self._failure(step, error) for step in steps]
            reason = translate(error, self._target)
        _log.warning("a group of %d steps is run one by one: %s", len(steps), reason)
        return await self._run_singly(steps)

    async def _run_singly(self, steps: list[PostgresStep]) -> list[object]:
        outcomes: list[object] = []
        for step in steps:
            last = outcomes[-1] if outcomes else None
            if isinstance(last, Unavailable) and last.retryable:
                # Not each of them waits for a server that is gone by now.
                outcomes.append(Unavailable(self._target.location, "it has just gone"))
            else:
                outcomes += await self._run_group([step])
        return outcomes

    def _failure(self, step: PostgresStep, error: Exception) -> BaseException:
        if not isinstance(error, CommitUnknown):
            return translate(error, self._target)
        change = step.argument
        commit = change.new_etag if isinstance(change, ActorChange) else None
        unknown = OutcomeUnknown(step.actor_id, commit or f"({step.verb.__name__})")
        unknown.__cause__ = error.__cause__
        return unknown

    # --- reads

    async def read(self, read: Callable[[Fetch], Awaitable[T]]) -> T:
        """What `read` makes of the rows it asks for.

        Raises:
            StorageError: if they cannot be had.
        """
        try:
            return await self._thread.run(self._read(read))
        except LoopEnded:
            raise StorageClosed(self._target.location) from None

    async def _read(self, read: Callable[[Fetch], Awaitable[T]]) -> T:
        try:
            return await read(self._server.read)
        except Exception as error:
            found = translate(error, self._target)
            if found is error:
                raise
            raise found from found.__cause__
