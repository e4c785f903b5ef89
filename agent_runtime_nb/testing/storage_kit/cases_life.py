"""Cases of the storage contract: opening, closing, loops, cancelling, secrets."""

import asyncio
import copy
import logging
import pickle
import threading
import traceback
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future as ThreadFuture
from contextlib import contextmanager
from typing import Any

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    Conflict,
    StaleEpoch,
    StorageClosed,
)
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    IActorStateStorage,
)
from agent_runtime_nb.testing.storage_kit.case import (
    COMPLETED,
    PENDING,
    CaseKit,
    accept,
    case,
    end,
    holds,
    refused,
    run_turns,
    same,
)
from agent_runtime_nb.testing.storage_kit.subject import Skipped


@case(24)
async def data_outlives_the_storage_object(kit: CaseKit) -> None:
    """What was written is there for the next storage on the same data."""
    if not kit.subject.persistent:
        raise Skipped("its data lives as long as its storages (persistent)")
    storage = await kit.open()
    epoch = await run_turns(storage, kit.actor("turns"), COMPLETED, PENDING)
    change = ActorChange(epoch=epoch, add_marks=frozenset({"dead"}))
    await storage.apply(kit.actor("turns"), change)
    etag = await storage.write_state(kit.actor("state"), set={"k": b"1"})
    await storage.close()

    again = await kit.open()

    claim = await again.claim(kit.actor("turns"))
    same((claim.epoch, claim.next_position), (2, 3), "epoch and next position")
    same((claim.marks, len(claim.open_turns)), ({"dead"}, 1), "marks, open turns")
    same(len(await again.read_turns(kit.actor("turns"))), 2, "the number of turns")
    state = await again.read_state(kit.actor("state"))
    same((state.values, state.etag), ({"k": b"1"}, etag), "values and version")


@case(24)
async def a_storage_may_be_closed_twice_and_opened_again(kit: CaseKit) -> None:
    """Closing twice is once, and so is opening twice for one host."""
    storage, other = await kit.open(), await kit.open()
    await storage.write_state(kit.actor(), set={"k": b"1"})

    await storage.close()
    await storage.close()
    host = kit.host("again")
    await storage.open(host)
    await storage.open(host)

    for one in (storage, other):
        same((await one.read_state(kit.actor())).values, {"k": b"1"}, "the values")


def every_verb(storage: IActorStateStorage, actor_id: ActorId) -> list[Any]:
    """A call of each verb but open and close, not called yet."""
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: storage.claim(actor_id),
        lambda: storage.apply(actor_id, accept(1, (1, "m1"))),
        lambda: storage.write_state(actor_id, set={"k": b"1"}),
        lambda: storage.delete_state(actor_id),
        lambda: storage.read_state(actor_id),
        lambda: storage.find_turn(actor_id, "m1"),
        lambda: storage.read_turns(actor_id),
        lambda: storage.list_keys(actor_id),
        storage.list_actors,
        lambda: storage.trim(actor_id, 1),
    ]
    return calls


@case(24)
async def every_verb_of_a_storage_that_is_not_open_is_refused(kit: CaseKit) -> None:
    """Before open() and after close() there is StorageClosed and nothing else."""
    closed = await kit.open()
    await closed.close()

    for storage in (closed, kit.subject.make()):
        for number, call in enumerate(every_verb(storage, kit.actor())):
            with refused(f"verb {number}", StorageClosed):
                await call()
        await storage.close()


@case(24)
async def where_the_data_is_can_be_said(kit: CaseKit) -> None:
    """`location` is text for people, open or not; `durable` is a bool."""
    storage = kit.subject.make()
    before = storage.location

    await kit.opened(storage)

    holds(before, "the location is a text")
    same(storage.location, before, "the location once it is open")
    holds(storage.durable in (True, False), "durable is True or False")


@case(25)
async def close_writes_what_was_called(kit: CaseKit) -> None:
    """Steps that were called before close() are written and answered."""
    storage, other = await kit.open(), await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch

    steps = [
        storage.apply(kit.actor(), accept(epoch, (n, f"m{n}"))) for n in range(1, 101)
    ]
    await storage.close()

    same(await asyncio.gather(*steps), [()] * 100, "the outcomes")
    found = len(await other.read_turns(kit.actor(), limit=200))
    same(found, 100, "the number of turns")


