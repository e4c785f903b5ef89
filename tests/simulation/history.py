"""What an observer outside sees of a simulated run: he outlives every host."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus


class Finding(NamedTuple):
    """A broken promise."""

    kind: str
    text: str


@dataclass(slots=True)
class Call:
    """One `send_request`; moments are numbers that only grow, `at` is virtual time."""

    host: str
    caller: str
    moment: int
    at: float
    acknowledged: int | None = None
    acknowledged_at: float = 0.0
    refused: str | None = None


@dataclass(slots=True)
class Run:
    """One time that an actor began to process a request."""

    host: str
    at: float
    number: int
    until: float = float("inf")


class Answer(NamedTuple):
    """What a client got."""

    status: RequestStatus
    data: Any


@dataclass(slots=True)
class Asked:
    """Everything that is known of one request."""

    actor_id: ActorId
    message_id: str
    params: dict[str, Any]
    timeout: float | None = None
    calls: list[Call] = field(default_factory=list[Call])
    runs: list[Run] = field(default_factory=list[Run])
    answers: list[Answer] = field(default_factory=list[Answer])
    cancelled: bool = False  # a client was told so
    lost: bool = False  # a client that waited got an error
    cut: bool = False  # somebody tried to end it early
    told_by: "Asked | None" = None  # the turn that told it, if it was no client
    is_letter: bool = False  # a dead letter, or one that was sent again

    @property
    def acknowledged(self) -> int | None:
        """The first moment at which a client had a handle."""
        moments = [call.acknowledged for call in self.calls]
        return min((one for one in moments if one is not None), default=None)

    @property
    def is_certain(self) -> bool:
        """Whether its place is known: accepted by the first call, none failed before."""
        first = self.calls[0].acknowledged if self.calls else None
        if first is None or self.told_by is not None or self.is_letter:
            return False
        return not any(call.refused and call.moment < first for call in self.calls)

    def __str__(self) -> str:
        return f"{self.actor_id} {self.message_id}"


class History:
    """The record of one run."""

    def __init__(self) -> None:
        self.asked: dict[tuple[ActorId, str], Asked] = {}
        self.findings: list[Finding] = []
        self.trace: list[tuple[float, str, str]] = []
        # The hosts that had no trouble with their storage, and when they ended.
        self.calm: dict[str, float] = {}
        self._moments = count(1)

    def moment(self) -> int:
        """A number larger than all before."""
        return next(self._moments)

    def say(self, at: float, who: str, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append((at, who, what))

    def finds(self, kind: str, text: str) -> None:
        """A promise was seen broken."""
        self.findings.append(Finding(kind, text))

    def of_actor(self, actor_id: ActorId) -> Iterator[Asked]:
        """The requests to one actor, in the order of their first calls."""
        return (one for key, one in self.asked.items() if key[0] == actor_id)

    def letters(self, actor_id: ActorId) -> list[Asked]:
        """The requests to one actor that were dead letters at the beginning."""
        asked = self.of_actor(actor_id)
        return [one for one in asked if one.is_letter and "~" not in one.message_id]

    def lines(self) -> Iterator[str]:
        """The trace, to be read."""
        for at, who, what in self.trace:
            yield f"{at:9.4f}  {who:<8} {what}"
