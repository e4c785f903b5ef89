"""The lease that says that a host is alive."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from agent_runtime_nb.storage.lease import LeaseRenewer

pytestmark = pytest.mark.usefixtures("leak_check")

PATIENCE = 10.0


class Server:
    """Counts renewals; wakes whoever waits for one."""

    def __init__(self) -> None:
        self.renewals = 0
        self.released = 0
        self.threads: set[int] = set()
        self.error: Exception | None = None
        self.changed = threading.Condition()

    async def renew(self) -> None:
        self.threads.add(threading.get_ident())
        with self.changed:
            self.renewals += 1
            self.changed.notify_all()
        if self.error is not None:
            raise self.error

    async def release(self) -> None:
        self.released += 1

    def await_until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def renewer(server: Server) -> AsyncIterator[LeaseRenewer]:
    renewer = LeaseRenewer(
        server.renew, ttl=0.09, where="the server", release=server.release
    )
    yield renewer
    await renewer.close()


async def test_the_lease_is_held_once_started(server: Server, renewer: LeaseRenewer):
    assert not renewer.held

    await renewer.start()

    assert renewer.held
    assert server.renewals == 1


async def test_a_blocked_loop_does_not_let_the_lease_run_out(
    server: Server, renewer: LeaseRenewer
):
    await renewer.start()

    server.await_until(lambda: server.renewals >= 4)  # blocks this loop

    assert threading.get_ident() not in server.threads


async def test_what_the_first_renewal_raises_is_raised_by_start(
    server: Server, renewer: LeaseRenewer
):
    server.error = OSError("refused")

    with pytest.raises(OSError, match="refused"):
        await renewer.start()

    await renewer.close()
    assert (server.renewals, server.released) == (1, 0)


async def test_a_server_that_is_away_is_told_once_and_so_is_its_return(
    server: Server, renewer: LeaseRenewer, caplog: pytest.LogCaptureFixture
):
    await renewer.start()
    server.error = OSError("gone")
    seen = server.renewals
    server.await_until(lambda: server.renewals >= seen + 8)
    lost = renewer.held
    server.error = None
    server.await_until(lambda: server.renewals >= seen + 11)

    told = [record.getMessage() for record in caplog.records]

    assert lost is False
    assert renewer.held
    assert told == [
        "the lease at the server could not be renewed: gone",
        (
            "the lease at the server has run out: other hosts may take over what this "
            "one runs (gone)"
        ),
        "the lease at the server is held again",
    ]


async def test_close_releases_once(server: Server, renewer: LeaseRenewer):
    await renewer.start()

    await renewer.close()
    await renewer.close()

    assert server.released == 1


async def test_close_before_start_does_nothing(server: Server, renewer: LeaseRenewer):
    await renewer.close()

    assert server.released == 0


async def test_an_abandoned_lease_is_not_released(
    server: Server, renewer: LeaseRenewer
):
    await renewer.start()

    renewer.abandon()
    await renewer.close()

    assert server.released == 0


async def test_a_release_that_hangs_does_not_hold_close(server: Server):
    begun, end = threading.Event(), threading.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.get_running_loop().run_in_executor(None, end.wait, PATIENCE)

    renewer = LeaseRenewer(server.renew, ttl=60.0, where="the server", release=hang)
    await renewer.start()

    await asyncio.wait_for(renewer.close(timeout=0.05), PATIENCE)

    assert begun.wait(PATIENCE)
    end.set()
    await renewer.close()


async def test_a_renewal_that_hangs_is_given_up_and_tried_again(
    server: Server, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.CRITICAL)

    async def hang_after_the_first() -> None:
        await server.renew()
        if server.renewals > 1:
            await asyncio.Event().wait()

    renewer = LeaseRenewer(hang_after_the_first, ttl=0.09, where="the server")
    await renewer.start()

    server.await_until(lambda: server.renewals >= 4)

    await renewer.close()
