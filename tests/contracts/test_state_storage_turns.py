"""What every `IActorStateStorage` does with turns."""

import asyncio
from typing import Any

import pytest

from agent_runtime_nb.exceptions import (
    Conflict,
    StaleEpoch,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
)
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    ActorState,
    IActorStateStorage,
    TurnRecord,
)
from tests.contracts.state_storages import (
    COMPLETED,
    INTERRUPTED,
    PENDING,
    A,
    B,
    StorageKind,
    accept,
    end,
    run_turns,
)


async def test_a_turn_is_read_as_it_was_written(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch
    record = TurnRecord(
        position=1, message_id="m1", attempts=1, body=b'{"a": 1}', accepted_at=10.25
    )

    known = await storage.apply(A, ActorChange(epoch=epoch, accepted=(record,)))

    assert known == ()
    assert await storage.find_turn(A, "m1") == record
    assert await storage.read_turns(A) == [record]
    assert (await storage.claim(A)).open_turns == [record]


async def test_a_commit_writes_everything_together(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accept(epoch, (1, "m1"), body=b"[]"))

    await storage.apply(
        A,
        ActorChange(
            epoch=epoch,
            new_etag="e1",
            started=(1,),
            checkpoint=(1, b'"par"'),
            ended=(end(1, result=b"[1]", entries=b"[2]"),),
            set={"k": b"3"},
        ),
    )

    assert await storage.read_state(A) == ActorState({"k": b"3"}, "e1", epoch)
    assert await storage.find_turn(A, "m1") == TurnRecord(
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


async def test_a_change_with_a_stale_version_is_refused_whole(
    storage: IActorStateStorage,
):
    epoch = (await storage.claim(A)).epoch
    change = accept(epoch, (1, "m1"))
    change.new_etag = "e1"
    await storage.apply(A, change)

    with pytest.raises(Conflict):
        await storage.apply(
            A,
            ActorChange(
                epoch=epoch,
                etag="e0",
                new_etag="e2",
                accepted=(TurnRecord(position=2, message_id="m2"),),
                started=(1,),
                checkpoint=(1, b"1"),
                ended=(end(1),),
                set={"k": b"1"},
            ),
        )

    claim = await storage.claim(A)
    assert (claim.etag, claim.values, claim.next_position) == ("e1", {}, 2)
    assert claim.open_turns == list(change.accepted)


async def test_an_accept_needs_no_version(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch
    await storage.write_state(A, set={"k": b"1"})

    await storage.apply(A, accept(epoch, (1, "m1")))

    assert (await storage.read_turns(A))[0].message_id == "m1"


async def test_a_known_message_id_gives_the_recorded_turn(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accept(epoch, (1, "m1"), body=b'"first"'))
    await storage.apply(A, ActorChange(epoch=epoch, ended=(end(1),)))

    known = await storage.apply(
        A, accept(epoch, (2, "m1"), (3, "m3"), body=b'"second"', started=[2, 3])
    )

    assert known == (await storage.find_turn(A, "m1"),)
    assert (known[0].position, known[0].body, known[0].result) == (
        1,
        b'"first"',
        b'"done"',
    )
    turns = await storage.read_turns(A)
    assert [(turn.position, turn.attempts) for turn in turns] == [(1, 0), (3, 1)]


async def test_accepting_one_id_many_times_at_once_makes_one_turn(
    storage: IActorStateStorage,
):
    epoch = (await storage.claim(A)).epoch

    outcomes = await asyncio.gather(
        *(storage.apply(A, accept(epoch, (n, "same"))) for n in range(1, 11))
    )

    assert outcomes[0] == ()
    assert [known[0].position for known in outcomes[1:]] == [1] * 9
    assert [turn.position for turn in await storage.read_turns(A)] == [1]


async def test_one_message_id_is_another_turn_of_another_actor(
    storage: IActorStateStorage,
):
    for actor_id in (A, B):
        epoch = (await storage.claim(actor_id)).epoch
        assert await storage.apply(actor_id, accept(epoch, (1, "m1"))) == ()


async def test_a_position_is_never_used_twice(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accept(epoch, (1, "m1"), (2, "m2")))

    with pytest.raises(Conflict):
        await storage.apply(A, accept(epoch, (2, "other")))

    assert await storage.find_turn(A, "other") is None
    assert (await storage.claim(A)).next_position == 3


@pytest.mark.parametrize("position", [1, 7])
async def test_a_turn_that_is_not_open_cannot_end(
    storage: IActorStateStorage, position: int
):
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accept(epoch, (1, "m1"), (2, "m2")))
    await storage.apply(A, ActorChange(epoch=epoch, ended=(end(1),)))

    with pytest.raises(Conflict):
        await storage.apply(
            A,
            ActorChange(epoch=epoch, ended=(end(2), end(position, result=b'"twice"'))),
        )

    one, two = await storage.read_turns(A)
    assert one.result == b'"done"'
    assert two.status is PENDING


async def test_of_two_ends_of_a_turn_the_first_counts(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accept(epoch, (1, "m1")))

    outcomes = await asyncio.gather(
        storage.apply(A, ActorChange(epoch=epoch, ended=(end(1, result=b"1"),))),
        storage.apply(A, ActorChange(epoch=epoch, ended=(end(1, result=b"2"),))),
        return_exceptions=True,
    )

    assert outcomes[0] == ()
    assert isinstance(outcomes[1], Conflict)
    assert (await storage.read_turns(A))[0].result == b"1"


async def test_attempts_and_checkpoint_of_an_ended_turn_stay(
    storage: IActorStateStorage,
):
    epoch = (await storage.claim(A)).epoch
    await storage.apply(A, accept(epoch, (1, "m1"), started=[1]))
    await storage.apply(A, ActorChange(epoch=epoch, checkpoint=(1, b'"par"')))
    await storage.apply(A, ActorChange(epoch=epoch, ended=(end(1, INTERRUPTED),)))

    await storage.apply(
        A, ActorChange(epoch=epoch, started=(1,), checkpoint=(1, b'"late"'))
    )

    (turn,) = await storage.read_turns(A)
    assert (turn.attempts, turn.checkpoint) == (1, b'"par"')


async def test_a_turn_may_be_accepted_and_end_in_one_step(storage: IActorStateStorage):
    epoch = (await storage.claim(A)).epoch
    change = accept(epoch, (1, "m1"))
    change.ended = (end(1),)

    await storage.apply(A, change)

    assert (await storage.read_turns(A))[0].status is COMPLETED
    assert (await storage.claim(A)).open_turns == []


async def test_steps_of_one_actor_take_effect_in_call_order(
    storage: IActorStateStorage,
):
    claimed = storage.claim(A)
    steps = [storage.apply(A, accept(1, (n, f"m{n}"))) for n in range(1, 31)]
    steps += [
        storage.apply(
            A,
            ActorChange(
                epoch=1,
                etag=f"e{n - 1}" if n > 1 else None,
                new_etag=f"e{n}",
                ended=(end(n),),
                set={"last": b"%d" % n},
                remove=("gone",),
            ),
        )
        for n in range(1, 31)
    ]
    await asyncio.gather(*steps)
    await claimed

    turns = await storage.read_turns(A)
    assert [turn.message_id for turn in turns] == [f"m{n}" for n in range(1, 31)]
    assert await storage.read_state(A) == ActorState({"last": b"30"}, "e30", 1)


async def test_the_last_of_several_waiting_writes_of_a_key_wins(
    storage: IActorStateStorage,
):
    epoch = (await storage.claim(A)).epoch

    await asyncio.gather(
        storage.apply(A, ActorChange(epoch=epoch, set={"a": b"1", "b": b"1"})),
        storage.apply(A, ActorChange(epoch=epoch, set={"c": b"2"}, remove=["a", "b"])),
        storage.apply(A, ActorChange(epoch=epoch, set={"b": b"3"}, remove=["c"])),
    )

    assert (await storage.read_state(A)).values == {"b": b"3"}


async def test_a_refused_step_does_not_hurt_its_neighbours(storage: IActorStateStorage):
    actors = [ActorId("echo", f"n{n}") for n in range(12)]
    for actor_id in actors:
        await storage.claim(actor_id)

    def step(n: int, actor_id: ActorId) -> "asyncio.Future[Any]":
        if n % 4 == 1:
            return storage.apply(actor_id, accept(99, (1, "m1")))
        if n % 4 == 2:
            return storage.apply(actor_id, ActorChange(epoch=1, ended=(end(1),)))
        if n % 4 == 3:
            return storage.write_state(actor_id, set={"k": b"1"}, etag="wrong")
        return storage.apply(actor_id, accept(1, (1, "m1")))

    outcomes = await asyncio.gather(
        *(step(n, actor_id) for n, actor_id in enumerate(actors)),
        return_exceptions=True,
    )

    expected = [tuple, StaleEpoch, Conflict, Conflict] * 3
    assert list(map(type, outcomes)) == expected
    for n, actor_id in enumerate(actors):
        assert len(await storage.read_turns(actor_id)) == (n % 4 == 0)


async def test_turns_are_read_in_pages_from_the_newest(storage: IActorStateStorage):
    await run_turns(storage, A, *[COMPLETED] * 7)

    newest = await storage.read_turns(A, limit=3)
    older = await storage.read_turns(A, before=newest[0].position, limit=3)
    oldest = await storage.read_turns(A, before=older[0].position, limit=3)

    pages = [[turn.position for turn in page] for page in (newest, older, oldest)]
    assert pages == [[5, 6, 7], [2, 3, 4], [1]]
    assert await storage.read_turns(A, before=1) == []


async def test_open_turns_are_found_in_order_after_a_restart(kind: StorageKind):
    storage = await kind.open()
    await run_turns(storage, A, COMPLETED, *[PENDING] * 12)
    await storage.close()

    claim = await (await kind.open()).claim(A)

    assert [turn.position for turn in claim.open_turns] == list(range(2, 14))


async def test_trim_drops_bodies_and_results_of_old_ended_turns(
    storage: IActorStateStorage,
):
    await run_turns(
        storage, A, COMPLETED, INTERRUPTED, PENDING, COMPLETED, COMPLETED, COMPLETED
    )

    await storage.trim(A, 2)

    turns = await storage.read_turns(A)
    kept = [(turn.body is not None, turn.result is not None) for turn in turns]
    assert kept == [
        (False, False),
        (True, False),  # what an interrupted turn shows is made from its body
        (True, False),  # open
        (False, False),
        (True, True),
        (True, True),
    ]
    assert [turn.entries for turn in turns] == [
        b"[1]", b"[2]", None, b"[4]", b"[5]", b"[6]"
    ]  # fmt: skip
    assert [turn.position for turn in (await storage.claim(A)).open_turns] == [3]


async def test_trim_of_few_turns_drops_nothing(storage: IActorStateStorage):
    await run_turns(storage, A, COMPLETED)

    await storage.trim(A, 1)
    await storage.trim(B, 1)

    assert (await storage.read_turns(A))[0].result == b'"done"'
