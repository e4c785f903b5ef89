"""The HTTP server that a page may use beside the widget channel."""

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
class TicketGrant:
    """What the pages of an origin need to reach the server.

    Attributes:
        urls: where the server may be; a page takes the first that answers with `server`.
        server: the id of the server, see `Tickets.server`.
        ticket: what the page authenticates with.
    """

    urls: tuple[str, ...]
    server: str
    ticket: Ticket


class SideChannel(Protocol):
    """Gives pages access to a server beside the widget channel, if there is one; any thread."""

    def open(
        self, actor_id: ActorId, origin: str, deliver: Deliver
    ) -> TicketGrant | str:
        """Let the pages of an origin reach one conversation.

        Args:
            actor_id: the conversation.
            origin: as a browser writes it.
            deliver: takes the messages of the pages.

        Returns:
            What the pages need, or a sentence that says why there is no server for them.
        """
        ...

    def listen(self, changed: Callable[[], None]) -> None:
        """Call this, from any thread, when a server has started or stopped."""
        ...

    def unlisten(self, changed: Callable[[], None]) -> None:
        """Call it no more."""
        ...


class NoSideChannel:
    """The side channel where no server can be."""

    def open(
        self, actor_id: ActorId, origin: str, deliver: Deliver
    ) -> TicketGrant | str:
        """Says what would make one possible."""
        del actor_id, origin, deliver
        return _OWN_LOOP

    def listen(self, changed: Callable[[], None]) -> None:
        """Nothing changes."""

    def unlisten(self, changed: Callable[[], None]) -> None:
        """Nothing does."""


class ServerSideChannel:
    """The side channel over the runtime's embedded server while that runs; any thread.

    With the notebook's own loop it is never open: what the server received could not be
    done before the cell ends.

    Args:
        has_own_thread: whether the runtime's loop goes on while a cell runs.
    """

    def __init__(self, *, has_own_thread: bool) -> None:
        self._has_own_thread = has_own_thread
        self._server: Any = None
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def use(self, server: Any) -> None:
        """Use this server from now on; listeners are called when it starts and stops."""
        self._server = server
        server.tickets.on_change = self._notify

    def open(
        self, actor_id: ActorId, origin: str, deliver: Deliver
    ) -> TicketGrant | str:
        """See `SideChannel`."""
        if not self._has_own_thread:
            return _OWN_LOOP
        server = self._server
        if server is None or not server.tickets.is_open:
            return _NOT_SERVED
        addresses = server.addresses_for(origin)
        if not addresses.urls:
            return addresses.problem
        ticket = server.tickets.issue(actor_id, origin, deliver)
        return TicketGrant(addresses.urls, server.tickets.server, ticket)

    def listen(self, changed: Callable[[], None]) -> None:
        """Call this when the server has started or stopped."""
        with self._lock:
            self._listeners.append(changed)

    def unlisten(self, changed: Callable[[], None]) -> None:
        """Call it no more; nothing happens if it never listened."""
        with self._lock:
            if changed in self._listeners:
                self._listeners.remove(changed)

    def _notify(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for changed in listeners:
            try:
                changed()
            except Exception:
                _log.exception("a listener of the side channel failed")
