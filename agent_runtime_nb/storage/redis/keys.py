"""The names of everything in Redis.

All keys of one actor share a hash tag, so that one script may touch them in a cluster.
The tag is the id itself with the three characters escaped that could end or forge it:
different ids never share a key. What concerns all actors (indexes, hosts, the schema)
lives in other slots, so no script touches both.
"""

from functools import lru_cache
from typing import NamedTuple

from agent_runtime_nb.runtime_abstractions import ActorId, StoredId

_REMEMBERED = 1000  # actors whose keys need not be made again

ALL, OPEN = "all", "open"
"""Indexes: actors that may have turns or values, that may have an open turn."""


def mark_index(mark: str) -> str:
    """The index of the actors that may have a mark."""
    return f"mark-{mark}"


class ActorKeys(NamedTuple):
    """The keys of one actor.

    Attributes:
        actor: hash: epoch, owner, name (of the owner), etag, next (position), marks,
            generation (see `index`), trimmed (position); each part of a turn, as `<position><letter>`;
            the position of each message id, as `:<message id>`.
        values: hash: state key to value.
        value_keys: sorted set of the state keys.
        positions, open: sorted sets of positions: of all turns, of those without a
            final status.
    """

    actor: bytes
    values: bytes
    value_keys: bytes
    positions: bytes
    open: bytes


class Keys:
    """The keys under one prefix; several prefixes are several storages."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.actor = lru_cache(_REMEMBERED)(self._actor)
        self.schema = f"{prefix}:schema".encode()

    def _actor(self, actor_id: StoredId) -> ActorKeys:
        """The keys of an actor."""
        tag = str(actor_id).replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
        stem = f"{self._prefix}:{{{tag}}}:"
        names = ("actor", "values", "keys", "positions", "open")
        return ActorKeys(*[_bytes_of(stem + name) for name in names])

    def host(self, host_id: str) -> bytes:
        """The lease of a host."""
        return f"{self._prefix}:host:{host_id}".encode()

    def index(self, name: str) -> tuple[bytes, bytes]:
        """An index: the sorted set of its members, and the hash of their tokens."""
        stem = f"{self._prefix}:{{index-{name}}}:"
        return (stem + "members").encode(), (stem + "tokens").encode()


def member_of(actor_id: ActorId) -> bytes:
    """How an index names an actor; sorts as `(type, instance)` by code points."""
    return _bytes_of(f"{actor_id.type_name}\0{actor_id.instance_id}")


def actor_of(member: bytes) -> StoredId:
    """The actor that `member_of` named; anything, of what somebody else entered."""
    type_name, _, instance_id = member.decode("utf-8", "surrogateescape").partition(
        "\0"
    )
    return StoredId(type_name, instance_id)


def _bytes_of(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")  # as `StoredId` has what is no UTF-8
