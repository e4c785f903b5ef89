"""What PostgreSQL has acknowledged survives SIGKILL, of hosts and of the server."""

import asyncio
import itertools

import pytest

from agent_runtime_nb.exceptions import OutcomeUnknown, Unavailable
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.postgres.storage import PostgresStateStorage
from agent_runtime_nb.testing.storage_kit.cases import CASES
from agent_runtime_nb.testing.storage_kit.check import run_case
from tests.contracts.postgres_subject import PostgresSubject
from tests.effort import amount
from tests.storage.postgres_fixtures import PostgresSchema, accepted, ended

pytestmark = pytest.mark.kill

ACTORS = [ActorId("talk", str(n)) for n in range(8)]


class Talk:
    """Turns of several actors over a server that dies, and what was acknowledged.

    It lives in this process, which nobody kills.
    """

    def __init__(self, storage: PostgresStateStorage) -> None:
        self.storage = storage
        self.accepted: set[tuple[ActorId, int]] = set()
        self.ended: set[tuple[ActorId, int]] = set()
        self.ending = False
        self.heard = 0
        self._heard = asyncio.Condition()

    async def hear(self, more: int) -> None:
        """Until so many more steps were acknowledged."""
        wanted = self.heard + more
        async with self._heard:
            await self._heard.wait_for(lambda: self.heard >= wanted)

    async def converse(self, actor_id: ActorId) -> None:
        """Take turns; what fails is looked up by claiming again."""
        while not self.ending:
            try:
                await self._take_turns(actor_id)
            except (OutcomeUnknown, Unavailable):
                await asyncio.sleep(0)

    async def _take_turns(self, actor_id: ActorId) -> None:
        claim = await self.storage.claim(actor_id)
        open_turns = [turn.position for turn in claim.open_turns]
        for position in itertools.chain(
            open_turns, itertools.count(claim.next_position)
        ):
            if self.ending:
                return
            if position not in open_turns:
                await self.storage.apply(actor_id, accepted(claim.epoch, position))
                await self._say(self.accepted, actor_id, position)
            await self.storage.apply(actor_id, ended(claim.epoch, position))
            await self._say(self.ended, actor_id, position)

    async def _say(
        self, what: set[tuple[ActorId, int]], actor_id: ActorId, position: int
    ) -> None:
        what.add((actor_id, position))
        async with self._heard:
            self.heard += 1
            self._heard.notify_all()


async def kill_servers(postgres: PostgresSchema, times: int) -> None:
    storage = await postgres.open(connect_timeout=1.0)
    talk = Talk(storage)
    async with asyncio.TaskGroup() as tasks:
        for actor_id in ACTORS:
            tasks.create_task(talk.converse(actor_id))
        for _ in range(times):
            await talk.hear(100)
            await asyncio.to_thread(postgres.server.stop, "immediate")
            await asyncio.to_thread(postgres.server.start)
        await talk.hear(100)
        talk.ending = True

    assert len(talk.ended) > 40 * times
    for actor_id in ACTORS:
        turns = await storage.read_turns(actor_id, limit=100_000)
        stored = {(actor_id, turn.position): turn.status.is_final for turn in turns}
        mine = {one for one in talk.accepted if one[0] == actor_id}
        assert mine <= set(stored)
        assert all(stored[one] for one in talk.ended if one[0] == actor_id)
        assert [turn.position for turn in turns] == list(range(1, len(turns) + 1))
        last = max((turn.position for turn in turns if turn.status.is_final), default=0)
        values = (await storage.read_state(actor_id)).values
        assert values == {"k": b"%d" % last}


@pytest.mark.scales
@pytest.mark.timeout(amount(60, quick=60, long=300))
async def test_a_killed_server_loses_nothing_that_was_acknowledged(
    postgres: PostgresSchema,
):
    await kill_servers(postgres, amount(2, quick=1, long=10))


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_100_killed_servers_lose_nothing_that_was_acknowledged(
    postgres: PostgresSchema,
):
    await kill_servers(postgres, 100)


@pytest.mark.scales
@pytest.mark.timeout(300)
async def test_killed_hosts_lose_nothing_that_was_acknowledged(
    postgres_subject: PostgresSubject,
):
    await kill(postgres_subject, amount(8, quick=2, long=25))


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(20))
async def test_500_killed_hosts_lose_nothing_that_was_acknowledged(
    postgres_subject: PostgresSubject, part: int
):
    await kill(postgres_subject, 25)


async def kill(kind: PostgresSubject, times: int) -> None:
    name = "what_was_acknowledged_survives_sigkill"
    (case,) = [case for case in CASES if case.name == name]
    kind.kills = times
    await run_case(case, kind)
