"""What the widgets share: a view of something alive, watched only while displayed.

Widget messages arrive on different threads, at different times, in the ipykernels that
are in use; so a handler here does one thing, it hands a copy over to the widget's loop.

A front end says that it is there when it starts and every few seconds while it is on
screen. Without that a widget lets its tasks end after a while, and starts anew, from
a fresh picture, when it is seen again. Nothing tells a kernel reliably that a view
is gone, hence a lease.
"""

import asyncio
import contextvars
import copy
import logging
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeAlias, cast

import anywidget
import traitlets

from agent_runtime_nb._base.tasks import TaskOwner
from agent_runtime_nb._base.untrusted_json import as_object
from agent_runtime_nb.conversations.safe_markdown import to_html
from agent_runtime_nb.exceptions import AgentRuntimeError, NotRunning
from agent_runtime_nb.widgets.channel import (
    SHARED_BUDGET,
    Change,
    Channel,
    MessageBudget,
)

_Bundle: TypeAlias = tuple[dict[str, Any], dict[str, Any]]

_log = logging.getLogger(__name__)


def is_over(error: AgentRuntimeError) -> bool:
    """Whether the runtime was stopped: it never comes back, so asking again is vain."""
    return isinstance(error, NotRunning) and error.state in ("stopping", "stopped")


def _snapshot_to_json(_value: object, widget: "LiveWidget") -> dict[str, Any]:
    return widget.channel.snapshot()


def _ignore_front_end(_value: object, _widget: "LiveWidget") -> dict[str, Any]:
    return {}


class LiveWidget(anywidget.AnyWidget):
    """A widget whose picture is made on an event loop while it is displayed.

    Subclasses describe the picture, follow their source in `_follow`, and answer
    messages in `_on_message`; all of that runs on the widget's loop.

    Args:
        loop: the event loop on which its tasks run; None is the running one.
        wait: seconds in which changes are gathered before they are sent.
        lease: seconds without a sign of life after which watching ends.
        budget: of messages; all widgets of a process share one.
    """

    snapshot = traitlets.Dict().tag(
        sync=True, to_json=_snapshot_to_json, from_json=_ignore_front_end
    )
    """Never assigned, so it causes no traffic: each front end that asks for the
    widget's state gets the present picture."""

    _ended = True  # until it has begun: a widget whose making failed is also closed

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop | None,
        wait: float,
        lease: float = 150.0,
        budget: MessageBudget = SHARED_BUDGET,
        **options: Any,
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._lease = lease
        self._lease_timer: asyncio.TimerHandle | None = None
        # What a handler prints belongs to the cell that made the widget.
        self._context = contextvars.copy_context()
        self._owner = TaskOwner(type(self).__name__)
        self._following: asyncio.Task[None] | None = None
        self._loaded = threading.Event()
        self.channel = Channel(
            self._post,
            self._describe,
            self._collect,
            self._loop,
            wait=wait,
            budget=budget,
        )
        super().__init__(**options)
        self._ended = False
        self.on_msg(self._hand_over)  # pyright: ignore[reportUnknownMemberType]

    # --- any thread -------------------------------------------------------------------

    def close(self) -> None:
        """End the widget's tasks and remove it from all front ends."""
        if not self._ended:
            self._ended = True
            self._call(self._shut)
        super().close()

    def _call(self, function: Any, *args: Any) -> None:
        """Run a function on the widget's loop; nothing happens if that is closed."""
        try:
            self._loop.call_soon_threadsafe(function, *args, context=self._context)
        except RuntimeError:
            _log.debug("the loop of %r is closed", self)

    def _hand_over(self, _widget: object, content: Any, _buffers: object) -> None:
        self._call(self._receive, copy.deepcopy(content))

    def _show(self) -> None:
        """Somebody is about to display the widget: give the picture a moment to load.

        Only a thread other than the widget loop's may wait for that loop.
        """
        self._call(self._attach)
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is not self._loop and self._loop.is_running():
            self._loaded.wait(0.5)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        self._show()
        bundle = cast("_Bundle | None", super()._repr_mimebundle_(**options))  # pyright: ignore[reportUnknownMemberType]
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, **self._texts()}, metadata

    def _texts(self) -> dict[str, str]:
        """What stands in the output for whoever cannot show widgets, by media type."""
        return {"text/plain": repr(self), "text/html": to_html(self.to_markdown())}

    def to_markdown(self) -> str:
        """What the widget shows, for whoever cannot show widgets."""
        raise NotImplementedError

    # --- on the widget's loop ---------------------------------------------------------

    def _describe(self) -> dict[str, Any]:
        """The picture as JSON that shares nothing; called under the channel's lock."""
        raise NotImplementedError

    def _collect(self) -> list[Change]:
        """Changes that were not emitted when they were made; under the channel's lock."""
        return []

    async def _follow(self) -> None:
        """Keep the picture up to date until cancelled."""
        raise NotImplementedError

    def _on_message(self, kind: str, content: dict[str, Any]) -> None:
        """A message of a front end, besides the ones that keep the widget alive."""
        raise NotImplementedError

    def _receive(self, content: Any) -> None:
        if self._ended:
            return
        message = as_object(content)
        kind = message.get("type")
        self._attach()
        if kind == "ping":
            self._send_pong()
        elif kind == "resync":
            self.channel.publish_snapshot()
        elif isinstance(kind, str):
            self._on_message(kind, message)

    def _send_pong(self) -> None:
        """Lets a front end see that it missed a batch with no further one behind it."""
        self._post({"type": "pong", "seq": self.channel.seq, "now": time.time()})

    def _post(self, message: dict[str, Any]) -> None:
        """Send a message to all front ends; from any thread."""
        self.send(message)  # pyright: ignore[reportUnknownMemberType]

    def _attach(self) -> None:
        if self._ended:
            return
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        self._lease_timer = self._loop.call_later(self._lease, self._detach)
        if self._following is None or self._following.done():
            self._following = self._spawn(self._follow(), "follow")

    def _detach(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None

    def _refollow(self) -> None:
        """Follow anew, for the source has changed."""
        self._detach()
        self._attach()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._owner.spawn(work, name=f"{type(self).__name__}.{name}")

    def _shut(self) -> None:
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        self.channel.close()
        self._spawn(self._end_tasks(), "close")

    async def _end_tasks(self) -> None:
        await self._owner.close()
