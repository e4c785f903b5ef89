"""Who waits for whom: finds asks that would wait for each other for ever.

Within a host there is a graph of the actors whose turns wait for an answer of another
actor. Across hosts a request carries the chain of actors that wait for it.
"""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import orjson

from agent_runtime_nb.exceptions import DeadlockDetected
from agent_runtime_nb.runtime_abstractions import ActorId

CHAIN = "call-chain"
"""The metadata header with the actors that wait for a request, the first one first."""

LONGEST_CHAIN = 32
"""Asks within asks beyond this depth are taken for a loop of ever new actors."""

_TRACE_HEADERS = ("traceparent", "tracestate", "baggage")


class Asking(Protocol):
    """The turn that is asking, as its asks see it."""

    @property
    def actor_id(self) -> ActorId:
        """Who asks."""
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


class WaitGraph:
    """The waits within one runtime; from any thread, an agent's own included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[ActorId, list[ActorId]] = {}

    def path(self, start: ActorId, end: ActorId) -> tuple[ActorId, ...] | None:
        """The actors from `start` to `end`, each waiting for the next; None: no way."""
        ways: list[tuple[ActorId, ...]] = [(start,)]
        seen = {start}
        while ways:
            way = ways.pop()
            if way[-1] == end:
                return way
            for one in self._waits.get(way[-1], ()):
                if one not in seen:
                    seen.add(one)
                    ways.append((*way, one))
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
    def waiting(self, asker: ActorId, asked: ActorId) -> Generator[None]:
        """While the block runs, a turn of `asker` waits for an answer of `asked`.

        Raises:
            DeadlockDetected: before the wait begins.
        """
        with self._lock:
            self._check(asker, asked)
            waits = self._waits.setdefault(asker, [])
            waits.append(asked)
        try:
            yield
        finally:
            with self._lock:
                waits.remove(asked)
                if not waits:
                    self._waits.pop(asker, None)


def outgoing(turn: Asking, asked: ActorId) -> dict[str, str]:
    """The headers that an ask or a tell of a turn takes along.

    Raises:
        DeadlockDetected: if the actor that is asked waits for this very turn.
    """
    chain: list[str] = orjson.loads(turn.metadata.get(CHAIN, "[]"))
    chain.append(str(turn.actor_id))
    if str(asked) in chain:
        raise DeadlockDetected((*chain[chain.index(str(asked)) :], asked))
    if len(chain) > LONGEST_CHAIN:
        raise DeadlockDetected((*chain, asked))
    return {CHAIN: orjson.dumps(chain).decode(), **trace_headers(turn.metadata)}


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
