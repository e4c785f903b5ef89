"""Cases of the storage contract: one step, whole, in order, known by its version."""

import asyncio
from typing import Any

from agent_runtime_nb.exceptions import Conflict, StaleEpoch
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    TurnEnd,
    TurnRecord,
)
from agent_runtime_nb.testing.storage_kit.case import (
    COMPLETED,
    PENDING,
    CaseKit,
    accept,
    case,
    end,
    refused,
    run_turns,
    same,
)


@case(6)
async def a_commit_writes_everything_together(kit: CaseKit) -> None:
    """State, version, attempts, checkpoint and the end of a turn are one step."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = (await storage.claim(actor_id)).epoch
    await storage.apply(actor_id, accept(epoch, (1, "m1"), body=b"[]"))
    etag = f"{kit.namespace}-e1"

    await storage.apply(
        actor_id,
        ActorChange(
            epoch=epoch,
            new_etag=etag,
            started=(1,),
            checkpoint=(1, b'"par"'),
            ended=(end(1, result=b"[1]", entries=b"[2]"),),
            set={"k": b"3"},
        ),
    )

    state = await storage.read_state(actor_id)
    same(state, ActorState({"k": b"3"}, etag, epoch), "the state")
    expected = TurnRecord(
        position=1,
        message_id="m1",
        status=COMPLETED,
        attempts=1,
        body=b"[]",
        result=b"[1]",
        entries=b"[2]",
        checkpoint=b'"par"',
        accepted_at=1.5,
        ended_at=2.5,
    )
    same(await storage.find_turn(actor_id, "m1"), expected, "the turn")


@case(6)
async def an_accept_needs_no_version(kit: CaseKit) -> None:
    """A change without `new_etag` neither compares nor changes the version."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch
    etag = await storage.write_state(kit.actor(), set={"k": b"1"})

    await storage.apply(kit.actor(), accept(epoch, (1, "m1")))

    same(len(await storage.read_turns(kit.actor())), 1, "the number of turns")
    same((await storage.read_state(kit.actor())).etag, etag, "the version")


@case(14)
async def a_commit_is_known_by_its_version(kit: CaseKit) -> None:
    """One read tells whether a commit took effect, and sent again it does nothing."""
    storage, other = await kit.open(), await kit.open()
    actor_id = kit.actor()
    epoch = await run_turns(storage, actor_id, PENDING)
    etag = f"{kit.namespace}-e1"
    commit = ActorChange(
        epoch=epoch, new_etag=etag, ended=(end(1),), set={"k": b"1"}, started=(1,)
    )
    await storage.apply(actor_id, commit)

    same((await other.read_state(actor_id, ())).etag, etag, "the version")
    with refused("the same commit again", Conflict):
        await storage.apply(actor_id, commit)
    same((await storage.read_turns(actor_id))[0].attempts, 1, "the attempts")


@case(43)
async def steps_of_one_actor_take_effect_in_call_order(kit: CaseKit) -> None:
    """Nobody has to wait for a step before calling the next one."""
    storage = await kit.open()
    actor_id = kit.actor()
    etags = [None, *(f"{kit.namespace}-e{n}" for n in range(1, 31))]

    claimed = storage.claim(actor_id)
    steps = [storage.apply(actor_id, accept(1, (n, f"m{n}"))) for n in range(1, 31)]
    for n in range(1, 31):
        change = ActorChange(epoch=1, etag=etags[n - 1], new_etag=etags[n])
        change.ended, change.set, change.remove = (end(n),), {"n": b"%d" % n}, ("x",)
        steps.append(storage.apply(actor_id, change))
    await asyncio.gather(*steps)
    await claimed

    found = [turn.message_id for turn in await storage.read_turns(actor_id)]
    same(found, [f"m{n}" for n in range(1, 31)], "the turns in order")
    state = await storage.read_state(actor_id)
    same(state, ActorState({"n": b"30"}, etags[30], 1), "the state")


