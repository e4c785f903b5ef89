"""The listeners of a runtime's events."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack

from agent_runtime_nb.runtime_events import (
    RuntimeEvent,
    RuntimeListener,
    TurnScope,
    TurnStarted,
)

_log = logging.getLogger(__name__)


class Listeners:
    """The listeners by kind of event. Ask `wants` before making an event."""

    def __init__(self) -> None:
        self._by_kind: dict[type[RuntimeEvent], tuple[RuntimeListener, ...]] = {}
        self._scopes: tuple[TurnScope, ...] = ()
        self.has_scopes = False  # whether somebody wraps turns
        self.any = False  # whether somebody listens to some kind

    def add(self, listener: RuntimeListener) -> Callable[[], None]:
        """Tell a listener from now on; returns what removes it. Twice is once."""
        kinds = listener.kinds
        for kind in kinds:
            known = self._by_kind.get(kind, ())
            if not any(one is listener for one in known):
                self._by_kind[kind] = (*known, listener)
        self.any = bool(self._by_kind)

        def remove() -> None:
            for kind in kinds:
                left = tuple(
                    one for one in self._by_kind.get(kind, ()) if one is not listener
                )
                if left:
                    self._by_kind[kind] = left
                else:
                    self._by_kind.pop(kind, None)
            self.any = bool(self._by_kind)

        return remove

    def add_scope(self, scope: TurnScope) -> Callable[[], None]:
        """Wrap turns from now on; returns what removes it."""
        self._scopes = (*self._scopes, scope)
        self.has_scopes = True

        def remove() -> None:
            self._scopes = tuple(one for one in self._scopes if one is not scope)
            self.has_scopes = bool(self._scopes)

        return remove

    def wants(self, kind: type[RuntimeEvent]) -> bool:
        """Whether somebody listens to this kind."""
        return kind in self._by_kind

    def tell(self, event: RuntimeEvent) -> None:
        """Tell everybody who listens to the event's kind."""
        for listener in self._by_kind.get(type(event), ()):
            try:
                listener.on_event(event)
            except Exception:
                _log.exception("listener %r failed on %s", listener, type(event))

    def outgoing_headers(self) -> Mapping[str, str]:
        """The headers of all scopes, from the sender's context."""
        headers: dict[str, str] = {}
        for scope in self._scopes:
            try:
                headers.update(scope.outgoing_headers())
            except Exception:
                _log.exception("scope %r failed to give headers", scope)
        return headers

    def turn_scope(self, started: TurnStarted) -> AbstractContextManager[object]:
        """All scopes of one turn, entered; the caller closes it in the same task."""
        stack = ExitStack()
        for scope in self._scopes:
            try:
                entered = scope.turn_scope(started)
                entered.__enter__()
            except Exception:
                _log.exception("scope %r failed to enter a turn", scope)
            else:
                stack.callback(_leave, scope, entered)
        return stack


def _leave(scope: TurnScope, entered: AbstractContextManager[None]) -> None:
    try:
        entered.__exit__(None, None, None)
    except Exception:
        _log.exception("scope %r failed to leave a turn", scope)
