"""A storage that answers late, never, or that it does not know: nobody waits for ever.

Time is moved by hand: what the runtime bounds, its sweep bounds, once a second.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    AgentRuntimeError,
    NotRunning,
    OutcomeUnknown,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorResponseMessage, RequestStatus
from agent_runtime_nb.runtime_events import RuntimeEvent, TurnEnded
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.testing.faults.plans import Fault, FaultStep, fails, loses_answer
from tests.fakes import (
    ONE,
    FaultyStorage,
    Gate,
    Handle,
    ManualClock,
    StartRuntime,
    accepts,
    ask,
    background,
    count,
    counts,
    echo,
    ends,
    settled,
    soon,
)

DOWN = Unavailable("there", "down")
UNKNOWN = OutcomeUnknown(ONE, "some commit")
BOUND = RuntimeSettings().storage_timeout


def loses_all_answers(step: FaultStep) -> Fault:
    """Writes take effect, and nothing can be read."""
    return loses_answer(DOWN) if step.verb == "apply" else fails(DOWN)


class Silence:
    """A runtime whose storage answers when it is told to, and its clock."""

    def __init__(self) -> None:
        self.storage = FaultyStorage()
        self.clock = ManualClock()
        self.runtime: InProcessActorRuntime

    async def start(
        self, start: StartRuntime, handle: Handle = echo, **kwargs: Any
    ) -> None:
        environment = Environment(clock=self.clock)
        self.runtime = await start(
            handle, self.storage, environment=environment, **kwargs
        )

    async def two_requests(self) -> "list[asyncio.Task[ActorResponseMessage]]":
        """The end of the first is held back: it does not count the second's attempt."""
        self.storage.hold(ends)
        first = background(ask(self.runtime, "first"))
        await soon(self.storage.held_back.get())
        second = background(ask(self.runtime, "second"))
        await settled()
        return [first, second]

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.runtime._actors.sweep()


@pytest.fixture
def silence() -> Iterator[Silence]:
    """See `Silence`; in the end the storage answers."""
    silence = Silence()
    yield silence
    silence.storage.let_go()


@pytest.mark.parametrize("raised", [True, False])
async def test_a_claim_that_fails_leaves_nothing_behind_that_later_senders_wait_for(
    start: StartRuntime, *, raised: bool
) -> None:
    storage = FaultyStorage()
    runtime = await start(echo, storage)
    storage.raise_at_once = raised
    storage.fail_claim(Unavailable("there", "down"))

    with pytest.raises(StorageError):
        await soon(ask(runtime))

    assert (await soon(ask(runtime, "again"))).data == "again"


# --- never


async def test_a_claim_that_is_never_answered_ends_for_whoever_waits_for_it(
    start: StartRuntime, silence: Silence
) -> None:
    await silence.start(start)
    silence.storage.hold()
    asking = background(ask(silence.runtime))
    await soon(silence.storage.held_back.get())

    silence.pass_time(BOUND - 1)
    await settled()
    too_early = asking.done()
    silence.pass_time(2)

    with pytest.raises(Unavailable):
        await soon(asking)
    assert not too_early
    silence.storage.let_go()
    assert (await soon(ask(silence.runtime, "again"))).data == "again"


