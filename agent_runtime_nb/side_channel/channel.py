"""Where a page may go that the widget channel does not serve, and who knows it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.side_channel.tickets import Deliver, Ticket

_log = logging.getLogger(__name__)

_OWN_LOOP = 'With start(…, loop="thread") and rt.serve(), it works while a cell runs.'
_NOT_SERVED = "After rt.serve(), it works while a cell runs."


@dataclass(frozen=True, slots=True)
class Route:
    """A way that is open to the pages of an origin.

    Attributes:
        urls: where the server may be reached; a page takes the first that answers.
        server: what the server at the right one calls itself.
        ticket: what lets the page in.
    """

    urls: tuple[str, ...]
    server: str
    ticket: Ticket


class SideChannel(Protocol):
    """Knows whether there is a server beside the widget channel; any thread."""

    def open(self, actor_id: ActorId, origin: str, deliver: Deliver) -> Route | str:
        """A way for the pages of an origin to one conversation, else why there is none.

        Args:
            actor_id: the conversation.
            origin: as a browser writes it.
            deliver: takes what comes that way.
        """
        ...

    def listen(self, changed: Callable[[], None]) -> None:
        """Call this, from any thread, when a server has begun or ended."""
        ...

    def unlisten(self, changed: Callable[[], None]) -> None:
        """Call it no more."""
        ...


class NoSideChannel:
    """There is none and will be none."""

    def open(self, actor_id: ActorId, origin: str, deliver: Deliver) -> Route | str:
        """Say what would open one."""
        del actor_id, origin, deliver
        return _OWN_LOOP

    def listen(self, changed: Callable[[], None]) -> None:
        """Nothing changes."""

    def unlisten(self, changed: Callable[[], None]) -> None:
        """Nothing does."""


class ServerSideChannel:
    """Leads to the runtime's embedded server while that runs; any thread.

    With the notebook's own loop it leads nowhere: what the server would take could not
    be done before the cell ends.

    Args:
        has_own_thread: whether the runtime's loop goes on while a cell runs.
    """

    def __init__(self, *, has_own_thread: bool) -> None:
        self._has_own_thread = has_own_thread
        self._server: Any = None
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def lead_to(self, server: Any) -> None:
        """This server was made: tell everybody when it begins and ends."""
        self._server = server
        server.tickets.on_change = self._tell

    def open(self, actor_id: ActorId, origin: str, deliver: Deliver) -> Route | str:
        """See `SideChannel`."""
        if not self._has_own_thread:
            return _OWN_LOOP
        server = self._server
        if server is None or not server.tickets.is_open:
            return _NOT_SERVED
        ways = server.ways_for(origin)
        if not ways.urls:
            return ways.problem
        ticket = server.tickets.issue(actor_id, origin, deliver)
        return Route(ways.urls, server.tickets.server, ticket)

    def listen(self, changed: Callable[[], None]) -> None:
        """Call this when a server has begun or ended."""
        with self._lock:
            self._listeners.append(changed)

    def unlisten(self, changed: Callable[[], None]) -> None:
        """Call it no more; one that never listened may say so, too."""
        with self._lock:
            if changed in self._listeners:
                self._listeners.remove(changed)

    def _tell(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for changed in listeners:
            try:
                changed()
            except Exception:
                _log.exception("a panel could not be told of the server")
