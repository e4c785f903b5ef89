"""Cases of the storage contract: what a backend does when something is wrong.

Which of them run is said by `StorageUnderTest.fault`, `make_unreachable` and
`older_versions`.
"""

import asyncio
import time
from collections.abc import Awaitable

from agent_runtime_nb.exceptions import (
    Conflict,
    Corrupt,
    Full,
    OutcomeUnknown,
    ReadOnly,
    SchemaTooNew,
    StorageError,
    Unavailable,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    IActorStateStorage,
)
from agent_runtime_nb.testing.storage_kit.case import (
    COMPLETED,
    PENDING,
    CaseKit,
    ContractBroken,
    accept,
    case,
    end,
    holds,
    refused,
    run_turns,
    same,
)

PATIENCE = 40.0
"""Seconds in which every call has to end, whatever is wrong."""

_LOOP_GAP = 0.8  # seconds; a step that waits on the loop holds it for a second

MAY_PASS = (Unavailable, OutcomeUnknown)


async def bounded(call: Awaitable[object], what: str) -> object:
    """The outcome of a call that may fail but not hang."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await call
    except TimeoutError:
        raise ContractBroken(f"{what} did not end within {PATIENCE:g} s") from None
    except StorageError as error:
        return error


async def recovered(storage: IActorStateStorage, kit: CaseKit, name: str) -> None:
    """Write a value of another actor, again while the backend is on its way back."""
    until = time.monotonic() + PATIENCE
    while True:
        etag = None
        try:
            etag = (await storage.read_state(kit.actor(name))).etag
            await storage.write_state(kit.actor(name), set={"k": b"1"}, etag=etag)
        except (*MAY_PASS, Conflict):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.1)
        else:
            return


@case(28, timeout=300)
async def data_of_an_older_version_is_opened(kit: CaseKit) -> None:
    """What an older version wrote is migrated at open, whole, and used on."""
    for version, subject in kit.subject.older_versions().items():
        old = CaseKit(subject)
        try:
            for round_number in (1, 2):
                storage = await old.open()
                page = await storage.list_actors()
                holds(page.items, f"{version}: actors are listed")
                for actor_id in page.items:
                    await storage.read_state(actor_id)
                    await storage.read_turns(actor_id)
                await run_turns(storage, old.actor(f"{round_number}"), COMPLETED)
                await storage.close()
        finally:
            await old.close()


@case(29)
async def data_of_a_newer_version_is_refused(kit: CaseKit) -> None:
    """A storage that is too new is SchemaTooNew at open and stays as it is."""
    storage = await kit.open()
    await run_turns(storage, kit.actor(), COMPLETED)
    await storage.close()
    refusing = kit.subject.make()

    async with kit.subject.fault("newer-schema"):
        with refused("opening", SchemaTooNew) as refusal:
            await refusing.open(kit.host())
        await refusing.close()

    newer = refusal.error.found > refusal.error.known
    holds(newer, "the version found is higher than the one known")
    again = await kit.open()
    same(len(await again.read_turns(kit.actor())), 1, "the number of turns")


@case(30, timeout=90)
async def a_server_that_cannot_be_reached_is_unavailable(kit: CaseKit) -> None:
    """open() ends in time, says Unavailable, and may be called again."""
    storage = kit.subject.make_unreachable()

    for _ in range(2):
        error = await bounded(storage.open(kit.host()), "opening")
        holds(isinstance(error, Unavailable), f"Unavailable, not {error!r}")
    await storage.close()


@case(30, timeout=150)
async def a_storage_opens_once_its_server_is_there(kit: CaseKit) -> None:
    """Down at the start, open() is refused; later the same object opens."""
    storage = kit.subject.make()

    async with kit.subject.fault("down"):
        error = await bounded(storage.open(kit.host()), "opening")
        holds(isinstance(error, Unavailable), f"Unavailable, not {error!r}")

    await kit.opened(storage)
    await recovered(storage, kit, "after")


@case(31, timeout=300)
async def a_server_that_goes_and_comes_back_loses_nothing(kit: CaseKit) -> None:
    """While it is down every verb fails in time; afterwards the same object works."""
    storage = await kit.open()
    epoch = await run_turns(storage, kit.actor(), COMPLETED, PENDING)

    async with kit.subject.fault("down"):
        step = storage.apply(kit.actor(), accept(epoch, (3, "m3")))
        outcomes = await asyncio.gather(
            bounded(step, "a step"),
            bounded(storage.read_turns(kit.actor()), "a read"),
            bounded(storage.claim(kit.actor("other")), "a claim"),
        )
    holds(isinstance(outcomes[0], MAY_PASS), f"the step failed, not {outcomes[0]!r}")
    holds(isinstance(outcomes[1], Unavailable), f"so did the read: {outcomes[1]!r}")
    holds(isinstance(outcomes[2], MAY_PASS), f"so did the claim: {outcomes[2]!r}")

    await recovered(storage, kit, "after")
    turns = await storage.read_turns(kit.actor())
    same([turn.message_id for turn in turns][:2], ["m1", "m2"], "the turns")
    claim = await storage.claim(kit.actor(), take_over=True)
    await storage.apply(kit.actor(), ActorChange(epoch=claim.epoch, ended=(end(2),)))


@case(32, timeout=300)
async def a_slow_server_does_not_hold_the_loop(kit: CaseKit) -> None:
    """Steps wait or are Unavailable; the loop goes on meanwhile."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch

    async with kit.subject.fault("slow"):
        # A busy machine holds a loop now and then, a backend that waits on it always.
        gaps = [await _longest_gap(kit, storage, epoch, n) for n in (1, 2)]

    holds(min(gaps) < _LOOP_GAP, f"the loop was held for {min(gaps):.2f} s")
    await recovered(storage, kit, "after")


