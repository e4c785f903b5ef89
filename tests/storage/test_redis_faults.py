"""The Redis storage while wires break, servers die and leases run out."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Full,
    OutcomeUnknown,
    StaleEpoch,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.settings import RuntimeSettings
from agent_runtime_nb.storage.redis.scripts import APPLY
from agent_runtime_nb.storage.redis.storage import RedisStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
)
from tests.fakes import ONE, Gate, StartRuntime, ask, count
from tests.servers.redis_server import RedisServer
from tests.servers.tcp_faults import TcpFaults
from tests.storage.redis_fixtures import A, Open, accepted, die, ended, url_of

B = ActorId("worker", "two")
BOUND = 8.0

# --- the wire


async def test_a_server_that_never_answers_is_given_up_in_time(
    wire: TcpFaults, opened: Open
):
    storage = await opened(url_of(wire), timeout=0.3)
    epoch = (await storage.claim(A)).epoch
    wire.black_hole()

    begun = time.monotonic()
    outcomes = await asyncio.gather(
        storage.apply(A, accepted(epoch, 1)),
        storage.write_state(B, set={"k": b"1"}),
        storage.delete_state(ActorId("worker", "three")),
        storage.claim(ActorId("worker", "four")),
        storage.read_state(A),
        storage.list_actors(),
        return_exceptions=True,
    )

    assert time.monotonic() - begun < BOUND
    kinds = [type(outcome) for outcome in outcomes]
    # The value of a new actor was not sent: entering it in the index came first.
    assert kinds[0] in (OutcomeUnknown, Unavailable)
    assert set(kinds[1:]) <= {OutcomeUnknown, Unavailable}
    assert kinds[3:] == [Unavailable] * 3
    wire.heal()


async def test_opening_a_server_that_never_answers_ends_in_time(
    wire: TcpFaults, prefix: str
):
    storage = RedisStateStorage(url_of(wire), prefix=prefix, timeout=0.3)
    wire.black_hole()

    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await storage.open(HostInfo("h", "h"))

    assert time.monotonic() - begun < BOUND
    await storage.close()


async def test_an_opening_that_is_given_up_leaves_no_host_behind(
    wire: TcpFaults, redis_server: RedisServer, prefix: str
):
    wire.slow(0.05)
    storage = RedisStateStorage(url_of(wire), prefix=prefix)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(storage.open(HostInfo("h", "h")), 0.01)

    until = time.monotonic() + BOUND
    seen = alive = False  # it comes to life, and then dies again
    while time.monotonic() < until:
        alive = bool(redis_server.ask("EXISTS", f"{prefix}:host:h"))
        if seen and not alive:
            break
        seen = seen or alive
        await asyncio.sleep(0)
    assert (seen, alive) == (True, False)


async def test_what_was_under_way_when_the_server_fell_silent_is_not_done_later(
    wire: TcpFaults, opened: Open
):
    storage = await opened(url_of(wire), timeout=0.3)
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))
    wire.hold()
    with pytest.raises(OutcomeUnknown):
        await storage.apply(A, ActorChange(epoch=epoch, started=(1,)))

    await storage.apply(A, ActorChange(epoch=epoch, set={"k": b"1"}))
    wire.heal()

    for _ in range(20):  # it would arrive in a moment
        await storage.read_turns(A)
    state = await storage.read_state(A)
    assert state.values == {"k": b"1"}
    assert [turn.attempts for turn in await storage.read_turns(A)] == [0]


async def test_a_connection_of_before_a_restart_is_not_ended_after_it(
    private_server: Callable[..., RedisServer], opened: Open
):
    server = private_server()
    with TcpFaults(server.socket) as wire:
        storage = await opened(url_of(wire), timeout=0.3)
        epoch = (await storage.claim(A)).epoch
        wire.hold()
        with pytest.raises(OutcomeUnknown):
            await storage.apply(
                A, ActorChange(epoch=epoch, remove_marks=frozenset({"dead"}))
            )
        server.kill()
        server.start()
        others: list[Any] = [redis.Redis.from_url(server.url) for _ in range(40)]
        numbers = [other.client_id() for other in others]

        wire.heal()
        await storage.apply(A, ActorChange(epoch=epoch, set={"k": b"2"}))

        # They are who they were, those whose number an old connection had, too.
        assert [other.client_id() for other in others] == numbers
        assert numbers[0] < 8 < numbers[-1]
        for other in others:
            other.close()
        await storage.close()


async def test_a_full_server_fails_no_neighbour_that_needs_no_space(
    private_server: Callable[..., RedisServer], opened: Open
):
    server = private_server()
    storage = await opened(server.url)
    epoch = (await storage.claim(A)).epoch
    await storage.write_state(B, set={"k": b"1"})
    server.ask("CONFIG", "SET", "maxmemory", "1")

    refused = storage.apply(A, accepted(epoch, 1))
    deleted = storage.delete_state(B)
    outcomes = await asyncio.gather(refused, deleted, return_exceptions=True)

    server.ask("CONFIG", "SET", "maxmemory", "0")
    assert [type(outcome) for outcome in outcomes] == [Full, bool]
    assert outcomes[1] is True


async def test_a_restarted_server_costs_no_step_its_outcome(
    private_server: Callable[..., RedisServer], opened: Open
):
    server = private_server()
    storage = await opened(server.url)
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accepted(epoch, 1))

    server.kill()
    with pytest.raises(Unavailable):
        await storage.apply(A, ended(epoch, 1))
    with pytest.raises(Unavailable):
        await storage.read_turns(A)
    server.start()

    await storage.apply(A, ended(epoch, 1))
    turns = await storage.read_turns(A)
    assert [turn.status for turn in turns] == [RequestStatus.COMPLETED]


async def test_a_full_server_refuses_steps_and_keeps_the_host_alive(
    private_server: Callable[..., RedisServer], opened: Open
):
    server = private_server()
    storage = await opened(server.url, lease=0.6)
    epoch = (await storage.claim(A)).epoch
    await storage.write_state(B, set={"k": b"1"})
    server.ask("CONFIG", "SET", "maxmemory", "1")

    with pytest.raises(Full):
        await storage.apply(A, accepted(epoch, 1))
    with pytest.raises(Full):  # needs no entry in an index
        await storage.apply(
            A, ActorChange(epoch=epoch, remove_marks=frozenset({"dead"}))
        )
    renewed = await renewals(server, storage, 3)
    freed = await storage.delete_state(B)
    server.ask("CONFIG", "SET", "maxmemory", "0")

    assert (renewed, freed) == (3, True)
    assert await storage.apply(A, accepted(epoch, 1)) == ()


async def renewals(server: RedisServer, storage: RedisStateStorage, count: int) -> int:
    """How often its host's lease is renewed: its time to live goes up; bounded."""
    assert storage._session is not None
    key = storage._keys.host(storage._session.host.host_id)
    seen, last, until = 0, server.ask("PTTL", key), time.monotonic() + BOUND
    while seen < count and time.monotonic() < until:
        left = server.ask("PTTL", key)
        seen += left > last
        last = left
        await asyncio.sleep(0)
    return seen


