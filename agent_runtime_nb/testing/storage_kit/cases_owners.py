"""Cases of the storage contract: who owns an actor, and what deleting leaves."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent_runtime_nb.exceptions import (
    ActorOwnedElsewhere,
    StaleEpoch,
    StorageError,
)
from agent_runtime_nb.storage_abstractions import ActorChange, Claim
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

HOUR = 3600.0


@case(12)
async def a_first_claim_starts_from_nothing(kit: CaseKit) -> None:
    """The first owner gets epoch 1, no version, position 1 and nothing else."""
    storage = await kit.open()

    claim = await storage.claim(kit.actor())

    same(claim, Claim(1, None, {}, 1, [], frozenset()), "the claim")


@case(12)
async def a_claim_returns_what_is_stored(kit: CaseKit) -> None:
    """A claim is all that a host needs to go on."""
    storage = await kit.open()
    actor_id = kit.actor()
    await run_turns(storage, actor_id, COMPLETED, PENDING, PENDING)
    etag = await storage.write_state(actor_id, set={"k": b"1"})

    claim = await storage.claim(actor_id)

    same((claim.epoch, claim.etag), (1, etag), "epoch and version")
    same((claim.values, claim.next_position), ({"k": b"1"}, 4), "values, position")
    found = [turn.message_id for turn in claim.open_turns]
    same(found, ["m2", "m3"], "the open turns")


@case(12)
async def a_claim_of_the_owner_changes_nothing(kit: CaseKit) -> None:
    """Claiming one's own actor again, even with take_over, keeps the epoch."""
    storage = await kit.open()
    first = await storage.claim(kit.actor())

    same(await storage.claim(kit.actor()), first, "the second claim")
    same(await storage.claim(kit.actor(), take_over=True), first, "the third claim")


@case(12)
async def an_actor_of_a_living_host_is_refused(kit: CaseKit) -> None:
    """The claim of another host names the owner and changes nothing."""
    one, two = await kit.open("first notebook"), await kit.open()
    epoch = (await one.claim(kit.actor())).epoch

    with refused("the claim of a second host", ActorOwnedElsewhere) as refusal:
        await two.claim(kit.actor())

    same(refusal.error.owner, "first notebook", "the owner in the error")
    same(await one.apply(kit.actor(), accept(epoch, (1, "m1"))), (), "its next step")


@case(12)
async def one_of_many_first_claims_wins(kit: CaseKit) -> None:
    """Of hosts that claim a free actor at once, exactly one gets it."""
    hosts = [await kit.open() for _ in range(4)]

    claims = [storage.claim(kit.actor()) for storage in hosts]
    outcomes = await asyncio.gather(*claims, return_exceptions=True)

    winners = [outcome for outcome in outcomes if isinstance(outcome, Claim)]
    same([winner.epoch for winner in winners], [1], "the epochs of the winners")
    losers = [one for one in outcomes if isinstance(one, ActorOwnedElsewhere)]
    same(len(losers), 3, "the hosts that were refused")


@case(12)
async def an_actor_of_a_dead_host_gets_a_higher_epoch(kit: CaseKit) -> None:
    """What a dead host owned can be claimed, with its open turns."""
    one, two = await kit.open(), await kit.open()
    await run_turns(one, kit.actor(), COMPLETED, PENDING)
    await kit.kill(one)

    claim = await two.claim(kit.actor())

    same((claim.epoch, claim.next_position), (2, 3), "epoch and next position")
    same([turn.position for turn in claim.open_turns], [2], "the open turns")


@case(12)
async def a_host_taken_for_dead_that_goes_on_commits_nothing(kit: CaseKit) -> None:
    """Once another host has claimed, every step of the former owner is refused."""
    one, two = await kit.open(), await kit.open()
    epoch = await run_turns(one, kit.actor(), PENDING)
    await kit.kill(one)
    new = (await two.claim(kit.actor())).epoch
    await two.apply(kit.actor(), accept(new, (2, "m2")))

    for change in (
        accept(epoch, (3, "late")),
        ActorChange(epoch=epoch, ended=(end(1),)),
        ActorChange(epoch=epoch, new_etag=f"{kit.namespace}-e", set={"k": b"1"}),
    ):
        with refused("a step of the former owner", StorageError):
            await one.apply(kit.actor(), change)

    claim = await two.claim(kit.actor())
    found = [turn.message_id for turn in claim.open_turns]
    same((found, claim.values), (["m1", "m2"], {}), "open turns and values")


@case(12)
async def an_actor_of_a_closed_host_is_free(kit: CaseKit) -> None:
    """Closing frees what the host owned."""
    one, two = await kit.open(), await kit.open()
    await one.claim(kit.actor())
    await one.close()

    same((await two.claim(kit.actor())).epoch, 2, "the epoch of the next owner")