@pytest.mark.parametrize("write", [accepts, ends])
async def test_a_write_that_is_never_answered_has_an_unknown_outcome_in_the_end(
    start: StartRuntime, silence: Silence, write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await silence.start(start)
    silence.storage.hold(write)
    asking = background(ask(silence.runtime))
    await soon(silence.storage.held_back.get())

    silence.pass_time(BOUND - 1)
    await settled()
    too_early = asking.done()
    silence.pass_time(2)

    with pytest.raises(OutcomeUnknown):
        await soon(asking)
    assert not too_early
    await settled()
    assert len(silence.runtime._actors.tasks) == 0


async def test_a_count_that_is_never_answered_holds_nobody_up_for_ever(
    start: StartRuntime, silence: Silence, caplog: pytest.LogCaptureFixture
) -> None:
    await silence.start(start)
    _, second = await silence.two_requests()
    silence.storage.let_go()
    silence.storage.hold(counts)
    await soon(silence.storage.held_back.get())

    silence.pass_time(BOUND + 1)

    with pytest.raises(OutcomeUnknown):
        await soon(second)
    await settled()
    assert len(silence.runtime._actors.tasks) == 0


async def test_one_silent_write_ends_the_wait_for_all_that_came_after_it(
    start: StartRuntime, silence: Silence, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    await silence.start(start, gate)
    client = InProcessActorClient(silence.runtime)
    handles = [await client.send_request(ONE, "run", n) for n in range(4)]
    await gate.begun.get()
    silence.storage.hold(ends)
    await handles[1].cancel()
    silence.pass_time(BOUND - 1)
    await handles[2].cancel()

    silence.pass_time(2)

    for handle in handles:
        with pytest.raises(OutcomeUnknown):
            await soon(handle.get_response())
    await settled()
    assert len(silence.runtime._actors.tasks) == 0


async def test_a_turn_that_is_given_up_is_told_as_lost_once(
    start: StartRuntime, silence: Silence, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    class Listener:
        kinds = frozenset({TurnEnded})

        def on_event(self, event: RuntimeEvent) -> None:
            if isinstance(event, TurnEnded):
                told.append(event.message_id)

    gate = Gate()
    await silence.start(start, gate)
    silence.runtime.add_listener(Listener())
    client = InProcessActorClient(silence.runtime)
    for name in ("running", "silent", "waiting"):
        await client.send_request(ONE, "run", None, name)
    silence.storage.hold(ends)
    await client.cancel(ONE, "silent")

    silence.pass_time(BOUND + 1)

    assert sorted(told) == ["running", "silent", "waiting"]


# --- stop


@pytest.mark.parametrize(
    ("write", "error"),
    [(None, NotRunning), (accepts, OutcomeUnknown), (ends, OutcomeUnknown)],
    ids=["claim", "accept", "commit"],
)
async def test_stop_answers_whoever_waits_for_a_silent_storage(
    start: StartRuntime,
    silence: Silence,
    write: Any,
    error: type[AgentRuntimeError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = RuntimeSettings(cancel_grace=0.01)
    await silence.start(start, settings=settings)
    silence.storage.hold(write)
    asking = background(ask(silence.runtime, message_id="id-1"))
    await soon(silence.storage.held_back.get())

    await soon(silence.runtime.stop(drain=0))

    with pytest.raises(error):
        await soon(asking)
    written = len(silence.storage.applied)
    silence.storage.let_go()
    await settled()
    assert len(silence.storage.applied) == written


# --- answers that were lost


async def test_a_request_whose_accept_was_not_answered_runs_when_it_is_sent_again(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(count, storage)
    storage.lose_answers = True
    storage.fail_apply([UNKNOWN])
    with pytest.raises(OutcomeUnknown):
        await soon(ask(runtime, message_id="id-1"))

    response = await soon(ask(runtime, message_id="id-1"))
    repeated = await soon(ask(runtime, message_id="id-1"))

    assert (response.status, response.data) == (RequestStatus.COMPLETED, 1)
    assert repeated == response
    assert [turn.position for turn in await storage.read_turns(ONE)] == [1]


async def test_a_commit_of_unknown_outcome_is_sent_again_if_it_is_not_there(
    start: StartRuntime,
) -> None:
    storage = FaultyStorage()
    runtime = await start(count, storage)
    storage.fail_apply([None, UNKNOWN])

    response = await soon(ask(runtime))

    assert response.data == 1
    assert (await soon(ask(runtime))).data == 2


@pytest.mark.parametrize("error", [DOWN, UNKNOWN], ids=["down", "unknown"])
async def test_a_count_that_failed_once_costs_no_request(
    start: StartRuntime, silence: Silence, error: StorageError
) -> None:
    await silence.start(start)
    first, second = await silence.two_requests()
    third = background(ask(silence.runtime, "third"))
    await settled()
    silence.storage.fail_apply([error])

    silence.storage.let_go()

    answers = [await soon(one) for one in (first, second, third)]
    assert [one.data for one in answers] == ["first", "second", "third"]


@pytest.mark.parametrize("raised", [True, False])
async def test_what_a_dead_host_left_is_interrupted_even_if_that_fails_at_first(
    start: StartRuntime, caplog: pytest.LogCaptureFixture, *, raised: bool
) -> None:
    left, gate = InMemoryStateStorage(), Gate()
    dead = await start(gate, left)
    asking = background(ask(dead, message_id="old"))
    await gate.begun.get()
    storage = FaultyStorage(left)
    runtime = await start(echo, storage)
    await left.close()
    storage.raise_at_once = raised
    storage.fail_apply([DOWN])

    after = await soon(ask(runtime, "after"))

    assert after.data == "after"
    await settled()
    old = await storage.find_turn(ONE, "old")
    assert old
    assert old.status is RequestStatus.INTERRUPTED
    gate.passing.set()
    with pytest.raises(StorageError):
        await soon(asking)


async def test_a_commit_whose_every_answer_is_lost_has_an_unknown_outcome(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    gate, storage = Gate(), FaultyStorage()
    settings = RuntimeSettings(commit_retries=(0, 0))
    runtime = await start(gate, storage, settings=settings)
    asking = background(ask(runtime, "said", message_id="id-1"))
    await gate.begun.get()
    storage.plan = loses_all_answers

    gate.passing.set()
    with pytest.raises(OutcomeUnknown, match="id-1") as unknown:
        await soon(asking)

    storage.plan = None
    assert isinstance(unknown.value.__cause__, Unavailable)
    found = await InProcessActorClient(runtime).get_response(ONE, "id-1")
    response = await soon(found.get_response())
    assert (response.status, response.data) == (RequestStatus.COMPLETED, "said")


@pytest.mark.parametrize("last", [DOWN, UNKNOWN], ids=["down", "unknown"])
async def test_a_commit_that_may_still_arrive_has_an_unknown_outcome(
    start: StartRuntime, last: StorageError, caplog: pytest.LogCaptureFixture
) -> None:
    storage = FaultyStorage()
    settings = RuntimeSettings(commit_retries=(0,))
    runtime = await start(count, storage, settings=settings)
    storage.fail_apply([None, UNKNOWN, last])

    with pytest.raises(OutcomeUnknown):
        await soon(ask(runtime, message_id="id-1"))

    assert (await soon(ask(runtime))).data == 1
