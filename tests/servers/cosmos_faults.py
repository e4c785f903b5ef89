"""A reverse proxy before the Cosmos emulator that understands requests.

Plain HTTP on a free loopback port, on a thread with a loop of its own. What it answers
in the server's place, it answers as Cosmos DB does.
"""

import asyncio
import contextlib
import io
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future as ThreadFuture
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "host"}
_BATCH = "x-ms-cosmos-is-batch-request"
_QUERY = "x-ms-documentdb-isquery"


@dataclass
class Seen:
    """A request that came in, and what was answered; status 0: nothing."""

    method: str
    path: str
    batch: bool
    at: float = field(default_factory=time.monotonic)
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Answer = Callable[[], Awaitable[web.StreamResponse]]
Fault = Callable[[Seen, web.Request, Answer], Awaitable[web.StreamResponse]]


class CosmosFaults:
    """Forwards requests; a context manager that is listening from `with` on.

    Attributes:
        endpoint: where it listens; the same as long as it lives.
        seen: all requests so far.

    Args:
        target: the emulator's endpoint.
    """

    def __init__(self, target: str) -> None:
        self.endpoint = ""
        self.seen: list[Seen] = []
        self._target = target
        self._port = 0
        self._fault: Fault | None = None
        self._ahead = timedelta()
        self._refusing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        self.endpoint = f"http://127.0.0.1:{self._port}"
        return self

    @property
    def batches(self) -> list[Seen]:
        """The batches among the requests so far."""
        return [seen for seen in self.seen if seen.batch]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # --- the faults

    def heal(self) -> None:
        """Pass everything on."""
        self._refusing = False
        self._fault = None
        self._ahead = timedelta()
        self._do(self._listen())

    def down(self) -> None:
        """Cut every connection and refuse new ones."""
        self._do(self._shut())

    def slow(self, seconds: float, *, method: str | None = None) -> None:
        """Hold every answer back for so long (`method`: to these requests)."""

        async def fault(
            seen: Seen, request: web.Request, answer: Answer
        ) -> web.StreamResponse:
            if method in (None, seen.method):
                await _hold(seconds)
            return await answer()

        self._fault = fault

    def refuse(
        self,
        status: int,
        *,
        times: int = 10**9,
        after: int = 0,
        batches_only: bool = True,
        substatus: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Answer with an error instead of asking the server.

        Args:
            status: HTTP status.
            times: how often.
            after: how many requests of the kind pass before.
            batches_only: whether all else passes.
            substatus: Cosmos DB's own code.
            retry_after: in seconds, as the server would tell it.
        """
        headers: dict[str, str] = {}
        if substatus is not None:
            headers["x-ms-substatus"] = str(substatus)
        if retry_after is not None:
            headers["x-ms-retry-after-ms"] = str(int(retry_after * 1000))
        numbers = itertools.count()

        async def fault(
            seen: Seen, request: web.Request, answer: Answer
        ) -> web.StreamResponse:
            if batches_only and not seen.batch:
                return await answer()
            if not after <= next(numbers) < after + times:
                return await answer()
            body = {"code": str(status), "message": "injected"}
            return web.json_response(body, status=status, headers=headers)

        self._fault = fault

    def cut_after_commit(
        self, *, times: int = 1, hang: bool = False
    ) -> threading.Event:
        """Let a batch take effect, then cut the connection (`hang`: be silent).

        Returns:
            Set when it has happened for the first time.
        """
        done = threading.Event()
        left = [times]

        async def fault(
            seen: Seen, request: web.Request, answer: Answer
        ) -> web.StreamResponse:
            response = await answer()
            if not seen.batch or left[0] <= 0:
                return response
            left[0] -= 1
            done.set()
            if hang:
                await asyncio.Event().wait()
            assert request.transport is not None
            request.transport.abort()
            return response

        self._fault = fault
        return done

    def cut_after_commit_and(self, meanwhile: Callable[[], None]) -> None:
        """As `cut_after_commit`, after `meanwhile` has run, on a thread of its own."""
        left = [1]

        async def fault(
            seen: Seen, request: web.Request, answer: Answer
        ) -> web.StreamResponse:
            response = await answer()
            if not seen.batch or left[0] <= 0:
                return response
            left[0] -= 1
            await asyncio.to_thread(meanwhile)
            assert request.transport is not None
            request.transport.abort()
            return response

        self._fault = fault

    def refuse_connections(self) -> None:
        """As `down`, from within a fault: open connections are cut by that."""
        self._refusing = True

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, at most 10 s, until something has been seen."""
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0)

    def run_before_query(self, work: Callable[[], None]) -> None:
        """Hold the next query back until `work`, on a thread of its own, is done."""
        left = [1]

        async def fault(
            seen: Seen, request: web.Request, answer: Answer
        ) -> web.StreamResponse:
            if _QUERY in request.headers and left[0] > 0:
                left[0] -= 1
                await asyncio.to_thread(work)
            return await answer()

        self._fault = fault

    def clock_ahead(self, seconds: float) -> None:
        """Let the server's answers tell a later time."""
        self._ahead = timedelta(seconds=seconds)

    # --- on the loop of the thread

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        done: ThreadFuture[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        done.result(20)

    async def _listen(self) -> None:
        if self._runner is not None:
            return
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=0), auto_decompress=False
        )
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port)
        await site.start()
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def _shut(self) -> None:
        runner, self._runner = self._runner, None
        client, self._client = self._client, None
        if runner is not None:
            await runner.cleanup()
        if client is not None:
            await client.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, request.path, _BATCH in request.headers)
        self.seen.append(seen)
        if self._refusing:
            assert request.transport is not None
            request.transport.abort()
        body = await request.read()

        async def forward() -> web.StreamResponse:
            return await self._forward(request, body)

        fault = self._fault
        response = await (fault(seen, request, forward) if fault else forward())
        seen.status, seen.headers = response.status, response.headers
        return response

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        assert self._client is not None
        kept = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP
        }
        url = URL(self._target + request.raw_path, encoded=True)
        data = io.BytesIO(body) if body else None  # a large one as bytes is warned of
        async with self._client.request(
            request.method, url, headers=kept, data=data
        ) as found:
            headers = {
                name: value
                for name, value in found.headers.items()
                if name.lower() not in _HOP_BY_HOP
            }
            headers["Date"] = self._date(found.headers.get("Date"))
            content = await found.read()
            return web.Response(status=found.status, headers=headers, body=content)

    def _date(self, told: str | None) -> str:
        now = parsedate_to_datetime(told) if told else datetime.now(UTC)
        return format_datetime(now + self._ahead, usegmt=True)


async def _hold(seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)