@case(12)
async def take_over_claims_from_a_living_host(kit: CaseKit) -> None:
    """With take_over the owner changes, and the former one is told who it is now."""
    one, two = await kit.open(), await kit.open("second")
    old = (await one.claim(kit.actor())).epoch

    new = (await two.claim(kit.actor(), take_over=True)).epoch

    same(new, old + 1, "the new epoch")
    with refused("an accept of the former owner", StaleEpoch) as refusal:
        await one.apply(kit.actor(), accept(old, (1, "m1")))
    same(refusal.error.owner, "second", "the owner in the error")
    same(await two.read_turns(kit.actor()), [], "the turns")


@case(12)
async def an_old_epoch_is_refused_for_every_part_of_a_change(kit: CaseKit) -> None:
    """Accept, start, checkpoint, end, state, marks and delete: all need the epoch."""
    one, two = await kit.open(), await kit.open()
    actor_id = kit.actor()
    old = await run_turns(one, actor_id, PENDING)
    await two.claim(actor_id, take_over=True)
    changes = {
        "an accept": accept(old, (2, "m2")),
        "a start": ActorChange(epoch=old, started=(1,)),
        "a checkpoint": ActorChange(epoch=old, checkpoint=(1, b"1")),
        "an end": ActorChange(epoch=old, ended=(end(1),)),
        "a value": ActorChange(epoch=old, set={"k": b"1"}),
        "a removal": ActorChange(epoch=old, remove=("kept",)),
        "a mark": ActorChange(epoch=old, add_marks=frozenset({"outbox"})),
        "a version": ActorChange(epoch=old, new_etag=f"{kit.namespace}-e"),
        "nothing": ActorChange(epoch=old),
    }
    await two.write_state(actor_id, set={"kept": b"1"})
    before = await two.claim(actor_id)

    for what, change in changes.items():
        for epoch in (old, old + 2, 0):
            with refused(f"{what} with epoch {epoch}", StaleEpoch):
                await one.apply(actor_id, replace(change, epoch=epoch))
    with refused("a delete", StaleEpoch):
        await one.delete_state(actor_id, epoch=old)

    same(await two.claim(actor_id), before, "what is stored")


@case(12)
async def a_write_without_a_claim_is_stale(kit: CaseKit) -> None:
    """Nobody's actor has no epoch that would do."""
    storage = await kit.open()
    written = kit.actor("written")
    await storage.write_state(written, set={"k": b"1"})

    for actor_id in (kit.actor("never"), written):
        for epoch in (0, 1):
            with refused(f"epoch {epoch}", StaleEpoch):
                await storage.apply(actor_id, accept(epoch, (1, "m1")))

        same(await storage.read_turns(actor_id), [], "the turns")


@case(38)
async def a_wrong_clock_costs_no_safety(kit: CaseKit) -> None:
    """A host whose clock is an hour wrong neither loses nor steals an actor."""
    for name, ahead in (("behind", -HOUR), ("ahead", HOUR)):
        actor_id = kit.actor(name)
        skewed = kit.subject.make_with_clock(ahead)
        await kit.opened(skewed, name)
        right = await kit.open()
        old = (await skewed.claim(actor_id)).epoch
        with refused("an actor of a living host", ActorOwnedElsewhere):
            await right.claim(actor_id)

        new = (await right.claim(actor_id, take_over=True)).epoch

        with refused("an actor of a living host", ActorOwnedElsewhere):
            await skewed.claim(actor_id)
        with refused("a step of the former owner", StaleEpoch):
            await skewed.apply(actor_id, accept(old, (1, "m1")))
        known = await right.apply(actor_id, accept(new, (1, "m1")))
        same(known, (), "a step of the owner")


# --- deleting -------------------------------------------------------------------------