@case(13)
async def cancelling_the_future_does_not_undo_the_step(kit: CaseKit) -> None:
    """A step that was called happens, though nobody waits for it any more."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch

    storage.apply(kit.actor(), accept(epoch, (1, "m1"))).cancel()
    await storage.apply(kit.actor(), accept(epoch, (2, "m2")))

    found = [turn.message_id for turn in await storage.read_turns(kit.actor())]
    same(found, ["m1", "m2"], "the turns")


@case(13)
async def a_waiter_that_is_cancelled_hurts_nobody(kit: CaseKit) -> None:
    """Whoever stops waiting, at whatever moment, leaves whole steps and a storage."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = (await storage.claim(actor_id)).epoch

    async def write(n: int) -> None:
        change = accept(epoch, (n, f"m{n}"))
        change.set = {"last": b"%d" % n}
        await storage.apply(actor_id, change)

    for n in range(1, 31):
        writing = asyncio.gather(write(n))
        for _ in range(n % 7):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    epoch = (await storage.claim(actor_id)).epoch
    await storage.apply(actor_id, accept(epoch, (31, "m31")))

    turns = await storage.read_turns(actor_id)
    last = int((await storage.read_state(actor_id)).values.get("last", b"0"))
    same(last, max((one.position for one in turns[:-1]), default=0), "the last value")
    same(turns[-1].message_id, "m31", "the step after them")


@case(26)
async def each_loop_gets_its_own_futures(kit: CaseKit) -> None:
    """One storage may be used from two loops, each in its thread, at once."""
    storage = await kit.open()

    async def work(name: str) -> int:
        actor_id = kit.actor(name)
        epoch = (await storage.claim(actor_id)).epoch
        for n in range(1, 21):
            await storage.apply(actor_id, accept(epoch, (n, f"m{n}")))
        return len(await storage.read_turns(actor_id))

    elsewhere = _in_thread(lambda: work("there"))
    here = await work("here")
    there = await asyncio.wrap_future(elsewhere)

    same((here, there), (20, 20), "the turns of both")


@case(26)
async def a_loop_that_has_ended_hurts_nobody(kit: CaseKit) -> None:
    """Steps called on a loop that ended before their answer are done all the same."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch

    async def call_and_leave() -> None:
        for n in range(1, 11):
            storage.apply(kit.actor(), accept(epoch, (n, f"m{n}")))

    await asyncio.wrap_future(_in_thread(call_and_leave))
    await storage.apply(kit.actor(), accept(epoch, (11, "m11")))

    found = len(await storage.read_turns(kit.actor()))
    same(found, 11, "the number of turns")


def _in_thread(work: Callable[[], Any]) -> "ThreadFuture[Any]":
    """Run a coroutine function on a loop of its own, in a thread."""
    done: ThreadFuture[Any] = ThreadFuture()

    def run() -> None:
        try:
            done.set_result(asyncio.run(work()))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done


@case(27)
async def a_storage_cannot_be_pickled(kit: CaseKit) -> None:
    """A storage belongs to its process: neither pickle nor copy makes another one."""
    for storage in (kit.subject.make(), await kit.open()):
        with refused("pickling", TypeError):
            pickle.dumps(storage)
        with refused("copying", TypeError):
            copy.copy(storage)


# --- secrets --------------------------------------------------------------------------


@contextmanager
def _everything_logged() -> Generator[list[str]]:
    """Texts of all that is logged in the block, by whomever and however unimportant."""
    root, lines = logging.getLogger(), list[str]()
    handler, level = logging.Handler(), root.level
    handler.emit = lambda record: lines.append(logging.Formatter().format(record))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


async def _texts_of_errors(kit: CaseKit) -> list[str]:
    """Tracebacks of what a storage refuses."""
    one, two = await kit.open(), await kit.open()
    await one.claim(kit.actor())
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: two.claim(kit.actor()),
        lambda: one.apply(kit.actor(), accept(99, (1, "m1"))),
        lambda: one.apply(kit.actor(), ActorChange(epoch=1, ended=(end(7),))),
        lambda: one.write_state(kit.actor(), set={}, etag="stale"),
        *every_verb(kit.subject.make(), kit.actor()),
    ]
    texts: list[str] = []
    expected = (ActorOwnedElsewhere, StaleEpoch, Conflict, StorageClosed)
    for call in calls:
        with refused("a step that cannot be", *expected) as refusal:
            await call()
        texts += traceback.format_exception(refusal.error)
    texts += [repr(one), str(one), one.location]
    return texts


@case(39, timeout=90)
async def a_secret_is_shown_nowhere(kit: CaseKit) -> None:
    """No error, log line or repr has the password, not even when nobody answers."""
    secrets = kit.subject.secrets
    if not secrets:
        raise Skipped("the backend declares no secrets")
    with _everything_logged() as shown:
        shown.extend(await _texts_of_errors(kit))
        try:
            unreachable = kit.subject.make_unreachable()
        except Skipped:
            unreachable = kit.subject.make()
        shown.extend((repr(unreachable), str(unreachable), unreachable.location))
        try:
            await unreachable.open(kit.host())
        except Exception as error:
            shown.extend(traceback.format_exception(error))
        finally:
            await unreachable.close()

    for secret in secrets:
        leaks = [
            text.replace(secret, "<the secret>") for text in shown if secret in text
        ]
        same(leaks, [], "the texts that show a secret")
