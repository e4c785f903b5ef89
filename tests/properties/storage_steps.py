"""The steps that are drawn for a storage and its model, and the changes in them."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from agent_runtime_nb.runtime_abstractions import RequestStatus
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    TurnEnd,
    TurnRecord,
)
from tests.properties.storage_model import ModelActor

ACTORS = ("a", "A", "a/%")
MESSAGES = ("m1", "m2", "m3", "m4", "m5")
KEYS = ("k", "K", "k%", "")
MARKS = ("outbox", "dead")
ENDS = (RequestStatus.COMPLETED, RequestStatus.FAILED, RequestStatus.INTERRUPTED)


@dataclass(frozen=True)
class Step:
    """A step as it was drawn: its kind, and what its making may use.

    `good`: it is meant to succeed. `flag` and `number` vary it.
    """

    kind: str
    actor: str
    message: str = ""
    key: str = ""
    number: int = 0
    good: bool = True
    flag: bool = False


Change = Callable[[ActorChange, ModelActor, Step, Callable[[], bytes]], None]
"""Fills in a change; the last argument gives a value that nobody had before."""


def _record(position: int, message_id: str, body: bytes) -> TurnRecord:
    return TurnRecord(
        position=position, message_id=message_id, body=body, accepted_at=1.5
    )


def _some_turn(actor: ModelActor, step: Step) -> int:
    """The position of an open turn, if there is one; else of any, or of none."""
    turns = [turn.position for turn in actor.open_turns()]
    if not turns or not step.good:
        turns = [*actor.turns, actor.next_position]
    return turns[step.number % len(turns)]


def accept(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """A new turn, or one whose message id is known."""
    position = actor.next_position
    change.accepted = (_record(position, step.message, value()),)
    change.started = (position,) if step.flag else ()


def accept_two(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """Two turns, which may have one message id."""
    at = actor.next_position
    other = MESSAGES[step.number % len(MESSAGES)]
    change.accepted = (
        _record(at, step.message, value()),
        _record(at + 1, other, value()),
    )
    change.started = (at + 1,) if step.flag else ()


def copy(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """A turn that arrives ended."""
    record = _record(actor.next_position, step.message, value())
    record.status = ENDS[step.number % len(ENDS)]
    record.result, record.entries = value(), b"[]"
    record.attempts, record.ended_at = 1, 2.5
    change.accepted = (record,)


def start(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """An attempt is counted."""
    change.started = (_some_turn(actor, step),)


def checkpoint(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """The partial text of a turn."""
    change.checkpoint = (_some_turn(actor, step), value())


def end(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """A turn ends."""
    change.ended = (
        TurnEnd(
            position=_some_turn(actor, step),
            status=ENDS[step.number % len(ENDS)],
            result=value(),
            ended_at=2.5,
            entries=b"[%d]" % step.number if step.flag else None,
        ),
    )


def values(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """State is set and removed."""
    change.set = {step.key: value()}
    change.remove = [key for key in KEYS[: step.number % 3] if key != step.key]


def marks(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """A mark more, a mark less."""
    added = frozenset(MARKS[: step.number % 3])
    change.add_marks, change.remove_marks = (
        added,
        frozenset(MARKS[step.number % 2 :]) - added,
    )


def commit(
    change: ActorChange, actor: ModelActor, step: Step, value: Callable[[], bytes]
) -> None:
    """The end of a turn with all that comes with it; versions are the caller's."""
    values(change, actor, step, value)
    if actor.open_turns():
        end(change, actor, step, value)
    if step.flag:
        marks(change, actor, step, value)


CHANGES: dict[str, Change] = {
    one.__name__: one
    for one in (
        *(accept, accept_two, copy, start, checkpoint, end, values, marks, commit),
    )
}

steps = st.builds(
    Step,
    kind=st.sampled_from(
        (
            *CHANGES,
            *("accept", "accept", "end", "commit", "commit"),
            *("write", "write", "claim", "delete"),
        )
    ),
    actor=st.sampled_from(ACTORS),
    message=st.sampled_from(MESSAGES),
    key=st.sampled_from(KEYS),
    number=st.integers(0, 5),
    good=st.sampled_from((True, True, True, False)),
    flag=st.booleans(),
)