# --- leases


async def test_a_host_whose_lease_ran_out_is_taken_over_and_fenced(
    wire: TcpFaults, redis_server: RedisServer, opened: Open
):
    one = await opened(url_of(wire), "the first", lease=0.6)
    two = await opened(redis_server.url, "the second", lease=0.6)
    epoch = (await one.claim(A)).epoch
    await one.apply(A, accepted(epoch, 1))
    with pytest.raises(ActorOwnedElsewhere, match="the first"):
        await two.claim(A)

    wire.black_hole()
    claim = await claimed_in_time(two, A)
    wire.heal()
    wire.cut_all()

    assert (claim.epoch, len(claim.open_turns)) == (epoch + 1, 1)
    with pytest.raises(StaleEpoch) as fenced:
        await one.apply(A, ended(epoch, 1))
    assert fenced.value.owner == "the second"
    assert await renewals(redis_server, one, 1) == 1  # it is alive again
    with pytest.raises(ActorOwnedElsewhere, match="the second"):
        await one.claim(A)


async def claimed_in_time(storage: RedisStateStorage, actor_id: ActorId) -> Any:
    until = time.monotonic() + BOUND
    while True:
        try:
            return await storage.claim(actor_id)
        except ActorOwnedElsewhere:
            assert time.monotonic() < until


