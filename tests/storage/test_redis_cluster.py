"""The Redis storage on a cluster of three servers."""

import contextlib
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest
from redis.crc import key_slot

from agent_runtime_nb.exceptions import Unavailable
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage.redis.storage import RedisStateStorage
from agent_runtime_nb.storage_abstractions import HostInfo
from agent_runtime_nb.testing.storage_kit.check import check_storage
from tests.servers.redis_server import PASSWORD, RedisServer
from tests.storage.redis_fixtures import A, Open, accepted, ended

NODES = 3
SLOTS = 16384
PATIENCE = 30.0


def free_port() -> int:
    """One that is free, as is the one 10,000 higher, which a node takes, too."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1] % 20_000 + 20_000
            with contextlib.suppress(OSError):
                one.close()
                two.bind(("127.0.0.1", port + 10_000))
                with socket.socket() as three:
                    three.bind(("127.0.0.1", port))
                    return port


class RedisCluster:
    """Three servers that share the slots; `nodes` in the order of their slots."""

    def __init__(self, nodes: list[RedisServer], ports: list[int]) -> None:
        self.nodes = nodes
        self.ports = ports

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.ports[0]}"

    def join(self) -> None:
        """Let the servers find each other, and give each a third of the slots."""
        share = SLOTS // NODES + 1
        for n, node in enumerate(self.nodes):
            mine = range(n * share, min((n + 1) * share, SLOTS))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            node.ask("CLUSTER", "ADDSLOTS", *mine)
            if n:
                node.ask("CLUSTER", "MEET", "127.0.0.1", self.ports[0])
        until = time.monotonic() + PATIENCE
        while not all(self._is_well(node) for node in self.nodes):
            assert time.monotonic() < until

    def _is_well(self, node: RedisServer) -> bool:
        info = node.ask("CLUSTER", "INFO")
        return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info

    def holder(self, actor_id: ActorId, storage: RedisStateStorage) -> int:
        """Which node has the actor."""
        slot = key_slot(storage._keys.actor(actor_id).actor)
        return slot // (SLOTS // NODES + 1)

    def is_empty(self, slot: int, node: int) -> bool:
        """Whether a node has no key in a slot."""
        return int(self.nodes[node].ask("CLUSTER", "COUNTKEYSINSLOT", slot)) == 0

    def give(self, slot: int, to: int) -> None:
        """Move a slot without keys."""
        name = self.nodes[to].ask("CLUSTER", "MYID")
        for node in (self.nodes[to], *self.nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", name)


@contextlib.contextmanager
def running_cluster(program: str) -> Generator[RedisCluster]:
    ports = [free_port() for _ in range(NODES)]
    options = {
        "cluster_enabled": "yes",
        "masterauth": PASSWORD,
        "bind": "127.0.0.1",
        "appendfsync": "everysec",
    }
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(RedisServer(program, port=str(port), **options))
            for port in ports
        ]
        cluster = RedisCluster(nodes, ports)
        cluster.join()
        yield cluster


@pytest.fixture(scope="module")
def cluster(redis_program: str) -> Iterator[RedisCluster]:
    with running_cluster(redis_program) as cluster:
        yield cluster


@pytest.mark.timeout(300)
async def test_the_whole_contract_is_kept_in_a_cluster(
    cluster: RedisCluster, prefix: str
):
    report = await check_storage(
        lambda: RedisStateStorage(cluster.url, prefix=prefix, lease=3.0)
    )

    assert report.ok, str(report)
    assert len(report.of("passed")) > 60


async def test_actors_are_spread_and_found_from_every_node(
    cluster: RedisCluster, opened: Open
):
    storage = await opened(cluster.url)
    actors = [ActorId("worker", f"{n:02}") for n in range(30)]
    for actor_id in actors:
        epoch = (await storage.claim(actor_id)).epoch
        await storage.apply(actor_id, accepted(epoch, 1))
    other = await opened(
        cluster.url.replace(f":{cluster.ports[0]}", f":{cluster.ports[2]}")
    )

    assert {cluster.holder(actor_id, storage) for actor_id in actors} == {0, 1, 2}
    assert (await other.list_actors(open_only=True)).items == tuple(actors)
    assert storage.durable


async def test_a_slot_that_moved_is_followed_in_order(
    cluster: RedisCluster, opened: Open
):
    storage = await opened(cluster.url)
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))
    slots = {
        actor_id: key_slot(storage._keys.actor(actor_id).actor)
        for actor_id in (ActorId("worker", f"moves-{n}") for n in range(100))
        if cluster.holder(actor_id, storage) == 0
    }
    # By chance another key of the storage stands there, and a full slot cannot move.
    moving = next(one for one in slots if cluster.is_empty(slots[one], node=0))
    cluster.give(slots[moving], to=2)

    claimed = storage.claim(moving)
    steps = [storage.apply(moving, accepted(1, n)) for n in (1, 2, 3)]
    steps.append(storage.apply(A, ended(epoch, 1)))
    for step in steps:
        await step

    assert (await claimed).epoch == 1
    turns = await storage.read_turns(moving)
    assert [turn.position for turn in turns] == [1, 2, 3]
    await storage.delete_state(moving)
    # What the storage left behind there is too little to move.


async def test_a_dead_node_fails_its_own_actors_alone(redis_program: str, opened: Open):
    with running_cluster(redis_program) as cluster:
        storage = await opened(cluster.url)
        actors = [ActorId("worker", f"{n:02}") for n in range(12)]
        for actor_id in actors:
            await storage.claim(actor_id)
        for node in cluster.nodes:  # the rest goes on without it
            node.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
        cluster.nodes[2].kill()

        outcomes = {
            actor_id: await outcome_of(storage, actor_id) for actor_id in actors
        }

        for actor_id, outcome in outcomes.items():
            lost = cluster.holder(actor_id, storage) == 2
            assert (type(outcome) is Unavailable) == lost
        cluster.nodes[2].start()


async def outcome_of(storage: RedisStateStorage, actor_id: ActorId) -> object:
    try:
        return (await storage.claim(actor_id)).epoch
    except Unavailable as error:
        return error


async def test_a_wrong_password_of_a_cluster_is_told(cluster: RedisCluster):
    storage = RedisStateStorage(cluster.url.replace(PASSWORD, "wrong"))

    with pytest.raises(Unavailable, match="user name or the password"):
        await storage.open(HostInfo("h", "h"))