@case(4)
async def delete_removes_values_turns_and_marks(kit: CaseKit) -> None:
    """Nothing of a deleted actor can be read or listed."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = await run_turns(storage, actor_id, COMPLETED, PENDING)
    await storage.apply(
        actor_id, ActorChange(epoch=epoch, add_marks=frozenset({"dead"}))
    )
    await storage.write_state(actor_id, set={"k": b"1"})

    holds(await storage.delete_state(actor_id), "it says that there was something")

    state = await storage.read_state(actor_id)
    same((state.values, state.etag), ({}, None), "values and version")
    same(await storage.read_turns(actor_id), [], "the turns")
    same(await storage.find_turn(actor_id, "m1"), None, "a turn by its message id")
    same((await storage.list_keys(actor_id)).items, (), "the keys")
    same(await kit.actors(storage), [], "the listed actors")
    same(await kit.actors(storage, mark="dead"), [], "the actors with its mark")
    claim = await storage.claim(actor_id)
    same((claim.open_turns, claim.marks), ([], frozenset()), "open turns and marks")


@case(4)
async def delete_of_nothing_says_so(kit: CaseKit) -> None:
    """Deleting twice, or what never was, is no error and returns False."""
    storage = await kit.open()
    await run_turns(storage, kit.actor(), COMPLETED)
    await storage.delete_state(kit.actor())

    for actor_id in (kit.actor(), kit.actor("never")):
        existed = await storage.delete_state(actor_id)
        holds(existed is False, "it says that there was nothing")


@case(4)
async def a_deleted_actor_keeps_fencing_its_former_owner(kit: CaseKit) -> None:
    """A tombstone stays: the epoch goes up and positions go on from where they were."""
    storage = await kit.open()
    actor_id = kit.actor()
    old = await run_turns(storage, actor_id, COMPLETED, COMPLETED)

    await storage.delete_state(actor_id, epoch=old)

    with refused("a step of before the delete", StaleEpoch):
        await storage.apply(actor_id, accept(old, (3, "m3")))
    same((await storage.read_state(actor_id)).epoch, old + 1, "the epoch")
    claim = await storage.claim(actor_id)
    holds(claim.epoch > old + 1, "the next claim has a higher epoch")
    same(claim.next_position, 3, "the next position")
    known = await storage.apply(actor_id, accept(claim.epoch, (3, "m1")))
    same(known, (), "known turns: m1 is a new message id again")


@case(4)
async def delete_with_a_stale_epoch_is_refused(kit: CaseKit) -> None:
    """An epoch that is not the actor's deletes nothing."""
    storage = await kit.open()
    await run_turns(storage, kit.actor(), COMPLETED)
    await storage.write_state(kit.actor("unclaimed"), set={"k": b"1"})

    for actor_id, epoch in (
        (kit.actor(), 7),
        (kit.actor(), 0),
        (kit.actor("never"), 0),
        (kit.actor("never"), 1),
        (kit.actor("unclaimed"), 0),
    ):
        with refused(f"epoch {epoch}", StaleEpoch):
            await storage.delete_state(actor_id, epoch=epoch)

    same(len(await storage.read_turns(kit.actor())), 1, "the number of turns")
    values = (await storage.read_state(kit.actor("unclaimed"))).values
    same(values, {"k": b"1"}, "the values of an actor that nobody claimed")


@case(4)
async def a_version_is_never_used_again(kit: CaseKit) -> None:
    """Created anew after a delete, an actor gets a version never seen before."""
    storage = await kit.open()
    seen: set[str] = set()

    for _ in range(5):
        seen.add(await storage.write_state(kit.actor(), set={"k": b"1"}))
        await storage.delete_state(kit.actor())

    same(len(seen), 5, "the number of different versions")


@case(4)
async def every_write_gives_another_version(kit: CaseKit) -> None:
    """Writing the same values again is another version, so no change goes unseen."""
    storage = await kit.open()
    etag: str | None = None
    seen: list[str | None] = [None]

    for _ in range(5):
        etag = await storage.write_state(kit.actor(), set={"k": b"1"}, etag=etag)
        seen.append(etag)

    same(len(set(seen)), 6, "the number of different versions")


@case(4)
async def a_waiting_accept_is_deleted_with_the_rest(kit: CaseKit) -> None:
    """A delete called after an accept deletes it, though neither has returned."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch

    accepted = storage.apply(kit.actor(), accept(epoch, (1, "m1")))
    deleted = storage.delete_state(kit.actor())

    same(await asyncio.gather(accepted, deleted), [(), True], "the outcomes")
    same(await storage.read_turns(kit.actor()), [], "the turns")


@case(4)
async def steps_around_a_waiting_delete_keep_their_order(kit: CaseKit) -> None:
    """What is called before a delete is deleted, what is called after is not."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = (await storage.claim(actor_id)).epoch
    calls: list[Callable[[], Any]] = [
        lambda: storage.apply(actor_id, accept(epoch, (1, "m1"))),
        lambda: storage.delete_state(actor_id),
        lambda: storage.apply(actor_id, accept(epoch, (2, "m2"))),
        lambda: storage.claim(actor_id),
        lambda: storage.apply(actor_id, accept(epoch + 2, (2, "m1"))),
    ]

    steps = [call() for call in calls]
    outcomes = await asyncio.gather(*steps, return_exceptions=True)

    same(outcomes[:2], [(), True], "the accept and the delete")
    holds(isinstance(outcomes[2], StaleEpoch), "an accept after the delete is stale")
    same(outcomes[4], (), "the accept of the new owner")
    found = [turn.position for turn in await storage.read_turns(actor_id)]
    same(found, [2], "the positions")