@case(43)
async def the_last_of_several_waiting_writes_of_a_key_wins(kit: CaseKit) -> None:
    """Steps that wait together leave what they would have left one by one."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch

    await asyncio.gather(
        *(
            storage.apply(kit.actor(), change)
            for change in (
                ActorChange(epoch=epoch, set={"a": b"1", "b": b"1"}),
                ActorChange(epoch=epoch, set={"c": b"2"}, remove=["a", "b"]),
                ActorChange(epoch=epoch, set={"b": b"3"}, remove=["c"]),
            )
        )
    )

    values = (await storage.read_state(kit.actor())).values
    same(values, {"b": b"3"}, "the values")


@case(43)
async def a_refused_step_does_not_hurt_its_neighbours(kit: CaseKit) -> None:
    """Whatever is written together, a refusal is the affair of its step alone."""
    storage = await kit.open()
    actors = [kit.actor(f"n{n}") for n in range(12)]
    for actor_id in actors:
        await storage.claim(actor_id)

    def step(n: int) -> "asyncio.Future[Any]":
        if n % 4 == 1:
            return storage.apply(actors[n], accept(99, (1, "m1")))
        if n % 4 == 2:
            return storage.apply(actors[n], ActorChange(epoch=1, ended=(end(1),)))
        if n % 4 == 3:
            return storage.write_state(actors[n], set={"k": b"1"}, etag="wrong")
        return storage.apply(actors[n], accept(1, (1, "m1")))

    steps = [step(n) for n in range(12)]
    outcomes = await asyncio.gather(*steps, return_exceptions=True)

    found: list[Any] = [type(outcome) for outcome in outcomes]
    same(found, [tuple, StaleEpoch, Conflict, Conflict] * 3, "the outcomes")
    for n, actor_id in enumerate(actors):
        same(len(await storage.read_turns(actor_id)), int(n % 4 == 0), "its turns")


@case(44)
async def a_change_of_forty_turns_and_values_is_taken(kit: CaseKit) -> None:
    """Up to 40 turns and 40 values in one step are never too large."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch
    change = accept(epoch, *((n, f"m{n}") for n in range(1, 41)))
    await storage.apply(kit.actor(), change)

    ended: tuple[TurnEnd, ...] = tuple(end(n) for n in range(1, 41))
    values = {f"k{n:02}": b"%d" % n for n in range(40)}
    commit = ActorChange(epoch=epoch, ended=ended, set=values)
    await storage.apply(kit.actor(), commit)

    turns = await storage.read_turns(kit.actor())
    same({turn.status for turn in turns}, {COMPLETED}, "the statuses")
    same(len(turns), 40, "the number of turns")
    same((await storage.read_state(kit.actor())).values, values, "the values")


@case(41)
async def marks_stay_until_they_are_removed(kit: CaseKit) -> None:
    """A change adds marks to those there are, or takes some away; the claim tells them."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = await run_turns(storage, actor_id, PENDING)
    one, other, both = {"dead"}, {"outbox"}, {"dead", "outbox"}

    for added, removed, expected in (
        (one, set[str](), one),
        (other, set[str](), both),
        (set[str](), set[str](), both),
        (other, one, other),
        (set[str](), one, other),  # it is gone already
        ({"out"}, set[str](), {"out", "outbox"}),
        (set[str](), {"out"}, other),
        (one, other, one),
        (set[str](), both, set[str]()),
    ):
        change = ActorChange(epoch=epoch)
        change.add_marks, change.remove_marks = frozenset(added), frozenset(removed)
        await storage.apply(actor_id, change)
        etag = (await storage.read_state(actor_id)).etag
        await storage.write_state(actor_id, set={"k": b"1"}, etag=etag)

        same((await storage.claim(actor_id)).marks, expected, "the marks of the claim")
        for mark in ("dead", "out", "outbox"):
            found = await kit.actors(storage, mark=mark)
            expected_ids = [actor_id] if mark in expected else []
            same(found, expected_ids, f"the actors with {mark}")


@case(43)
async def steps_that_wait_together_leave_each_others_marks(kit: CaseKit) -> None:
    """None has to know which marks those before it have added or removed."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = await run_turns(storage, actor_id, PENDING)
    dead, outbox = frozenset({"dead"}), frozenset({"outbox"})
    await storage.apply(actor_id, ActorChange(epoch=epoch, add_marks=dead))

    commit = ActorChange(epoch, new_etag="commit", ended=(end(1),), add_marks=outbox)
    refused = ActorChange(epoch, "stale", "never", remove_marks=outbox)
    steps = [
        storage.apply(actor_id, change)
        for change in (commit, ActorChange(epoch, remove_marks=dead), refused)
    ]
    await asyncio.wait(steps)

    outcomes = [type(step.exception()) for step in steps]
    same(outcomes, [type(None), type(None), Conflict], "the outcomes")
    same((await storage.claim(actor_id)).marks, outbox, "the marks")
    same(await kit.actors(storage, mark="outbox"), [actor_id], "those with outbox")
    same(await kit.actors(storage, mark="dead"), [], "those with dead")
