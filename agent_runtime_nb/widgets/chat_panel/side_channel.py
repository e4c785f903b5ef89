"""The panel's part of the side channel: Stop and approvals while a cell blocks the kernel.

While a cell runs no message of a widget gets into the kernel, on most kernels; what the
widget sends gets out all the same. So the pages of a panel send their origin, and as soon
as there is a server that they can reach, each origin is sent its addresses and a ticket.
Both are for one conversation; they end when the panel switches to another one, is
closed, or receives nothing from the page any more.

Without such a server the pages are sent the reason, so that they can show what to do.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from agent_runtime_nb.exceptions import LoopBlocked
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.side_channel.channel import (
    NoSideChannel,
    SideChannel,
    TicketGrant,
)
from agent_runtime_nb.widgets.chat_panel.panel_state import Handler, PanelState

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]{1,255}")
_MAX_ORIGINS = 8
_HAND_OVER = 5.0
_NO_ADDRESS = "This notebook's page has no web address that a server could let in."


class PanelSideChannel:
    """The tickets of one panel's pages, by origin.

    Args:
        state: what the panel shows.
        channel: gives access to the server; None: there is none.
        call: runs a function on the panel's loop, from any thread.
        receive: takes a message as if it had come over the widget channel.
        keep_alive: called when a page shows that it is still open.
    """

    def __init__(
        self,
        state: PanelState,
        channel: SideChannel | None,
        *,
        call: Callable[..., None],
        receive: Callable[[dict[str, Any]], None],
        keep_alive: Callable[[], None],
    ) -> None:
        self._state = state
        self._channel: SideChannel = channel or NoSideChannel()
        self._call = call
        self._receive = receive
        self._keep_alive = keep_alive
        self._grants: dict[str, TicketGrant | str] = {}  # or why there is none
        self._closed = False
        self.handlers: dict[str, Handler] = {"side_channel": self.on_origin}

    def open(self) -> None:
        """Follow from now on when a server starts or stops."""
        self._channel.listen(self._on_change)

    def on_origin(self, content: Mapping[str, Any]) -> None:
        """A page sends its origin, and in `state` whether it uses a ticket ("open")."""
        origin = str(content.get("origin"))
        if not _ORIGIN.fullmatch(origin):
            self._send_grant(origin[:300], _NO_ADDRESS)
            return
        grant, state = self._grants.get(origin), content.get("state")
        if isinstance(grant, TicketGrant) and state == "open" and grant.ticket.renew():
            return
        self._open(origin, is_new=state not in ("open", "closed"))

    def changed(self) -> None:
        """The panel shows another conversation, or a server has started or stopped."""
        for origin in list(self._grants):
            self._open(origin, is_new=True)

    def close(self) -> None:
        """End all tickets."""
        self._closed = True
        self._channel.unlisten(self._on_change)
        for origin in list(self._grants):
            self._forget(origin)

    def _on_change(self) -> None:
        self._call(self.changed)

    def _open(self, origin: str, *, is_new: bool) -> None:
        if self._closed:
            return
        before = self._forget(origin)
        while len(self._grants) >= _MAX_ORIGINS:
            self._forget(next(iter(self._grants)))
        grant = self._channel.open(self._state.actor_id, origin, self.deliver)
        self._grants[origin] = grant
        if is_new or grant != before:
            self._send_grant(origin, grant)

    def _forget(self, origin: str) -> TicketGrant | str | None:
        grant = self._grants.pop(origin, None)
        if isinstance(grant, TicketGrant):
            grant.ticket.revoke()
        return grant

    def _send_grant(self, origin: str, grant: TicketGrant | str) -> None:
        message: dict[str, Any] = {"type": "ticket", "origin": origin}
        if isinstance(grant, TicketGrant):
            message |= {
                "open": True,
                "ticket": grant.ticket.secret,
                "urls": list(grant.urls),
                "server": grant.server,
            }
        else:
            message |= {"open": False, "reason": grant}
        self._state.post(message)

    async def deliver(self, actor_id: ActorId, message: Mapping[str, Any]) -> bool:
        """Take a message that came over HTTP, from any loop.

        Returns:
            Whether the panel still shows that conversation, and the turn is in it.

        Raises:
            LoopBlocked: if the panel's loop does not take it in time.
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
            return  # the sender has given it up
        is_here = not self._closed and actor_id == self._state.actor_id
        if is_here and message["type"] == "ping":
            self._keep_alive()
        elif is_here:
            turn = message.get("turn") or message.get("message_id")
            is_here = self._state.transcript.turn(str(turn)) is not None
            if is_here:
                self._receive(message)
        taken.set_result(is_here)
