"""Several servers as one: each command goes to the node that has its key's slot.

A step's keys are in one slot, so each step is one command of one node, as everywhere.
What a node no longer has it says without having done anything; then the map is read
again, and the command goes where it belongs.
"""

from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot

from agent_runtime_nb.exceptions import Unavailable
from agent_runtime_nb.storage.redis.link import Elsewhere, Endpoint, Link, RedisClient
from agent_runtime_nb.storage.redis.scripts import Command

_ROUNDS = 5  # of being sent on

_Node = tuple[str, int]


class Cluster(RedisClient):
    """Links to the nodes of a cluster, each made when it is first needed.

    Args:
        endpoint: any node.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._first = Link(endpoint)
        self._links: dict[_Node, Link] = {}
        self._ranges: list[tuple[int, int, _Node]] = []

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """See `RedisClient.run`; a round trip for each node."""
        self._read_map()
        outcomes: dict[int, Any] = {}
        left = list(range(len(commands)))
        for _ in range(_ROUNDS):
            self._send(commands, left, outcomes)
            left = [n for n in left if isinstance(outcomes[n], Elsewhere)]
            if not left:
                break
            self._ranges = []
        return [outcomes[n] for n in range(len(commands))]

    def everywhere(self, *words: Any) -> list[Any]:
        """See `RedisClient.everywhere`."""
        self._read_map()
        nodes = {node for _, _, node in self._ranges}
        return [self._link(node).ask(*words) for node in sorted(nodes)]

    def close(self) -> None:
        """See `RedisClient.close`."""
        for link in (self._first, *self._links.values()):
            link.close()

    def _run_at(self, link: Link, commands: list[Command]) -> list[Any]:
        try:
            return link.run(commands)
        except Unavailable as error:
            self._ranges = []  # another node may have taken its place
            return [error] * len(commands)

    def _send(
        self, commands: Sequence[Command], numbers: list[int], outcomes: dict[int, Any]
    ) -> None:
        """Send the commands with these numbers; each gets an outcome."""
        lacking = Unavailable(self._endpoint.location, "a part of its cluster is away")
        outcomes |= dict.fromkeys(numbers, lacking)
        try:
            self._read_map()
        except Unavailable:
            return
        by_link: dict[Link, list[int]] = {}
        for n in numbers:
            words = commands[n]
            link = self._link_of(words[3] if words[0] == "EVALSHA" else words[1])
            if link is not None:
                by_link.setdefault(link, []).append(n)
        for link, its in by_link.items():
            answers = self._run_at(link, [commands[n] for n in its])
            outcomes |= zip(its, answers, strict=True)

    def _link_of(self, key: bytes) -> Link | None:
        slot = key_slot(key)
        for first, last, node in self._ranges:
            if first <= slot <= last:
                return self._link(node)
        return None

    def _link(self, node: _Node) -> Link:
        link = self._links.get(node)
        if link is None:
            link = self._links[node] = Link(self._endpoint.at(*node))
        return link

    def _read_map(self) -> None:
        """Ask any node that answers which slots are where, if that is not known."""
        if self._ranges:
            return
        error: Unavailable | None = None
        for link in (self._first, *self._links.values()):
            try:
                answer = link.ask("CLUSTER", "SLOTS")
            except Unavailable as refused:
                error = error or refused
                continue
            self._ranges = [
                (first, last, (main[0].decode(), main[1]))
                for first, last, main, *_ in answer
            ]
            return
        raise error or Unavailable(self._endpoint.location, "no node answers")


def connect(endpoint: Endpoint, *, together: bool = False) -> RedisClient:
    """The line to what is at an endpoint.

    Args:
        endpoint: a server, or a node of a cluster.
        together: see `Link`; a cluster's nodes do as they like.

    Raises:
        StorageError: it cannot be asked what it is.
    """
    link = Link(endpoint, together=together)
    try:
        if b"cluster_enabled:1" not in link.ask("INFO", "cluster"):
            return link
    except BaseException:
        link.close()
        raise
    link.close()
    return Cluster(endpoint)
