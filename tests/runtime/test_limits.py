"""Bounds of conversations: their turns, their age, what waits for all of them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from agent_runtime_nb._base.json_codec import encode_body
from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    ConversationFull,
    MailboxFull,
    MessageIdReused,
    Unavailable,
)
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client.client import HttpActorClient
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.testing.faults.plans import slow
from tests.fakes import (
    ONE,
    FaultyStorage,
    Gate,
    ManualClock,
    StartRuntime,
    accepts,
    ask,
    background,
    count,
    echo,
    settled,
    soon,
)

TWO = ActorId("worker", "two")
DAY = 86400.0


async def test_a_conversation_takes_as_many_turns_as_it_may_have(
    start: StartRuntime,
) -> None:
    runtime = await start(echo, settings=RuntimeSettings(turn_limit=2))
    for number in range(2):
        await ask(runtime, number, message_id=f"m{number}")

    with pytest.raises(ConversationFull) as refused:
        await ask(runtime, 2)

    assert refused.value.limit == 2
    assert (await ask(runtime, 0, TWO)).data == 0


async def test_a_known_request_of_a_full_conversation_still_has_its_answer(
    start: StartRuntime,
) -> None:
    runtime = await start(echo, settings=RuntimeSettings(turn_limit=1))
    await ask(runtime, "x", message_id="m")

    again = await ask(runtime, "x", message_id="m")

    assert again.data == "x"
    with pytest.raises(MessageIdReused):
        await ask(runtime, "y", message_id="m")


async def test_old_conversations_are_deleted_and_young_ones_stay(
    start: StartRuntime,
) -> None:
    clock = ManualClock()
    runtime = await start(echo, environment=Environment(wall_clock=clock))
    await ask(runtime, "old", ONE)
    clock.advance(2 * DAY)
    await ask(runtime, "young", TWO)

    deleted = await runtime._expiry.expire(DAY)

    left = (await runtime.list_actors()).items
    assert (deleted, [one.actor_id for one in left]) == (1, [TWO])


async def test_an_old_conversation_with_an_open_turn_stays(start: StartRuntime) -> None:
    clock, gate = ManualClock(), Gate()
    runtime = await start(gate, environment=Environment(wall_clock=clock))
    handle = await InProcessActorClient(runtime).send_request(ONE, "run", "x")
    await gate.begun.get()
    clock.advance(2 * DAY)

    assert await runtime._expiry.expire(DAY) == 0

    gate.passing.set()
    assert (await soon(handle.get_response())).status is RequestStatus.COMPLETED


async def test_an_old_conversation_of_a_living_neighbour_stays(
    start: StartRuntime,
) -> None:
    clock, data = ManualClock(), InMemoryStateStorage()
    environment = Environment(wall_clock=clock)
    first = await start(echo, data, environment=environment)
    await ask(first, "mine")
    second = await start(echo, InMemoryStateStorage(data), environment=environment)
    clock.advance(2 * DAY)

    assert await second._expiry.expire(DAY) == 0


async def test_what_undelivered_tells_say_is_not_deleted_with_old_age(
    start: StartRuntime,
) -> None:
    async def tells(context: object, message: object) -> None:
        context.tell(ActorId("nobody", "x"), "run")  # pyright: ignore[reportAttributeAccessIssue]

    clock = ManualClock()
    runtime = await start(tells, environment=Environment(wall_clock=clock))
    await ask(runtime)
    clock.advance(2 * DAY)

    assert await runtime._expiry.expire(DAY) == 0


async def test_the_sweep_looks_for_old_conversations_if_that_is_wanted(
    start: StartRuntime,
) -> None:
    clock = ManualClock()
    runtime = await start(
        echo,
        environment=Environment(wall_clock=clock),
        settings=RuntimeSettings(conversation_ttl=DAY),
    )
    await ask(runtime)
    clock.advance(2 * DAY)

    runtime._expiry.sweep()
    await runtime._actors.tasks.wait(5)

    assert (await runtime.list_actors()).items == ()


@pytest.mark.parametrize(
    "settings",
    [RuntimeSettings(waiting_limit=3), RuntimeSettings(waiting_bytes=40)],
    ids=["requests", "bytes"],
)
async def test_what_waits_for_all_actors_together_is_bounded_at_the_sender(
    start: StartRuntime, settings: RuntimeSettings
) -> None:
    gate = Gate()
    runtime = await start(gate, settings=settings)
    client = InProcessActorClient(runtime)
    handles = [await client.send_request(one, "run", "x") for one in (ONE, TWO)]
    handles += [await client.send_request(ONE, "run", "x") for _ in range(3)]

    with pytest.raises(MailboxFull, match="the runtime has 3 requests waiting"):
        await client.send_request(TWO, "run", "x")

    gate.passing.set()
    for handle in handles:
        await soon(handle.get_response())
    assert (await ask(runtime, "again", TWO)).data == "again"
    assert (
        runtime._actors.admission.waiting,
        runtime._actors.admission.waiting_bytes,
    ) == (0, 0)


# --- before the claim has ended, and before the storage has taken the request

MANY = [ActorId("worker", f"w{n}") for n in range(50)]

WEIGHT = len(encode_body("run", "x", None))

Sending = list["asyncio.Task[ActorResponseHandle]"]


async def flood(runtime: InProcessActorRuntime, actors: list[ActorId]) -> Sending:
    """Send one request to each of these, until the storage has to answer."""
    client = InProcessActorClient(runtime)
    sending = [background(client.send_request(one, "run", "x")) for one in actors]
    await settled()
    return sending


async def ends_of(sending: Sending) -> Counter[str]:
    """How the requests went: "sent", or the type of the error."""
    ends = await soon(asyncio.gather(*sending, return_exceptions=True))
    failed = (type(one).__name__ for one in ends if isinstance(one, BaseException))
    sent = (one for one in ends if isinstance(one, ActorResponseHandle))
    return Counter([*failed, *("sent" for _ in sent)])


def held(runtime: InProcessActorRuntime) -> tuple[int, int]:
    """How many requests wait, and what they weigh."""
    admission = runtime._actors.admission
    return admission.waiting, admission.waiting_bytes


async def test_no_more_requests_wait_for_a_claim_than_may_wait_for_the_actor(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    storage.hold()

    sending = await flood(runtime, [ONE] * 5000)
    refused = [one.exception() for one in sending if one.done()]
    waiting, health = runtime._actors.admission.waiting, await runtime.health()
    storage.let_go()

    assert len(refused) == 5000 - 101  # one that runs, and those that wait behind it
    first = refused[0]
    assert isinstance(first, MailboxFull)
    assert (first.actor_id, first.limit, first.retryable) == (ONE, 100, True)
    assert (waiting, health.waiting) == (101, 101)
    assert await ends_of(sending) == {"sent": 101, "MailboxFull": 5000 - 101}
    assert (await soon(ask(runtime, "after"))).data == "after"
    assert held(runtime) == (0, 0)
    assert (await runtime.health()).waiting == 0


@pytest.mark.parametrize("only", [None, accepts], ids=["claim", "accept"])
@pytest.mark.parametrize(
    "settings",
    [RuntimeSettings(waiting_limit=20), RuntimeSettings(waiting_bytes=20 * WEIGHT)],
    ids=["requests", "bytes"],
)
async def test_no_more_requests_wait_for_a_silent_storage_than_may_wait_in_the_runtime(
    start: StartRuntime, settings: RuntimeSettings, only: Callable[[Any], bool] | None
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage, settings=settings)
    storage.script([slow(0.0, 1e-9)] * len(MANY), "claim")  # not within the call
    storage.hold(only)

    sending = await flood(runtime, MANY)
    sending += await flood(runtime, MANY)
    waiting, health = held(runtime), await runtime.health()
    storage.let_go()

    assert waiting == (20, 20 * WEIGHT)
    assert health.waiting == 20
    assert await ends_of(sending) == {"sent": 20, "MailboxFull": 80}
    for actor_id in MANY:
        assert (await soon(ask(runtime, "after", actor_id))).data == "after"
    assert held(runtime) == (0, 0)


async def test_who_need_not_wait_is_served_while_others_wait_for_their_claims(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage, settings=RuntimeSettings(waiting_limit=10))
    await ask(runtime, "brings it into memory")
    storage.hold()
    sending = await flood(runtime, MANY)
    storage.hold(lambda _: False)  # new steps are answered

    served = await soon(ask(runtime, "served"))

    assert served.data == "served"
    assert held(runtime) == (10, 10 * WEIGHT)
    await runtime.stop(drain=0)
    assert await ends_of(sending) == {"NotRunning": 10, "MailboxFull": 40}


async def test_a_request_that_is_sent_again_before_the_claim_takes_no_room(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(count, storage, settings=RuntimeSettings(mailbox_limit=0))
    storage.hold()
    first = background(ask(runtime, "x", message_id="m"))
    await settled()

    again = background(ask(runtime, "x", message_id="m"))
    await settled()
    with pytest.raises(MessageIdReused):
        await ask(runtime, "y", message_id="m")
    with pytest.raises(MailboxFull):
        await ask(runtime, "x", message_id="another")
    storage.let_go()

    assert (await soon(first)).data == 1
    assert await soon(again) == await first
    assert held(runtime) == (0, 0)


@pytest.mark.parametrize("error", [Unavailable("there", "down"), None])
async def test_a_claim_that_fails_or_is_given_up_makes_room_again(
    start: StartRuntime, error: AgentRuntimeError | None
) -> None:
    storage, clock = FaultyStorage(), ManualClock()
    runtime = await start(echo, storage, environment=Environment(clock=clock))
    if error is not None:
        storage.fail_claim(error)
    storage.hold()
    sending = await flood(runtime, [ONE] * 5)
    if error is None:
        clock.advance(runtime.settings.storage_timeout + 1)
        runtime._actors.sweep()
    storage.let_go()

    assert await ends_of(sending) == {"Unavailable": 5}
    assert held(runtime) == (0, 0)


async def test_a_stop_makes_room_and_tells_those_who_wait_for_a_claim(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    storage.hold()
    sending = await flood(runtime, [ONE] * 200)

    await soon(runtime.stop(drain=0))

    assert await ends_of(sending) == {"NotRunning": 101, "MailboxFull": 99}
    assert held(runtime) == (0, 0)
    storage.let_go()


async def test_what_looks_for_its_id_in_a_full_conversation_is_bounded(
    start: StartRuntime,
) -> None:
    class Slow(FaultyStorage):
        asked = asyncio.Event()

        async def find_turn(self, actor_id: ActorId, message_id: str) -> None:
            await self.asked.wait()

    storage = Slow()
    settings = RuntimeSettings(turn_limit=1, waiting_limit=10)
    runtime = await start(echo, storage, settings=settings)
    await ask(runtime)

    sending = await flood(runtime, [ONE] * 50)
    waiting = runtime._actors.admission.waiting
    storage.asked.set()

    assert waiting == 10
    assert await ends_of(sending) == {"ConversationFull": 10, "MailboxFull": 40}
    assert held(runtime) == (0, 0)


async def test_a_flood_of_new_conversations_over_http_is_refused_while_claims_are_slow(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage, settings=RuntimeSettings(waiting_limit=20))
    server = EmbeddedServer(InProcessActorClient(runtime), runtime).start()
    client = HttpActorClient(server.url, token=server.token)
    storage.hold()

    sending = [background(client.send_request(one, "run", "x")) for one in MANY]
    while sum(one.done() for one in sending) < 30:
        await asyncio.wait(
            [one for one in sending if not one.done()], return_when="FIRST_COMPLETED"
        )
    waiting, health = held(runtime), await client.directory.health()
    async with httpx2.AsyncClient() as browser:
        refused = await browser.post(
            f"{server.url}/agents/worker/run",
            headers={"Authorization": f"Bearer {server.token}"},
            json={"messages": [{"role": "user", "content": "x"}]},
        )
    storage.let_go()

    assert await ends_of(sending) == {"sent": 20, "MailboxFull": 30}
    assert (waiting[0], health.waiting) == (20, 20)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    await asyncio.to_thread(client.close)
    await asyncio.to_thread(server.stop)
