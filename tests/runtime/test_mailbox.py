"""The order of waiting turns, and what a turn tells those who wait for it."""

import asyncio
import gc
import weakref
from collections import deque
from typing import Any

import pytest
from hypothesis import given, strategies as st

from agent_runtime_nb.exceptions import OutcomeUnknown
from agent_runtime_nb.runtime.mailbox import Mailbox
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime.turn_log import Slice, TurnLog
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from agent_runtime_nb.storage_abstractions import TurnRecord

ACTOR = ActorId("echo", "c1")


def a_turn(position: int = 1) -> Turn:
    return Turn(ACTOR, position, f"m{position}", b'["run",null]')


def filled(count: int) -> tuple[Mailbox, list[Turn]]:
    mailbox, turns = Mailbox(), [a_turn(n) for n in range(1, count + 1)]
    for turn in turns:
        mailbox.append(turn)
    return mailbox, turns


async def soon(waiter: Any) -> None:
    await asyncio.wait_for(waiter, 5)


# --- the mailbox


def test_turns_come_out_in_the_order_they_went_in() -> None:
    mailbox, turns = filled(3)

    taken = [mailbox.take() for _ in range(4)]

    assert taken == [*turns, None]


def test_looking_at_the_next_turn_leaves_it_where_it_is() -> None:
    mailbox, turns = filled(2)

    assert mailbox.peek() is turns[0]
    assert mailbox.peek() is turns[0]
    assert len(mailbox) == 2


def test_a_turn_can_be_withdrawn_from_any_place_once() -> None:
    mailbox, turns = filled(3)

    assert mailbox.withdraw(turns[1])
    assert not mailbox.withdraw(turns[1])

    assert list(mailbox) == [turns[0], turns[2]]


@pytest.mark.parametrize("count", [1, 3])
def test_a_turn_that_is_put_back_is_the_next_again(count: int) -> None:
    mailbox, turns = filled(count)
    assert mailbox.take() is turns[0]

    mailbox.put_back(turns[0])

    assert list(mailbox) == turns


def test_a_turn_that_was_taken_cannot_be_withdrawn() -> None:
    mailbox, turns = filled(1)

    mailbox.take()

    assert not mailbox.withdraw(turns[0])


def test_an_empty_mailbox_gives_nothing() -> None:
    new, (emptied, turns), (withdrawn, others) = Mailbox(), filled(1), filled(1)

    emptied.take()
    withdrawn.withdraw(others[0])

    assert turns
    for mailbox in (new, emptied, withdrawn):
        assert (len(mailbox), list(mailbox)) == (0, [])
        assert (mailbox.peek(), mailbox.take()) == (None, None)


@given(st.lists(st.sampled_from(["put", "take", "peek", "withdraw"]), max_size=60))
def test_a_mailbox_behaves_as_a_queue(steps: list[str]) -> None:
    mailbox, model = Mailbox(), deque[Turn]()

    for number, step in enumerate(steps):
        if step == "put":
            turn = a_turn(number)
            mailbox.append(turn)
            model.append(turn)
        elif step == "take":
            assert mailbox.take() is (model.popleft() if model else None)
        elif step == "peek":
            assert mailbox.peek() is (model[0] if model else None)
        elif model:
            chosen = model[number % len(model)]
            model.remove(chosen)
            assert mailbox.withdraw(chosen)
        assert list(mailbox) == list(model)
        assert len(mailbox) == len(model)


# --- a turn


def test_a_new_turn_is_pending() -> None:
    turn = a_turn()

    assert turn.status is RequestStatus.PENDING
    assert not turn.ended


@pytest.mark.parametrize(
    "status", [status for status in RequestStatus if status.is_final]
)
async def test_an_ended_turn_answers_as_often_as_it_is_asked(
    status: RequestStatus,
) -> None:
    turn = a_turn()

    turn.end(status, b'{"list":[]}', 86_400.0)

    first, second = turn.response(), turn.response()
    assert first == second
    assert first.data is not second.data
    assert (first.status, first.data) == (status, {"list": []})
    assert (first.message_id, first.sender_id) == ("m1", ACTOR)
    assert first.timestamp.isoformat() == "1970-01-02T00:00:00+00:00"
    assert turn.ended
    assert turn.wait() is None


def test_a_turn_without_a_result_answers_none() -> None:
    turn = a_turn()

    turn.end(RequestStatus.CANCELLED, None, 1.0)

    assert turn.response().data is None


async def test_the_end_wakes_everybody_who_waits() -> None:
    turn = a_turn()
    waiters = [turn.wait() for _ in range(10)]

    turn.end(RequestStatus.COMPLETED, b"1", 1.0)

    for waiter in waiters:
        await soon(waiter)


async def test_a_waiter_that_gave_up_neither_ends_the_turn_nor_hurts_the_others() -> (
    None
):
    turn = a_turn()
    gone, stays = turn.wait(), turn.wait()
    assert gone is not None

    gone.cancel()
    assert not turn.ended
    turn.end(RequestStatus.COMPLETED, b"1", 1.0)

    await soon(stays)


async def test_waiters_that_gave_up_are_not_kept_until_the_end() -> None:
    turn, gone = a_turn(), list[weakref.ref[asyncio.Future[None]]]()

    def wait_and_give_up() -> None:
        waiter = turn.wait()
        assert waiter is not None
        waiter.cancel()
        gone.append(weakref.ref(waiter))

    for _ in range(500):
        wait_and_give_up()
    gc.collect()

    assert sum(one() is not None for one in gone) < 100


async def test_a_lost_turn_wakes_everybody_with_its_error() -> None:
    turn = a_turn()
    waiter = turn.wait()

    turn.lose(OutcomeUnknown(ACTOR, "m1"))

    await soon(waiter)
    assert turn.ended
    assert turn.wait() is None
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            turn.response()


@pytest.mark.parametrize("lost", [False, True])
async def test_the_end_of_a_turn_ends_its_update_log(*, lost: bool) -> None:
    turn = a_turn()
    turn.log = TurnLog(10, 1000)
    turn.log.append(0, b"0")

    if lost:
        turn.lose(OutcomeUnknown(ACTOR, "m1"))
    else:
        turn.end(RequestStatus.COMPLETED, b"1", 1.0)

    assert turn.log.after(-1) == Slice([(0, b"0")], ended=True)


def test_a_stored_turn_is_as_it_was_stored() -> None:
    record = TurnRecord(
        position=7,
        message_id="m7",
        status=RequestStatus.FAILED,
        attempts=2,
        body=b'["run",1]',
        result=b'{"error":{}}',
        accepted_at=1.0,
        ended_at=2.0,
    )

    turn = Turn.of_record(ACTOR, record)

    assert (turn.position, turn.message_id, turn.attempts) == (7, "m7", 2)
    assert (turn.body, turn.accepted_at, turn.ended_at) == (b'["run",1]', 1.0, 2.0)
    assert turn.ended
    assert turn.response().data == {"error": {}}


def test_an_open_stored_turn_is_pending() -> None:
    turn = Turn.of_record(ACTOR, TurnRecord(position=1, message_id="m1"))

    assert not turn.ended
    assert turn.body == b""
