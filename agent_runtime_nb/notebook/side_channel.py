"""The road to the embedded server, for panels that a cell keeps from being heard."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from agent_runtime_nb.notebook.loop import LoopKind
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.widgets.chat_panel.side_channel import Deliver, Route

_log = logging.getLogger(__name__)

_OWN_LOOP = 'With start(…, loop="thread") and rt.serve(), it works while a cell runs.'
_NOT_SERVED = "After rt.serve(), it works while a cell runs."


class ServerSideChannel:
    """Leads to the runtime's embedded server while that runs; any thread.

    With the notebook's own loop it leads nowhere: what the server would take could not
    be done before the cell ends.

    Args:
        loop: whose loop the runtime lives on.
    """

    def __init__(self, loop: LoopKind) -> None:
        self._loop = loop
        self._server: Any = None
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def lead_to(self, server: Any) -> None:
        """This server was made: tell everybody when it begins and ends."""
        self._server = server
        server.tickets.on_change = self._tell

    def open(self, actor_id: ActorId, origin: str, deliver: Deliver) -> Route | str:
        """See `widgets._second_road.Road`."""
        if self._loop != "thread":
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
