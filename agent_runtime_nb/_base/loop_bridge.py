"""Calls into the runtime's loop from any other thread or loop.

(`asyncio.isfuture` and not `isinstance`: nest_asyncio2 replaces the class.)

All state of a runtime is touched on its own loop only. A foreign caller sends a
function over and gets a future of its own loop. Calls that come close together share
one wake-up in each direction, which is five times cheaper under load than
`run_coroutine_threadsafe`. A caller whose loop is gone is simply not answered.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

from agent_runtime_nb.exceptions import NotRunning

T = TypeVar("T")

_CHECK_EVERY = 1.0  # seconds
_GONE_AFTER = 5  # checks in a row that find the loop not running

_Loop = asyncio.AbstractEventLoop
_Future = asyncio.Future[Any]


class LoopBridge:
    """Runs functions on one loop, called from any thread and any loop."""

    def __init__(self, loop: _Loop) -> None:
        self.loop = loop
        self._process = os.getpid()
        self._calls: deque[tuple[Callable[[], object], _Loop, _Future]] = deque()
        self._scheduled = False
        self._waiting: dict[_Loop, set[_Future]] = {}  # each touched on its loop only
        self._answers: dict[_Loop, list[tuple[_Future, Any, BaseException | None]]] = {}

    def check_process(self) -> None:
        """Raise NotRunning in a forked child: its copy of the loop never runs."""
        if os.getpid() != self._process:
            where = f"in process {self._process}, which this one was forked off"
            raise NotRunning(where)

    async def call(self, function: Callable[[], "T | asyncio.Future[T]"]) -> T:
        """Run `function` on the loop; if it gives a future, wait for that.

        Cancelling the wait cancels nothing on that loop.

        Raises:
            NotRunning: if the loop is closed, has not run for 5 s, or is in the
                process that this one was forked off.
        """
        loop = asyncio.get_running_loop()
        if self.loop.is_closed():
            raise NotRunning("stopped")
        if loop is self.loop:
            found = function()
            if not asyncio.isfuture(found):
                return cast("T", found)
            return await shielded(cast("asyncio.Future[T]", found))
        self.check_process()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.append((function, loop, future))
        # The drain clears the flag before it takes the calls, so whoever still sees
        # it set after adding a call is served by that drain.
        if not self._scheduled:
            self._scheduled = True
            try:
                self.loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                raise NotRunning("stopped") from None
        return await self._answer_to(loop, future)

    async def _answer_to(self, loop: _Loop, future: "asyncio.Future[T]") -> T:
        waiting = self._waiting.get(loop)
        if waiting is None:
            waiting = self._waiting[loop] = set()
            loop.call_later(_CHECK_EVERY, self._check_loop, loop, waiting, 0)
        waiting.add(future)
        try:
            return await future
        finally:
            waiting.discard(future)
            future.cancel()  # whoever answers a caller that has left is told nothing

    def _check_loop(self, loop: _Loop, waiting: set[_Future], silent: int) -> None:
        # It may end without a word to those who wait on other loops. One
        # timer for all of them, as long as there are some.
        silent = 0 if self.loop.is_running() else silent + 1
        if self.loop.is_closed() or silent >= _GONE_AFTER:
            for future in waiting:
                if not future.done():
                    future.set_exception(NotRunning("stopped"))
        elif waiting:
            loop.call_later(_CHECK_EVERY, self._check_loop, loop, waiting, silent)
            return
        self._waiting.pop(loop, None)

    def post(self, function: Callable[[], object]) -> None:
        """Run `function` on the loop, some time; nothing if it is closed."""
        try:
            self.loop.call_soon_threadsafe(function)
        except RuntimeError:
            return

    def _drain(self) -> None:
        self._scheduled = False
        while self._calls:
            function, loop, future = self._calls.popleft()
            try:
                found = function()
            except BaseException as error:
                self._answer(loop, future, None, error)
                continue
            if asyncio.isfuture(found):
                found.add_done_callback(
                    lambda done, loop=loop, future=future: self._settle(
                        loop, future, done
                    )
                )
            else:
                self._answer(loop, future, found, None)

    def _settle(self, loop: _Loop, future: _Future, done: _Future) -> None:
        if done.cancelled():
            self._answer(loop, future, None, NotRunning("stopped"))
        elif (error := done.exception()) is not None:
            self._answer(loop, future, None, error)
        else:
            self._answer(loop, future, done.result(), None)

    def _answer(
        self, loop: _Loop, future: _Future, value: object, error: BaseException | None
    ) -> None:
        answers = self._answers.setdefault(loop, [])
        answers.append((future, value, error))
        if len(answers) == 1:
            self.loop.call_soon(self._flush, loop)

    def _flush(self, loop: _Loop) -> None:
        answers = self._answers.pop(loop, None)
        if not answers:
            return
        try:
            loop.call_soon_threadsafe(_deliver, answers)
        except RuntimeError:
            return  # that loop is closed: nobody waits there any more


async def shielded(future: "asyncio.Future[T]") -> T:
    """What a future of the running loop gives; cancelling the wait leaves it alone.

    Raises:
        NotRunning: if the future itself is cancelled, as a runtime does that stops.
    """
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if future.cancelled():  # not the caller was cancelled, but what it waits for
            raise NotRunning("stopped") from None
        raise


def _deliver(answers: list[tuple[_Future, Any, BaseException | None]]) -> None:
    for future, value, error in answers:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