async def test_a_blocked_loop_does_not_kill_the_host(
    redis_server: RedisServer, opened: Open
):
    one = await opened(redis_server.url, "the first", lease=1.5)
    two = await opened(redis_server.url, "the second")
    await one.claim(A)

    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        pass  # a cell that computes

    with pytest.raises(ActorOwnedElsewhere):
        await two.claim(A)


async def test_closing_frees_at_once_whatever_the_lease(
    redis_server: RedisServer, opened: Open
):
    one, two = await opened(redis_server.url), await opened(redis_server.url)
    epoch = (await one.claim(A)).epoch

    await one.close()

    assert (await two.claim(A)).epoch == epoch + 1


# --- the runtime on it


async def test_the_runtime_finds_a_commit_whose_answer_was_lost(
    wire: TcpFaults, opened: Open, prefix: str, start: StartRuntime
):
    storage = RedisStateStorage(url_of(wire), prefix=prefix)
    runtime = await start(count, storage)
    await ask(runtime)
    cut = wire.cut_after_answer(b"completed")

    answer = await ask(runtime)
    after = await ask(runtime)

    assert cut.is_set()
    assert (answer.data, after.data) == (2, 3)
    turns = await storage.read_turns(ONE)
    assert [turn.attempts for turn in turns] == [1, 1, 1]


async def test_the_runtime_finds_an_accept_whose_answer_was_lost(
    wire: TcpFaults, prefix: str, start: StartRuntime
):
    storage = RedisStateStorage(url_of(wire), prefix=prefix)
    runtime = await start(count, storage)
    await ask(runtime)
    client = InProcessActorClient(runtime)
    cut = wire.cut_after_answer(APPLY.digest.encode())

    try:
        handle = await client.send_request(ONE, "run", None, "the-one")
    except StorageError:
        handle = await client.send_request(ONE, "run", None, "the-one")
    response = await handle.get_response()

    assert cut.is_set()
    assert response.data == 2
    turns = await storage.read_turns(ONE)
    assert [turn.message_id for turn in turns][1:] == ["the-one"]


async def test_the_runtime_goes_on_when_the_server_is_back(
    wire: TcpFaults, prefix: str, start: StartRuntime
):
    storage = RedisStateStorage(url_of(wire), prefix=prefix)
    runtime = await start(
        count, storage, settings=RuntimeSettings(commit_retries=(0.05,) * 20)
    )
    await ask(runtime)

    wire.down()
    with pytest.raises(StorageError) as refused:
        await ask(runtime)
    wire.heal()

    assert refused.value.retryable
    assert (await ask(runtime)).data == 2


async def test_a_restart_interrupts_what_ran_and_goes_on_with_the_conversation(
    redis_server: RedisServer, prefix: str, start: StartRuntime
):
    storage, gate = RedisStateStorage(redis_server.url, prefix=prefix), Gate()
    first = await start(gate, storage)
    client = InProcessActorClient(first)
    await client.send_request(ONE, "run", "hello", "was-running")
    await gate.begun.get()
    await die(storage, redis_server)

    again = RedisStateStorage(redis_server.url, prefix=prefix)
    second = await start(count, again)

    handle = await InProcessActorClient(second).get_response(ONE, "was-running")
    assert (await handle.get_response()).status is RequestStatus.INTERRUPTED
    assert (await again.list_actors(open_only=True)).items == ()
    assert (await ask(second)).data == 1
    statuses = [turn.status for turn in await again.read_turns(ONE)]
    assert statuses == [RequestStatus.INTERRUPTED, RequestStatus.COMPLETED]


async def test_two_hosts_share_a_server_and_each_keeps_its_own(
    redis_server: RedisServer, prefix: str, start: StartRuntime
):
    first = await start(
        count, RedisStateStorage(redis_server.url, prefix=prefix), host_name="one"
    )
    second = await start(count, RedisStateStorage(redis_server.url, prefix=prefix))
    await ask(first)

    with pytest.raises(ActorOwnedElsewhere, match="one"):
        await ask(second)

    assert (await ask(second, None, B)).data == 1
    second.take_over = True
    assert (await ask(second)).data == 2
    with pytest.raises(StaleEpoch):
        await ask(first)
