"""The limit of a value, checked before a change is queued."""

from collections.abc import Mapping

from agent_runtime_nb.exceptions import TooLarge
from agent_runtime_nb.runtime_abstractions import (
    Encoded,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
)


def check_sizes(change: ActorChange, limit: int) -> None:
    """Raise TooLarge if a value of the change has more than `limit` bytes."""
    for turn in change.accepted:
        for part in (turn.body, turn.result, turn.entries, turn.checkpoint):
            _check(part, "request", turn.message_id, limit)
    for end in change.ended:
        _check(end.result, "the response of turn", end.position, limit)
        _check(end.entries, "the entries of turn", end.position, limit)
    if change.checkpoint is not None:
        position, progress = change.checkpoint
        _check(progress, "the checkpoint of turn", position, limit)
    if change.set:
        check_values(change.set, limit)


def check_values(values: Mapping[str, Encoded], limit: int) -> None:
    """Raise TooLarge if a value has more than `limit` bytes."""
    for key, value in values.items():
        _check(value, "the value of", key, limit)


def _check(value: Encoded | None, what: str, which: object, limit: int) -> None:
    if value is not None and len(value) > limit:
        raise TooLarge(f"{what} {which!r}", len(value), limit)