async def _longest_gap(
    kit: CaseKit, storage: IActorStateStorage, epoch: int, position: int
) -> float:
    """The longest time, in seconds, for which two slow calls hold the loop."""
    last, gap = time.monotonic(), 0.0
    step = storage.apply(kit.actor(), accept(epoch, (position, f"m{position}")))
    waiting = asyncio.gather(
        bounded(step, "a step"),
        bounded(storage.read_state(kit.actor()), "a read"),
    )
    while not waiting.done():
        await asyncio.sleep(0.02)
        now = time.monotonic()
        last, gap = now, max(gap, now - last)
    for outcome in await waiting:
        failed = isinstance(outcome, StorageError)
        holds(not failed or isinstance(outcome, MAY_PASS), f"no {outcome!r}")
    return gap


@case(33, timeout=150)
async def a_commit_whose_answer_was_lost_is_found_by_its_version(kit: CaseKit) -> None:
    """It took effect once: it is answered, or OutcomeUnknown and then found."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = await run_turns(storage, actor_id, PENDING)
    etag = f"{kit.namespace}-e1"
    commit = ActorChange(
        epoch=epoch, new_etag=etag, started=(1,), ended=(end(1),), set={"k": b"1"}
    )

    async with kit.subject.fault("cut"):
        outcome = await bounded(storage.apply(actor_id, commit), "the commit")
    await recovered(storage, kit, "after")

    known = outcome == () or isinstance(outcome, OutcomeUnknown)
    holds(known, f"answered or OutcomeUnknown, not {outcome!r}")
    same((await storage.read_state(actor_id, ())).etag, etag, "the version")
    with refused("the commit again", Conflict):
        await storage.apply(actor_id, commit)
    (turn,) = await storage.read_turns(actor_id)
    same((turn.status, turn.attempts), (COMPLETED, 1), "status and attempts")


@case(33, timeout=150)
async def an_accept_whose_answer_was_lost_makes_one_turn(kit: CaseKit) -> None:
    """Sent again it finds itself."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch
    change = accept(epoch, (1, "m1"))

    async with kit.subject.fault("cut"):
        outcome = await bounded(storage.apply(kit.actor(), change), "the accept")
    await recovered(storage, kit, "after")

    known = outcome == () or isinstance(outcome, OutcomeUnknown)
    holds(known, f"answered or OutcomeUnknown, not {outcome!r}")
    again = await storage.apply(kit.actor(), change)
    same([turn.message_id for turn in again], ["m1"], "the turns known already")
    same(len(await storage.read_turns(kit.actor())), 1, "the number of turns")


@case(34, timeout=150)
async def a_server_that_asks_to_wait_is_obeyed(kit: CaseKit) -> None:
    """Throttled, a step waits or is Unavailable with a time to come back."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch

    async with kit.subject.fault("throttled"):
        step = storage.apply(kit.actor(), accept(epoch, (1, "m1")))
        outcome = await bounded(step, "a step")

    if isinstance(outcome, Unavailable):
        holds(outcome.retry_after > 0, "it says when to come back")
    else:
        same(outcome, (), "the outcome of the step")
    await recovered(storage, kit, "after")


async def _refused_and_back(
    kit: CaseKit, storage: IActorStateStorage, expected: type[StorageError]
) -> None:
    epoch = (await storage.read_state(kit.actor(), ())).epoch
    large = accept(epoch, (2, "m2"), body=b"x" * 200_000)
    with refused("an accept", expected):
        await storage.apply(kit.actor(), large)
    turns = await storage.read_turns(kit.actor())
    same([turn.message_id for turn in turns], ["m1"], "the turns that can be read")


@case(35)
async def a_full_storage_can_be_read_and_goes_on_later(kit: CaseKit) -> None:
    """Without space a step is Full and writes nothing; with space it is done."""
    storage = await kit.open()
    epoch = await run_turns(storage, kit.actor(), PENDING)

    async with kit.subject.fault("full"):
        await _refused_and_back(kit, storage, Full)

    await storage.apply(kit.actor(), accept(epoch, (2, "m2")))


@case(36)
async def a_read_only_storage_says_so(kit: CaseKit) -> None:
    """ReadOnly, at open or at the first step; nothing is written."""
    storage = await kit.open()
    await run_turns(storage, kit.actor(), PENDING)

    async with kit.subject.fault("read-only"):
        await _refused_and_back(kit, storage, ReadOnly)

    same(len(await storage.read_turns(kit.actor())), 1, "the number of turns")


@case(37)
async def damaged_data_is_not_trusted(kit: CaseKit) -> None:
    """Corrupt, at open or at the first read; what is stored stays as it is."""
    storage = await kit.open()
    await run_turns(storage, kit.actor(), COMPLETED)
    await storage.close()
    refusing = kit.subject.make()

    async with kit.subject.fault("corrupt"):
        with refused("opening and reading", Corrupt):
            await refusing.open(kit.host())
            await refusing.read_turns(kit.actor())
        await refusing.close()

    again = await kit.open()
    same(len(await again.read_turns(kit.actor())), 1, "the number of turns")
