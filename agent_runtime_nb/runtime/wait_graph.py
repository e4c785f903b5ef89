"""Which turn waits for which actor: finds asks that would wait for each other for ever.

Within a host there is a graph of the actors whose turns wait for an answer of another
actor. Across hosts a request carries the chain of actors that wait for it.
"""

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol

import orjson

from agent_runtime_nb.exceptions import DeadlockDetected
from agent_runtime_nb.runtime_abstractions import ActorId

CHAIN = "call-chain"
"""The metadata header with the turns that wait for a request, the first one first.

A JSON list of `[actor, message id]`.
"""

LONGEST_CHAIN = 32
"""Asks within asks beyond this depth are taken for a loop of ever new actors."""

_TRACE_HEADERS = ("traceparent", "tracestate", "baggage")


class Processed(Protocol):
    """A turn that is being processed."""

    @property
    def message_id(self) -> str:
        """Of its request."""
        ...


class Asking(Protocol):
    """The turn that is asking, as its asks see it."""

    @property
    def actor_id(self) -> ActorId:
        """Who asks."""
        ...

    @property
    def turn(self) -> Processed | None:
        """What is being processed, None between turns and when it was given up."""
        ...

    @property
    def is_asking(self) -> bool:
        """Whether the turn goes on."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The headers of the request being processed."""
        ...

    def time_left(self) -> float:
        """Seconds until the turn must end."""
        ...


ASKING: ContextVar[Asking | None] = ContextVar("asking", default=None)
"""The turn on whose behalf the present code runs, None outside turns."""


class Wait(NamedTuple):
    """A turn that waits for an answer of another actor."""

    asking: Asking
    turn: Processed | None
    asked: ActorId

    @property
    def holds(self) -> bool:
        """Whether the turn goes on; what a turn has left behind holds nobody up."""
        return self.turn is not None and self.asking.turn is self.turn


class WaitGraph:
    """The waits within one runtime; from any thread, an agent's own included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[ActorId, list[Wait]] = {}

    def path(self, start: ActorId, end: ActorId) -> tuple[ActorId, ...] | None:
        """The actors from `start` to `end`, each waiting for the next; None: no way."""
        ways: list[tuple[ActorId, ...]] = [(start,)]
        seen = {start}
        while ways:
            way = ways.pop()
            if way[-1] == end:
                return way
            for wait in self._waits.get(way[-1], ()):
                if wait.asked not in seen and wait.holds:
                    seen.add(wait.asked)
                    ways.append((*way, wait.asked))
        return None

    def check(self, asker: ActorId, asked: ActorId) -> None:
        """Refuse an ask that would be waited for by what it waits for.

        Raises:
            DeadlockDetected: naming the actors in the order in which they wait.
        """
        with self._lock:
            self._check(asker, asked)

    def _check(self, asker: ActorId, asked: ActorId) -> None:
        if self._waits or asker == asked:
            way = self.path(asked, asker)
            if way is not None:
                raise DeadlockDetected((asker, *way))

    @contextmanager
    def waiting(self, wait: Wait) -> Generator[None]:
        """While the block runs, a turn waits for an answer.

        Raises:
            DeadlockDetected: before the wait begins.
        """
        asker = wait.asking.actor_id
        with self._lock:
            self._check(asker, wait.asked)
            waits = self._waits.setdefault(asker, [])
            waits.append(wait)
        try:
            yield
        finally:
            with self._lock:
                waits.remove(wait)
                if not waits:
                    self._waits.pop(asker, None)


def outgoing(
    asking: Asking, asked: ActorId, may_wait: Callable[[ActorId, str], bool]
) -> dict[str, str]:
    """The headers that an ask of a turn takes along.

    Args:
        asking: the turn.
        asked: whom it asks.
        may_wait: whether a turn of `asked` may still wait for what it has asked.

    Raises:
        DeadlockDetected: if a turn of the actor that is asked waits for this very turn.
    """
    stored: list[list[str] | str] = orjson.loads(asking.metadata.get(CHAIN, "[]"))
    # Earlier versions of this package have stored the actors alone.
    chain = [(one[0], one[1]) for one in stored if isinstance(one, list)]
    actors, name = [actor for actor, _ in chain], str(asked)
    for place, (actor, message_id) in enumerate(chain):
        if actor == name and may_wait(asked, message_id):
            raise DeadlockDetected((*actors[place:], asking.actor_id, asked))
    own = str(asking.actor_id)
    if own == name:
        raise DeadlockDetected((own, name))
    if len(chain) >= LONGEST_CHAIN:
        raise DeadlockDetected((*actors, own, asked))
    if (turn := asking.turn) is not None:
        chain.append((own, turn.message_id))
    return {CHAIN: orjson.dumps(chain).decode(), **trace_headers(asking.metadata)}


def trace_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """What of a request's headers follows it into the requests that it causes."""
    return {name: metadata[name] for name in _TRACE_HEADERS if name in metadata}


def within_turn(
    timeout: float | None, metadata: Mapping[str, str] | None
) -> tuple[float | None, Mapping[str, str] | None]:
    """The deadline and the headers of a request to actors of another runtime.

    If a turn sends it: no more than the time that is left, and the turn's trace. Not
    who waits for whom: over there the same id may be another actor's.
    """
    asking = ASKING.get()
    if asking is None or not asking.is_asking:
        return timeout, metadata
    left = asking.time_left()
    headers = {**trace_headers(asking.metadata), **(metadata or {})}
    return (left if timeout is None else min(left, timeout)), headers or None
