"""What the Redis storage has acknowledged survives SIGKILL, of hosts and of servers."""

import asyncio
import itertools
import random
from collections.abc import Callable

import pytest

from agent_runtime_nb.exceptions import OutcomeUnknown, Unavailable
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.redis.storage import RedisStateStorage
from agent_runtime_nb.storage_abstractions import (
    Claim,
    TurnRecord,
)
from agent_runtime_nb.testing.storage_kit.cases import CASES
from agent_runtime_nb.testing.storage_kit.check import run_case
from tests.contracts.redis_subject import RedisSubject
from tests.effort import amount
from tests.servers.redis_server import RedisServer
from tests.storage.redis_fixtures import Open, accepted, ended

pytestmark = pytest.mark.kill

ACTORS = [ActorId("talk", f"{n}") for n in range(8)]


class Talk:
    """Turns of several actors over a server that dies, and what was acknowledged.

    It lives in this process, which nobody kills. What was written
    is never the same twice, so that nothing can take the place of what was lost.
    """

    def __init__(self, storage: RedisStateStorage) -> None:
        self.storage = storage
        self.accepted: list[tuple[ActorId, int, str]] = []
        self.ended: list[tuple[ActorId, int, bytes]] = []
        self.unknown = 0
        self.up = asyncio.Event()
        self.ending = False
        self._numbers = itertools.count()
        self._steps = 0
        self._heard = asyncio.Condition()

    async def hear(self, more: int) -> None:
        """Until so many more steps were acknowledged."""
        wanted = self._steps + more
        async with self._heard:
            await self._heard.wait_for(lambda: self._steps >= wanted)

    async def converse(self, actor_id: ActorId) -> None:
        """Take turns until told to end; whatever fails is looked up and gone on with."""
        while not self.ending:
            await self.up.wait()
            try:
                await self._take_turns(actor_id, await self.storage.claim(actor_id))
            except OutcomeUnknown:
                self.unknown += 1
            except Unavailable:
                await asyncio.sleep(0)

    async def _take_turns(self, actor_id: ActorId, claim: Claim) -> None:
        epoch, etag, position = claim.epoch, claim.etag, claim.next_position
        if claim.open_turns:
            position = claim.open_turns[0].position
        else:
            await self._accept(actor_id, epoch, position)
        while not self.ending:
            values = (await self.storage.read_state(actor_id)).values
            new = f"e{next(self._numbers)}"
            change = ended(epoch, position, etag=etag, new_etag=new)
            change.set = {"n": b"%d" % (int(values.get("n", 0)) + 1)}
            entries = change.ended[0].entries = new.encode()
            await self.storage.apply(actor_id, change)
            self.ended.append((actor_id, position, entries))
            await self._say()
            etag, position = new, position + 1
            await self._accept(actor_id, epoch, position)

    async def _accept(self, actor_id: ActorId, epoch: int, position: int) -> None:
        change = accepted(epoch, position)
        message_id = change.accepted[0].message_id = f"m{next(self._numbers)}"
        await self.storage.apply(actor_id, change)
        self.accepted.append((actor_id, position, message_id))
        await self._say()

    async def _say(self) -> None:
        self._steps += 1
        async with self._heard:
            self._heard.notify_all()

    async def check(self) -> int:
        """Everything that was acknowledged is stored, whole; the number of turns."""
        stored: dict[tuple[ActorId, int], TurnRecord] = {}
        for actor_id in ACTORS:
            turns = await self.storage.read_turns(actor_id, limit=100_000)
            assert [turn.position for turn in turns] == list(range(1, len(turns) + 1))
            stored |= {(actor_id, turn.position): turn for turn in turns}
            done = [turn for turn in turns if turn.status is RequestStatus.COMPLETED]
            assert len(done) >= len(turns) - 1
            values = (await self.storage.read_state(actor_id)).values
            assert int(values["n"]) == len(done)
        for actor_id, position, message_id in self.accepted:
            assert stored[actor_id, position].message_id == message_id
        for actor_id, position, entries in self.ended:
            assert stored[actor_id, position].entries == entries
        return len(stored)


async def kill_servers(
    server: RedisServer, storage: RedisStateStorage, kills: int, seed: int
) -> Talk:
    talk = Talk(storage)
    source = random.Random(seed)  # noqa: S311 - moments to kill at
    talk.up.set()
    async with asyncio.TaskGroup() as tasks:
        for actor_id in ACTORS:
            tasks.create_task(talk.converse(actor_id))
        for _ in range(kills):
            await talk.hear(source.randint(1, 60))
            talk.up.clear()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            talk.up.set()
        await talk.hear(50)
        talk.ending = True
    assert await talk.check() > 5 * kills
    return talk


@pytest.mark.scales
@pytest.mark.timeout(180)
async def test_killed_servers_lose_nothing_that_was_acknowledged(
    private_server: Callable[..., RedisServer], opened: Open
):
    server = private_server()

    talk = await kill_servers(
        server, await opened(server.url), kills=amount(10, quick=5, long=25), seed=1
    )

    assert talk.unknown > 0


@pytest.mark.timeout(180)
async def test_the_witness_sees_what_a_server_without_a_log_loses(
    private_server: Callable[..., RedisServer], opened: Open
):
    server = private_server(appendonly="no")
    storage = await opened(server.url)

    with pytest.raises(AssertionError):
        await kill_servers(server, storage, kills=2, seed=2)


@pytest.mark.scales
@pytest.mark.timeout(300)
async def test_killed_hosts_lose_nothing_that_was_acknowledged(
    redis_subject: RedisSubject,
):
    (case,) = [
        case for case in CASES if case.name == "what_was_acknowledged_survives_sigkill"
    ]
    redis_subject.kills = amount(8, quick=2, long=25)

    await run_case(case, redis_subject)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(20))
async def test_500_killed_servers_lose_nothing_that_was_acknowledged(
    private_server: Callable[..., RedisServer], opened: Open, seed: int
):
    server = private_server()

    talk = await kill_servers(server, await opened(server.url), kills=25, seed=seed)

    assert talk.unknown > 0
