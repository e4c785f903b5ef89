"""The limit of a value, looked at before a change is queued."""

from collections.abc import Mapping

from agent_runtime_nb.exceptions import TooLarge
from agent_runtime_nb.runtime_abstractions import (
    Encoded,
)
from agent_runtime_nb.storage.sqlite._database import MAX_VALUE
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
)


def check_sizes(change: ActorChange) -> None:
    """Raise TooLarge if a value of the change is over the limit."""
    for turn in change.accepted:
        _check(turn.body, "request", turn.message_id)
    for end in change.ended:
        _check(end.result, "the response of turn", end.position)
        _check(end.entries, "the entries of turn", end.position)
    if change.checkpoint is not None:
        _check(change.checkpoint[1], "the checkpoint of turn", change.checkpoint[0])
    if change.set:
        check_values(change.set)


def check_values(values: Mapping[str, Encoded]) -> None:
    """Raise TooLarge if a value is over the limit."""
    for key, value in values.items():
        _check(value, "the value of", key)


def _check(value: Encoded | None, what: str, which: object) -> None:
    if value is not None and len(value) > MAX_VALUE:
        raise TooLarge(f"{what} {which!r}", len(value), MAX_VALUE)
