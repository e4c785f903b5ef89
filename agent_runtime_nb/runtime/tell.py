"""A message that an actor sends after the commit of the turn that made it, as stored.

It is a state value under "$outbox/<turn>.<number>", `[message id, target, [method,
params, metadata]]`; an actor that has one has the mark "outbox".
"""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from agent_runtime_nb.exceptions import InvalidActorId
from agent_runtime_nb.runtime_abstractions import OWN_KEYS, ActorId, Encoded

OUTBOX = f"{OWN_KEYS}outbox/"
OUTBOX_MARK = "outbox"
OUTBOX_MARKS = frozenset({OUTBOX_MARK})

_log = logging.getLogger(__name__)


class Tell(NamedTuple):
    """A message that is sent after the commit of the turn that made it."""

    message_id: str
    target: ActorId
    body: Encoded
    key: str = ""

    @property
    def value(self) -> Encoded:
        """What is stored under its key."""
        return orjson.dumps(
            [self.message_id, str(self.target), orjson.Fragment(self.body)]
        )


def tell_key(position: int, number: int) -> str:
    """Where the tell with that number of a turn is stored; keys sort in their order."""
    return f"{OUTBOX}{position:012}.{number:06}"


def stored_tells(values: Mapping[str, Encoded]) -> list[Tell]:
    """The tells among the values of an actor, in the order in which they were made."""
    tells: list[Tell] = []
    for key in sorted(key for key in values if key.startswith(OUTBOX)):
        message_id, target, body = orjson.loads(values[key])
        try:
            tell = Tell(message_id, ActorId.parse(target), orjson.dumps(body), key)
        except InvalidActorId as error:  # it must not keep its sender from working
            _log.warning(
                "what is stored under %r is no message and is not sent: %s", key, error
            )
        else:
            tells.append(tell)
    return tells
