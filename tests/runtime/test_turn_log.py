"""The log of one turn, for any number of readers."""

import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given, strategies as st

from agent_runtime_nb.runtime.turn_log import Slice, TurnLog

FEW = 10


def log_of(*sequences: int, limit: int = 1000, max_bytes: int = 1_000_000) -> TurnLog:
    log = TurnLog(limit, max_bytes)
    for sequence in sequences:
        log.append(sequence, b"%d" % sequence)
    return log


def numbers(part: Any) -> list[int]:
    assert isinstance(part, Slice)
    return [sequence for sequence, _ in part.items]


async def soon(found: Any) -> Any:
    return await asyncio.wait_for(found, 5)


# --- slices


def test_a_reader_gets_everything_after_its_place_at_once() -> None:
    log = log_of(0, 1, 5, 9)

    assert numbers(log.after(-1)) == [0, 1, 5, 9]
    assert numbers(log.after(1)) == [5, 9]
    assert numbers(log.after(3)) == [5, 9]


def test_reading_takes_nothing_away() -> None:
    log = log_of(0, 1)

    first, second = log.after(-1), log.after(-1)

    assert first == second == Slice([(0, b"0"), (1, b"1")], ended=False)


def test_a_slice_does_not_grow_after_it_was_given_out() -> None:
    log = log_of(0)
    part = log.after(-1)

    log.append(1, b"1")

    assert numbers(part) == [0]


def test_an_ended_log_answers_at_once_from_every_place() -> None:
    log = log_of(0, 1)

    log.end()

    assert log.after(0) == Slice([(1, b"1")], ended=True)
    assert log.after(1) == Slice([], ended=True)
    assert log.after(99) == Slice([], ended=True)


def test_a_log_that_ends_empty_says_so() -> None:
    log = log_of()

    log.end()

    assert log.after(-1) == Slice([], ended=True)


@pytest.mark.parametrize("sequence", [3, 2, -1])
def test_a_sequence_that_does_not_grow_is_refused_and_changes_nothing(
    sequence: int,
) -> None:
    log = log_of(3)

    with pytest.raises(ValueError, match="must be over 3"):
        log.append(sequence, b"late")

    assert log.kept(-1) == [(3, b"3")]
    assert log.last == 3
    assert log.size == 1


@given(st.sets(st.integers(0, 50)), st.integers(-1, 51))
def test_a_slice_holds_exactly_what_is_larger(given: set[int], after: int) -> None:
    log = log_of(*sorted(given))
    log.end()

    assert numbers(log.after(after)) == sorted(n for n in given if n > after)


# --- bounds


def test_a_full_log_forgets_the_oldest_and_says_up_to_where() -> None:
    log = log_of(*range(25), limit=FEW)

    kept = [sequence for sequence, _ in log.kept(-1)]

    assert len(kept) <= FEW
    assert kept == list(range(log.forgotten + 1, 25))
    assert log.last == 24


def test_a_log_forgets_by_bytes_too() -> None:
    log = TurnLog(1000, 100)

    for sequence in range(50):
        log.append(sequence, b"x" * 30)

    assert log.size <= 100
    assert [sequence for sequence, _ in log.kept(-1)] == [47, 48, 49]
    assert log.forgotten == 46


def test_the_newest_update_is_kept_even_if_it_alone_is_over_the_bound() -> None:
    log = TurnLog(1000, 100)
    log.append(0, b"small")

    log.append(1, b"x" * 500)

    assert log.kept(-1) == [(1, b"x" * 500)]
    assert log.forgotten == 0
    assert log.size == 500


def test_nothing_is_forgotten_within_the_bounds() -> None:
    log = log_of(*range(FEW), limit=FEW)

    assert log.forgotten == -1
    assert len(log.kept(-1)) == FEW


@given(
    st.lists(st.integers(0, 60), max_size=40), st.integers(1, 10), st.integers(1, 200)
)
def test_whatever_is_appended_the_log_keeps_its_bounds_and_its_newest_end(
    sizes: list[int], limit: int, max_bytes: int
) -> None:
    log = TurnLog(limit, max_bytes)

    for sequence, size in enumerate(sizes):
        log.append(sequence, b"x" * size)

    kept = log.kept(-1)
    assert len(kept) <= limit
    assert log.size == sum(len(data) for _, data in kept)
    assert log.size <= max_bytes or len(kept) == 1
    assert [n for n, _ in kept] == list(range(log.forgotten + 1, len(sizes)))


# --- waiting


async def test_a_reader_that_has_everything_waits_for_the_next() -> None:
    log = log_of(0)
    waiting = log.after(0)
    assert isinstance(waiting, asyncio.Future)

    log.append(1, b"1")

    assert await soon(waiting) == Slice([(1, b"1")], ended=False)


async def test_a_waiting_reader_is_told_that_nothing_more_comes() -> None:
    log = log_of(0)
    waiting = log.after(0)

    log.end()

    assert await soon(waiting) == Slice([], ended=True)


async def test_a_burst_reaches_a_waiting_reader_as_one_slice() -> None:
    log = log_of()
    waiting = log.after(-1)

    for sequence in range(5):
        log.append(sequence, b"")
    log.end()

    part = await soon(waiting)
    assert numbers(part) == [0, 1, 2, 3, 4]
    assert part.ended


async def test_readers_at_different_places_each_get_their_own_slice() -> None:
    log = log_of(0, 1, 2)
    waiting = [log.after(place) for place in (2, 3, 4)]

    log.append(3, b"3")
    log.append(5, b"5")

    assert [numbers(await soon(one)) for one in waiting] == [[3, 5], [5], [5]]


async def test_a_hundred_readers_all_read_everything_in_order() -> None:
    log = log_of()

    async def read() -> list[int]:
        seen: list[int] = []
        while True:
            part = log.after(seen[-1] if seen else -1)
            part = part if isinstance(part, Slice) else await soon(part)
            seen += numbers(part)
            if part.ended:
                return seen

    async def write() -> None:
        for sequence in range(50):
            log.append(sequence, b"")
            if sequence % 3:
                await asyncio.sleep(0)
        log.end()

    *seen, _ = await asyncio.gather(*[read() for _ in range(100)], write())

    assert seen == [list(range(50))] * 100


async def test_a_reader_that_gave_up_does_not_disturb_the_others() -> None:
    log = log_of()
    gone, stays = log.after(-1), log.after(-1)
    assert isinstance(gone, asyncio.Future)

    gone.cancel()
    log.append(0, b"0")

    assert numbers(await soon(stays)) == [0]


async def test_readers_that_gave_up_are_not_kept_until_the_next_update() -> None:
    log, gone = log_of(), list[weakref.ref[asyncio.Future[Slice]]]()

    def wait_and_give_up() -> None:
        waiting = log.after(-1)
        assert isinstance(waiting, asyncio.Future)
        waiting.cancel()
        gone.append(weakref.ref(waiting))

    for _ in range(500):
        wait_and_give_up()
    gc.collect()

    assert sum(one() is not None for one in gone) < 100


async def test_a_slow_reader_goes_on_from_what_is_still_kept() -> None:
    log = log_of(0, limit=FEW)

    for sequence in range(1, 40):
        log.append(sequence, b"")

    part = log.after(0)
    assert numbers(part)[0] == log.forgotten + 1 > 1
    assert numbers(part)[-1] == 39
