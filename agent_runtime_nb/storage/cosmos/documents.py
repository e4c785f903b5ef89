"""What is stored: the documents of an actor, and what they are called.

All documents of an actor are in one partition: a root with what every step needs, one
document for each turn and one for each value. Ids are digests, because Cosmos DB allows
little in them. JSON texts are kept as strings, byte for byte.

Deleting an actor would be too much for one batch, so the root counts generations: with
the next one all older documents are gone for every reader, and are removed afterwards.
"""

import base64
import hashlib
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Encoded,
    RequestStatus,
)
from agent_runtime_nb.storage_abstractions import TurnRecord

Document = dict[str, Any]

SCHEMA = 1
PARTITION_PATH = "/pk"
ROOT_ID = "root"
HOSTS = "#hosts"
ABOUT = "#about"

_RECENT = 8  # commits that a root remembers
_PLAIN = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")
_FIRST_AFTER_SEPARATOR = "\x01"


def digest(text: str) -> str:
    """43 characters that are allowed in an id, other ones for every text."""
    hashed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


def partition_of(actor_id: ActorId) -> str:
    """The partition key of an actor; legible where that is safe.

    Keys may have 2 KB, and nobody promises that a space at the end counts.
    """
    instance = actor_id.instance_id
    if not _PLAIN.fullmatch(instance):
        instance = f"#{digest(instance)}"
    return f"{actor_id.type_name}/{instance}"


def order_of(text: str) -> str:
    """A text that sorts by code points, whatever collation compares it."""
    return text.encode("utf-8", "surrogatepass").hex()


def order_of_actor(type_name: str, instance_id: str) -> str:
    """Sorts as (type, instance)."""
    return order_of(f"{type_name}\0{instance_id}")


def order_after_type(type_name: str) -> str:
    """Sorts after all actors of a type, before those of any other."""
    return order_of(type_name + _FIRST_AFTER_SEPARATOR)


def value_id(generation: int, key: str) -> str:
    """The id of a value's document."""
    return f"value.{generation}.{digest(key)}"


def turn_id(generation: int, message_id: str) -> str:
    """The id of a turn's document: two turns with one message id cannot be."""
    return f"turn.{generation}.{digest(message_id)}"


@dataclass(slots=True, kw_only=True)
class Root:
    """The document that every step of an actor reads and replaces.

    Attributes:
        generation: see the head of this module.
        first_position: of the first turn of this generation.
        revision: goes up when values or etag change.
        open: ids of the open turns' documents by their positions (as texts).
        values: how many values there are.
        writes: how many batches there were.
        recent: the last of them, to learn the fate of one that was not answered.
    """

    type: str
    instance: str
    generation: int = 1
    first_position: int = 1
    next_position: int = 1
    epoch: int = 0
    owner: str | None = None
    owner_name: str | None = None
    etag: str | None = None
    revision: int = 0
    values: int = 0
    open: dict[str, str] = field(default_factory=dict[str, str])
    marks: list[str] = field(default_factory=list[str])
    writes: int = 0
    recent: list[str] = field(default_factory=list[str])

    @property
    def has_data(self) -> bool:
        """Whether there is anything to list or delete."""
        return self.values > 0 or self.next_position > self.first_position

    def copy(self) -> Self:
        """One that can be changed without changing this one."""
        return replace(
            self, open=dict(self.open), marks=list(self.marks), recent=list(self.recent)
        )

    def sign(self, commit: str) -> None:
        """Remember the batch that writes it."""
        self.writes += 1
        self.recent = [*self.recent[1 - _RECENT :], commit]

    def document(self, partition: str) -> Document:
        """As it is stored."""
        return {
            "id": ROOT_ID,
            "pk": partition,
            "kind": "actor",
            "order": order_of_actor(self.type, self.instance),
            "listed": self.has_data,
            "busy": bool(self.open),
            **asdict(self),
        }

    @classmethod
    def of(cls, document: Document) -> Self:
        """From what is stored."""
        return cls(**{name: document[name] for name in cls.__slots__})


def could_have_seen(root: Root, writes: int) -> bool:
    """Whether a batch sent at `writes` would still be among the recent ones."""
    return root.writes - writes <= _RECENT


def new_root(actor_id: ActorId) -> Root:
    """The root of an actor that was never written."""
    return Root(type=actor_id.type_name, instance=actor_id.instance_id)


def value_document(
    partition: str, generation: int, key: str, value: Encoded
) -> Document:
    """A value as it is stored."""
    return {
        "id": value_id(generation, key),
        "pk": partition,
        "kind": "value",
        "generation": generation,
        "key": key,
        "order": order_of(key),
        "value": value.decode(),
    }


def turn_document(partition: str, generation: int, turn: TurnRecord) -> Document:
    """A turn as it is stored; `full`: it has ended and was not trimmed."""
    return {
        "id": turn_id(generation, turn.message_id),
        "pk": partition,
        "kind": "turn",
        "generation": generation,
        "full": turn.status.is_final,
        "position": turn.position,
        "message_id": turn.message_id,
        "status": turn.status.value,
        "attempts": turn.attempts,
        "body": text_of(turn.body),
        "result": text_of(turn.result),
        "entries": text_of(turn.entries),
        "checkpoint": text_of(turn.checkpoint),
        "accepted_at": turn.accepted_at,
        "ended_at": turn.ended_at,
    }


def turn_of(document: Document) -> TurnRecord:
    """The turn in a document."""
    return TurnRecord(
        position=document["position"],
        message_id=document["message_id"],
        status=RequestStatus(document["status"]),
        attempts=document["attempts"],
        body=_bytes_of(document["body"]),
        result=_bytes_of(document["result"]),
        entries=_bytes_of(document["entries"]),
        checkpoint=_bytes_of(document["checkpoint"]),
        accepted_at=document["accepted_at"],
        ended_at=document["ended_at"],
    )


def text_of(value: Encoded | None) -> str | None:
    """JSON text as a document holds it."""
    return None if value is None else value.decode()


def _bytes_of(text: str | None) -> Encoded | None:
    return None if text is None else text.encode()
