"""A numbered log from the kernel to the front ends of one widget.

The kernel keeps the whole picture; front ends start from a snapshot of it and follow
numbered *batches* of changes. Messages do get lost (Jupyter Server drops them silently
above its rate limit), so a front end that misses a number asks for the snapshot again.

A batch that only goes on with the text to which the last one had added is that text
alone: an answer streams in hundreds of them, and naming the item would outweigh the text.

A snapshot is asked for on any thread and at any time. It carries the number of the last
batch that it contains: asking for one seals the batch that is being gathered, so a
batch is contained in a snapshot either whole or not at all.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

Change: TypeAlias = dict[str, Any]
"""One change of the picture, JSON; `{"op": ...}` names its kind."""


class MessageBudget:
    """Spreads the messages of many widgets over time; any thread.

    Jupyter Server drops messages above its rate limit, counted for all widgets of a
    notebook together, so these share one budget. Each channel has at most one message
    reserved, hence the turns go round.
    """

    def __init__(self, per_second: float = 150.0) -> None:
        self._gap = 1.0 / per_second
        self._lock = threading.Lock()
        self._next = 0.0

    def reserve(self, wait: float) -> float:
        """Seconds until a message may be sent, at least `wait`.

        A message that waits longer than it must counts against the budget all the
        same, so that whoever gathers for long holds nobody up.
        """
        now = time.monotonic()
        with self._lock:
            self._next = max(now, self._next + self._gap)
            return max(wait, self._next - now)


SHARED_BUDGET = MessageBudget()
"""The budget of this process: it has one connection to Jupyter Server."""


class Channel:
    """Gathers changes into numbered batches and sends them at a bounded rate.

    Args:
        send: sends one message to all front ends.
        describe: makes the picture as JSON that shares nothing with the caller.
        collect: gives further changes when a batch is sealed, for whoever keeps what
            is dirty rather than what was done.
        loop: the loop that changes the picture.
        wait: seconds between two messages; what changes in between is gathered. A
            change after a longer rest is sent at once.
        budget: shared with the other widgets.
    """

    def __init__(
        self,
        send: Callable[[Change], None],
        describe: Callable[[], Change],
        collect: Callable[[], list[Change]],
        loop: asyncio.AbstractEventLoop,
        *,
        wait: float = 0.05,
        budget: MessageBudget = SHARED_BUDGET,
    ) -> None:
        self._send = send
        self._describe = describe
        self._collect = collect
        self._loop = loop
        self._wait = wait
        self._budget = budget
        self._lock = threading.Lock()
        self._open: list[Change] = []
        self._sealed: list[Change] = []
        self._seq = 0
        self._last_append: Change | None = None  # where the last batch has added text
        self._snapshot_wanted = False
        self._timer: asyncio.TimerHandle | None = None
        self._next = loop.time()  # when a message may be sent

    @property
    def seq(self) -> int:
        """The number of the last batch that was made."""
        return self._seq

    @contextmanager
    def change(self) -> Generator[Callable[[Change], None]]:
        """Change the picture in here and emit each change; on the loop only."""
        with self._lock:
            yield self._add
        self._schedule()

    def publish_snapshot(self) -> None:
        """Send the whole picture instead of what is waiting; on the loop only."""
        self._snapshot_wanted = True
        self._schedule()

    def snapshot(self) -> Change:
        """The picture and the number of the last batch in it; any thread."""
        with self._lock:
            self._seal()
            # Whoever starts from here does not know that change.
            self._last_append = None
            return {"seq": self._seq, **self._describe()}

    def rest(self) -> float:
        """Seconds until changes are sent again; on the loop only.

        Whoever makes many changes one by one saves work by making them together then.
        """
        return max(0.0, self._next - self._loop.time())

    def flush(self) -> None:
        """Send what is waiting now; on the loop only."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next = self._loop.time() + self._wait
        if self._snapshot_wanted:
            self._snapshot_wanted = False
            snapshot = self.snapshot()
            with self._lock:
                self._sealed.clear()
            self._send({"type": "snapshot", "snapshot": snapshot})
            return
        with self._lock:
            self._seal()
            batches, self._sealed = self._sealed, []
        for batch in batches:
            self._send(batch)

    def close(self) -> None:
        """Send nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._schedule = lambda: None

    def _add(self, change: Change) -> None:
        last = self._open[-1] if self._open else None
        if last is not None and _continues(last, change):
            last["text"] += change["text"]
        else:
            self._open.append(change)

    def _seal(self) -> None:
        changes, self._open = self._open + self._collect(), []
        if not changes:
            return
        self._seq += 1
        batch: Change = {"type": "batch", "seq": self._seq}
        last = changes[-1]
        if (
            len(changes) == 1
            and self._last_append
            and _continues(self._last_append, last)
        ):
            batch["text"] = last["text"]
        else:
            batch["changes"] = changes
        self._last_append = last if last["op"] == "append" else None
        self._sealed.append(batch)

    def _schedule(self) -> None:
        if self._timer is None:
            delay = self._budget.reserve(self.rest())
            self._timer = self._loop.call_later(delay, self.flush)


def _continues(last: Change, change: Change) -> bool:
    """Whether both append to the same text."""
    return change["op"] == "append" == last["op"] and all(
        last[key] == change[key] for key in ("id", "index", "field")
    )
