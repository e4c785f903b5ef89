"""Cases of the storage contract: turns, from their acceptance to their retention."""

import asyncio

from agent_runtime_nb.exceptions import Conflict
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    TurnRecord,
)
from agent_runtime_nb.testing.storage_kit.case import (
    COMPLETED,
    INTERRUPTED,
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


@case(15)
async def a_turn_is_read_as_it_was_written(kit: CaseKit) -> None:
    """An accepted record comes back from every verb that reads turns."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch
    record = TurnRecord(
        position=1, message_id="m1", attempts=1, body=b'{"a": 1}', accepted_at=10.25
    )

    known = await storage.apply(
        kit.actor(), ActorChange(epoch=epoch, accepted=(record,))
    )

    same(known, (), "the known turns")
    same(await storage.find_turn(kit.actor(), "m1"), record, "find_turn")
    same(await storage.read_turns(kit.actor()), [record], "read_turns")
    same((await storage.claim(kit.actor())).open_turns, [record], "the open turns")


@case(15)
async def a_known_message_id_gives_the_recorded_turn(kit: CaseKit) -> None:
    """An accept that is repeated changes nothing and returns the turn as it is."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = (await storage.claim(actor_id)).epoch
    await storage.apply(actor_id, accept(epoch, (1, "m1"), body=b'"first"'))
    await storage.apply(actor_id, ActorChange(epoch=epoch, ended=(end(1),)))

    again = accept(epoch, (2, "m1"), (3, "m3"), body=b'"second"', started=[2, 3])
    known = await storage.apply(actor_id, again)

    same(known, (await storage.find_turn(actor_id, "m1"),), "the known turns")
    first = (known[0].position, known[0].body, known[0].result)
    same(first, (1, b'"first"', b'"done"'), "the known turn")
    turns = await storage.read_turns(actor_id)
    found = [(turn.position, turn.attempts) for turn in turns]
    same(found, [(1, 0), (3, 1)], "positions and attempts")


@case(15)
async def accepting_one_id_many_times_at_once_makes_one_turn(kit: CaseKit) -> None:
    """Of accepts with one message id the first makes the turn, the others get it."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch

    steps = [storage.apply(kit.actor(), accept(epoch, (n, "m"))) for n in range(1, 11)]
    outcomes = await asyncio.gather(*steps)

    same(outcomes[0], (), "the outcome of the first")
    positions = [known[0].position for known in outcomes[1:]]
    same(positions, [1] * 9, "the positions that the others got")
    found = [turn.position for turn in await storage.read_turns(kit.actor())]
    same(found, [1], "the positions")


@case(15)
async def one_message_id_is_another_turn_of_another_actor(kit: CaseKit) -> None:
    """Message ids belong to their actor."""
    storage = await kit.open()

    for actor_id in (kit.actor("c1"), kit.actor("c2"), kit.actor("c1", "other")):
        epoch = (await storage.claim(actor_id)).epoch
        known = await storage.apply(actor_id, accept(epoch, (1, "m1")))
        same(known, (), f"known turns of {actor_id}")


@case(16)
async def a_position_is_never_used_twice(kit: CaseKit) -> None:
    """A turn at a position that was used is refused; later ones may leave gaps."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = (await storage.claim(actor_id)).epoch
    await storage.apply(actor_id, accept(epoch, (1, "m1"), (2, "m2")))

    for position in (1, 2):
        with refused(f"position {position} again", Conflict):
            await storage.apply(actor_id, accept(epoch, (position, "other")))

    same(await storage.find_turn(actor_id, "other"), None, "the refused turn")
    same((await storage.claim(actor_id)).next_position, 3, "the next position")
    await storage.apply(actor_id, accept(epoch, (5, "m5")))
    same((await storage.claim(actor_id)).next_position, 6, "the next after a gap")


@case(16)
async def a_position_outlives_its_turn(kit: CaseKit) -> None:
    """After a delete, or several, the next position goes on from where it was."""
    storage = await kit.open()

    for n in range(3):
        await run_turns(storage, kit.actor(), COMPLETED, PENDING)
        await storage.delete_state(kit.actor())

        claim = await storage.claim(kit.actor())
        same(claim.next_position, 2 * n + 3, "the next position")
        holds(not await storage.delete_state(kit.actor()), "nothing is left to delete")


@case(18)
async def a_turn_that_is_not_open_cannot_end(kit: CaseKit) -> None:
    """A change that ends such a turn is refused whole."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = await run_turns(storage, actor_id, COMPLETED, PENDING)

    for position in (1, 7):
        ended = (end(2), end(position, result=b'"twice"'))
        with refused(f"the end of turn {position}", Conflict):
            await storage.apply(actor_id, ActorChange(epoch=epoch, ended=ended))

    one, two = await storage.read_turns(actor_id)
    same((one.result, two.status), (b'"done"', PENDING), "what is stored")


@case(18)
async def of_two_ends_of_a_turn_the_first_counts(kit: CaseKit) -> None:
    """Two ends called at once: the first is written, the second refused."""
    storage = await kit.open()
    epoch = await run_turns(storage, kit.actor(), PENDING)

    steps = [
        storage.apply(kit.actor(), ActorChange(epoch=epoch, ended=(ended,)))
        for ended in (end(1, result=b"1"), end(1, result=b"2"))
    ]
    first, second = await asyncio.gather(*steps, return_exceptions=True)

    same(first, (), "the outcome of the first")
    holds(isinstance(second, Conflict), "the second is a Conflict")
    same((await storage.read_turns(kit.actor()))[0].result, b"1", "the result")


@case(18)
async def attempts_and_checkpoint_of_an_ended_turn_stay(kit: CaseKit) -> None:
    """What comes too late for a turn is no error and changes nothing."""
    storage = await kit.open()
    actor_id = kit.actor()
    epoch = (await storage.claim(actor_id)).epoch
    await storage.apply(actor_id, accept(epoch, (1, "m1"), started=[1]))
    await storage.apply(actor_id, ActorChange(epoch=epoch, checkpoint=(1, b'"par"')))
    ended = end(1, INTERRUPTED)
    await storage.apply(actor_id, ActorChange(epoch=epoch, ended=(ended,)))

    late = ActorChange(epoch=epoch, started=(1, 9), checkpoint=(1, b'"late"'))
    await storage.apply(actor_id, late)

    (turn,) = await storage.read_turns(actor_id)
    same((turn.attempts, turn.checkpoint), (1, b'"par"'), "attempts, checkpoint")


@case(18)
async def a_turn_may_be_accepted_and_end_in_one_step(kit: CaseKit) -> None:
    """A change may end a turn that it accepts."""
    storage = await kit.open()
    epoch = (await storage.claim(kit.actor())).epoch
    change = accept(epoch, (1, "m1"))
    change.ended = (end(1),)

    await storage.apply(kit.actor(), change)

    same((await storage.read_turns(kit.actor()))[0].status, COMPLETED, "the status")
    same((await storage.claim(kit.actor())).open_turns, [], "the open turns")


@case(42)
async def a_turn_may_arrive_ended(kit: CaseKit) -> None:
    """Accepted records with a final status are kept as they are and are not open."""
    storage = await kit.open()
    actor_id = kit.actor("a copy")
    epoch = (await storage.claim(actor_id)).epoch
    records = tuple(
        TurnRecord(
            position=position,
            message_id=f"m{position}",
            status=status,
            attempts=1,
            body=b"{}",
            result=b'"old"',
            entries=b"[%d]" % position,
            checkpoint=b'"par"',
            accepted_at=1.5,
            ended_at=2.5,
        )
        for position, status in enumerate((COMPLETED, INTERRUPTED, COMPLETED), 1)
    )

    await storage.apply(actor_id, ActorChange(epoch=epoch, accepted=records))

    same(await storage.read_turns(actor_id), list(records), "the turns")
    claim = await storage.claim(actor_id)
    same((claim.open_turns, claim.next_position), ([], 4), "open turns, position")
    page = await storage.list_actors(actor_id.type_name, open_only=True)
    same(page.items, (), "the actors with open turns")
    with refused("the end of a turn that has ended", Conflict):
        await storage.apply(actor_id, ActorChange(epoch=epoch, ended=(end(3),)))
    await storage.trim(actor_id, 1)
    results = [turn.result for turn in await storage.read_turns(actor_id)]
    same(results, [None, None, b'"old"'], "the results after trimming")


@case(17)
async def open_turns_are_found_in_order_after_a_restart(kit: CaseKit) -> None:
    """The next owner gets every turn without a final status, oldest first."""
    storage = await kit.open()
    await run_turns(storage, kit.actor(), COMPLETED, *[PENDING] * 12)
    other = await kit.open()
    await storage.close()

    claim = await other.claim(kit.actor())

    found = [turn.position for turn in claim.open_turns]
    same(found, list(range(2, 14)), "the positions of the open turns")


@case(17)
async def turns_are_read_in_pages_from_the_newest(kit: CaseKit) -> None:
    """`before` and `limit` walk back; each page is oldest first."""
    storage = await kit.open()
    await run_turns(storage, kit.actor(), *[COMPLETED] * 7)

    newest = await storage.read_turns(kit.actor(), limit=3)
    older = await storage.read_turns(kit.actor(), before=5, limit=3)
    oldest = await storage.read_turns(kit.actor(), before=2, limit=3)

    pages = [[turn.position for turn in page] for page in (newest, older, oldest)]
    same(pages, [[5, 6, 7], [2, 3, 4], [1]], "the pages")
    same(await storage.read_turns(kit.actor(), before=1), [], "before the first")


@case(18)
async def trim_drops_bodies_and_results_of_old_ended_turns(kit: CaseKit) -> None:
    """Entries, open turns and the body of an interrupted turn stay."""
    storage = await kit.open()
    actor_id = kit.actor()
    statuses = (COMPLETED, INTERRUPTED, PENDING, COMPLETED, COMPLETED, COMPLETED)
    epoch = await run_turns(storage, actor_id, *statuses)

    await storage.trim(actor_id, 2)

    turns = await storage.read_turns(actor_id)
    kept = [(turn.body is not None, turn.result is not None) for turn in turns]
    expected = [(False, False), (True, False), (True, False), (False, False)]
    same(kept, [*expected, (True, True), (True, True)], "bodies and results kept")
    entries = [turn.entries for turn in turns]
    same(entries, [b"[1]", b"[2]", None, b"[4]", b"[5]", b"[6]"], "the entries")
    found = [turn.position for turn in (await storage.claim(actor_id)).open_turns]
    same(found, [3], "the open turns")
    await storage.apply(actor_id, ActorChange(epoch=epoch, ended=(end(3),)))
    known = await storage.apply(actor_id, accept(epoch, (7, "m1")))
    same(known[0].status, COMPLETED, "the status of a trimmed turn, sent again")


@case(18)
async def trim_of_few_turns_drops_nothing(kit: CaseKit) -> None:
    """Fewer turns than are kept, or no turns at all, are left as they are."""
    storage = await kit.open()
    await run_turns(storage, kit.actor(), COMPLETED)

    await storage.trim(kit.actor(), 1)
    await storage.trim(kit.actor("never"), 1)

    turn = (await storage.read_turns(kit.actor()))[0]
    same((turn.body, turn.result), (b"{}", b'"done"'), "body and result")
