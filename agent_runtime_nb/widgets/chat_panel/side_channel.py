"""A second road for what must land: Stop, and answers to approvals.

While a cell blocks the kernel no message of a widget gets in, on most kernels; what the
widget sends gets out all the same. So the pages of a panel say which origin they have,
and as soon as there is a server that they can reach, each origin is told by message
where it is and given a ticket. Both are for one conversation; they end when the panel
switches to another one, is closed, or is not heard of any more.

Where no road is open the pages are told why, so that they can say what to do.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from agent_runtime_nb.exceptions import LoopBlocked
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.side_channel.channel import NoSideChannel, Route, SideChannel
from agent_runtime_nb.widgets.chat_panel.stage import Handler, PanelState

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]{1,255}")
_MAX_ORIGINS = 8
_HAND_OVER = 5.0
_NO_ADDRESS = "This notebook's page has no web address that a server could let in."


class PanelSideChannel:
    """The kernel's side of it, for one panel.

    Args:
        stage: what the panel shows.
        road: where it may lead; None: nowhere.
        call: runs a function on the home loop, from any thread.
        receive: takes a message as if it had come over the widget channel.
        keep_alive: says that somebody looks at the panel.
    """

    def __init__(
        self,
        stage: PanelState,
        road: SideChannel | None,
        *,
        call: Callable[..., None],
        receive: Callable[[dict[str, Any]], None],
        keep_alive: Callable[[], None],
    ) -> None:
        self._stage = stage
        self._road: SideChannel = road or NoSideChannel()
        self._call = call
        self._receive = receive
        self._keep_alive = keep_alive
        self._ways: dict[str, Route | str] = {}
        self._closed = False
        self.handlers: dict[str, Handler] = {"side_channel": self.asked}

    def open(self) -> None:
        """Hear from now on when a server begins or ends."""
        self._road.listen(self._on_change)

    def asked(self, content: Mapping[str, Any]) -> None:
        """A page says its origin, and whether it has a way ("open", else anything)."""
        origin = str(content.get("origin"))
        if not _ORIGIN.fullmatch(origin):
            self._tell(origin[:300], _NO_ADDRESS)
            return
        way, state = self._ways.get(origin), content.get("state")
        if isinstance(way, Route) and state == "open" and way.ticket.renew():
            return
        self._open(origin, is_new=state not in ("open", "closed"))

    def changed(self) -> None:
        """The panel shows another conversation, or a server has begun or ended."""
        for origin in list(self._ways):
            self._open(origin, is_new=True)

    def close(self) -> None:
        """End all tickets."""
        self._closed = True
        self._road.unlisten(self._on_change)
        for origin in list(self._ways):
            self._forget(origin)

    def _on_change(self) -> None:
        self._call(self.changed)

    def _open(self, origin: str, *, is_new: bool) -> None:
        if self._closed:
            return
        before = self._forget(origin)
        while len(self._ways) >= _MAX_ORIGINS:
            self._forget(next(iter(self._ways)))
        way = self._road.open(self._stage.actor_id, origin, self.deliver)
        self._ways[origin] = way
        if is_new or way != before:
            self._tell(origin, way)

    def _forget(self, origin: str) -> Route | str | None:
        way = self._ways.pop(origin, None)
        if isinstance(way, Route):
            way.ticket.revoke()
        return way

    def _tell(self, origin: str, way: Route | str) -> None:
        message: dict[str, Any] = {"type": "ticket", "origin": origin}
        if isinstance(way, Route):
            message |= {
                "open": True,
                "ticket": way.ticket.secret,
                "urls": list(way.urls),
                "server": way.server,
            }
        else:
            message |= {"open": False, "reason": way}
        self._stage.post(message)

    async def deliver(self, actor_id: ActorId, message: Mapping[str, Any]) -> bool:
        """Take what came over the road, from any loop.

        Returns:
            Whether the panel still shows that conversation, and the turn is in it.

        Raises:
            LoopBlocked: if the panel's loop does not get to it in time.
        """
        taken: Future[bool] = Future()
        self._call(self._take, actor_id, dict(message), taken)
        try:
            async with asyncio.timeout(_HAND_OVER):
                return await asyncio.wrap_future(taken)
        except TimeoutError:
            raise LoopBlocked(_HAND_OVER) from None

    def _take(
        self, actor_id: ActorId, message: dict[str, Any], taken: "Future[bool]"
    ) -> None:
        if not taken.set_running_or_notify_cancel():
            return  # whoever sent it was told that it did not arrive
        is_here = not self._closed and actor_id == self._stage.actor_id
        if is_here and message["type"] == "ping":
            self._keep_alive()
        elif is_here:
            turn = message.get("turn") or message.get("message_id")
            is_here = self._stage.transcript.turn(str(turn)) is not None
            if is_here:
                self._receive(message)
        taken.set_result(is_here)
