"""A host's life on a server: a lease that is renewed as long as the process lives.

The lease is kept on a thread with an event loop of its own, so that a notebook cell that
blocks the runtime's loop does not let it run out. Losing it is no disaster: others may
then take actors over, and the epoch refuses what their former owner still writes.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future as ThreadFuture

from agent_runtime_nb.exceptions import reason_of

_log = logging.getLogger(__name__)


async def _nothing() -> None:
    pass


class LeaseRenewer:
    """Calls `renew` every third of `ttl`, from `start` until `close`.

    `renew` and `release` only ever run on the renewer's own loop, never both at once:
    what they connect belongs to that loop. A renewal that takes longer than a third of
    `ttl`, or raises, is tried again at the next turn; that is logged once, and once
    more when the lease has run out, and when it is held again.

    Args:
        renew: makes the host alive for `ttl` seconds from now, also if it was not.
        ttl: how long others hold the host for alive after a renewal, in seconds.
        where: names the storage in what is logged; without secrets.
        release: makes the host dead and disconnects; its errors are logged.
    """

    def __init__(
        self,
        renew: Callable[[], Awaitable[None]],
        *,
        ttl: float,
        where: str,
        release: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._renew = renew
        self._release: Callable[[], Awaitable[None]] | None = release
        self._ttl = ttl
        self._where = where
        self._started: ThreadFuture[None] = ThreadFuture()
        self._ended: ThreadFuture[None] = ThreadFuture()
        for future in (self._started, self._ended):
            future.set_running_or_notify_cancel()  # so that no waiter can cancel it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._lock = threading.Lock()
        self._closing = False
        self._held_until = 0.0
        self._state = "held"

    @property
    def held(self) -> bool:
        """Whether the lease has been renewed in the last `ttl` seconds."""
        return time.monotonic() < self._held_until

    async def start(self) -> None:
        """Renew for the first time; from now on the host is alive. Once only.

        Raises:
            Exception: what the first `renew` raised; nothing runs then.
        """
        threading.Thread(
            target=self._work, name=f"lease {self._where}", daemon=True
        ).start()
        await asyncio.shield(asyncio.wrap_future(self._started))

    async def close(self, timeout: float = 5.0) -> None:
        """Release the lease, wait at most `timeout` seconds for it. Twice is once."""
        self.stop()
        if self._loop is not None or self._started.done():
            with contextlib.suppress(TimeoutError):
                ended = asyncio.shield(asyncio.wrap_future(self._ended))
                await asyncio.wait_for(ended, timeout)

    def abandon(self) -> None:
        """End as the death of the process would: the lease runs out by itself."""
        self._release = None
        self.stop()

    def stop(self) -> None:
        """As `close`, without waiting; from any thread."""
        with self._lock:
            self._closing = True
            loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(stop.set)

    def _work(self) -> None:
        try:
            asyncio.run(self._keep())
        finally:
            self._ended.set_result(None)

    async def _keep(self) -> None:
        stop = asyncio.Event()
        with self._lock:
            self._loop, self._stop = asyncio.get_running_loop(), stop
            if self._closing:
                stop.set()
        try:
            await self._renew_in_time(self._ttl)
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        while not await _is_set(stop, self._ttl / 3):
            await self._try_to_renew()
        if self._release is not None:
            try:
                await asyncio.wait_for(self._release(), self._ttl)
            except Exception as error:
                _log.info("the lease at %s runs out: %s", self._where, reason_of(error))

    async def _renew_in_time(self, seconds: float) -> None:
        begun = time.monotonic()
        await asyncio.wait_for(self._renew(), seconds)
        self._held_until = begun + self._ttl

    async def _try_to_renew(self) -> None:
        try:
            await self._renew_in_time(self._ttl / 3)
        except Exception as error:
            self._tell("missed" if self.held else "lost", reason_of(error))
        else:
            self._tell("held", "")

    def _tell(self, state: str, reason: str) -> None:
        """Log what has changed, and only that."""
        if state == self._state:
            return
        self._state = state
        if state == "missed":
            _log.warning(
                "the lease at %s could not be renewed: %s", self._where, reason
            )
        elif state == "lost":
            _log.warning(
                "the lease at %s has run out: other hosts may take over what this "
                "one runs (%s)",
                self._where,
                reason,
            )
        else:
            _log.warning("the lease at %s is held again", self._where)


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
