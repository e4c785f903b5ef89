"""The feed of one watcher: confirmed, bounded, closed."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, strategies as st

from agent_runtime_nb.runtime.feed import Feed, Taken

FEW = 10


async def soon(found: Any) -> Any:
    return await asyncio.wait_for(found, 5)


def is_odd(item: int) -> bool:
    return item % 2 == 1


def negative(item: int) -> int:
    """The mark that says that items from this one on are gone."""
    return -item


def a_feed(*items: int) -> Feed[int]:
    feed = Feed(FEW, is_odd)
    for item in items:
        feed.push(item)
    return feed


def taken(found: "Taken[int] | asyncio.Future[Taken[int]]") -> tuple[int, ...]:
    assert isinstance(found, Taken)
    return found.items


async def test_a_feed_gives_what_was_pushed_in_order() -> None:
    feed = a_feed(1, 2, 3)

    assert taken(feed.take(0)) == (1, 2, 3)


async def test_what_a_reader_does_not_confirm_is_given_again() -> None:
    feed = a_feed(7, 8)
    first = feed.take(0)
    feed.push(9)

    again = feed.take(0)

    assert taken(first) == (7, 8)
    assert taken(again) == (7, 8, 9)


async def test_what_a_reader_confirms_never_comes_again() -> None:
    feed = a_feed(7, 8)
    first = feed.take(0)
    assert isinstance(first, Taken)

    feed.push(9)

    assert taken(feed.take(first.last)) == (9,)
    assert taken(feed.take(0)) == (9,)


async def test_a_reader_of_an_empty_feed_gets_a_burst_as_one() -> None:
    feed = a_feed()
    waiting = feed.take(0)

    feed.push(1)
    feed.push(2)

    assert taken(await soon(waiting)) == (1, 2)


async def test_a_reader_cancelled_before_or_after_the_delivery_loses_nothing() -> None:
    feed = a_feed()

    before = feed.take(0)
    assert isinstance(before, asyncio.Future)
    before.cancel()
    feed.push(1)
    await asyncio.sleep(0)
    after = feed.take(0)  # and its answer is thrown away
    feed.push(2)

    assert taken(after) == (1,)
    assert taken(feed.take(0)) == (1, 2)


async def test_a_slow_reader_keeps_what_must_stay_and_loses_the_rest() -> None:
    feed = a_feed(2, 1, 3, 5, 4, 7, 9, 11, 13, 15, 6)

    assert taken(feed.take(0)) == (2, 4, 6)


async def test_a_slow_reader_is_told_once_that_something_is_gone() -> None:
    feed = Feed(FEW, is_odd, negative)

    for item in (2, 1, 3, 5, 4, 7, 9, 11, 13, 15, 6):
        feed.push(item)

    seen = taken(feed.take(0))
    assert [item for item in seen if item > 0] == [2, 4, 6]
    assert len([item for item in seen if item < 0]) == 1


async def test_a_reader_is_told_of_a_loss_even_if_it_has_not_confirmed_what_it_has() -> (
    None
):
    feed = Feed(FEW, is_odd, negative)
    feed.push(1)
    first = feed.take(0)
    assert isinstance(first, Taken)

    for item in range(3, 3 + 2 * FEW, 2):
        feed.push(item)

    (mark,) = taken(feed.take(first.last))
    assert mark < 0


async def test_a_feed_stays_bounded_even_if_nothing_in_it_may_go() -> None:
    feed = a_feed(*range(0, 2000, 2))

    seen = taken(feed.take(0))

    assert len(seen) <= FEW
    assert seen[-1] == 1998
    assert list(seen) == sorted(seen)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=100))
def test_a_reader_sees_items_in_order_and_all_of_them_while_it_keeps_up(
    steps: list[tuple[int, bool]],
) -> None:
    # What was taken last counts until the next take confirms it.
    feed, seen, place, since, unconfirmed = a_feed(), list[int](), 0, 0, 0

    for item, takes in steps:
        feed.push(item)
        since += 1
        if takes or since + unconfirmed >= FEW:
            part = feed.take(place)
            assert isinstance(part, Taken)
            seen += part.items
            place, since, unconfirmed = part.last, 0, len(part.items)

    if since:
        seen += taken(feed.take(place))
    assert seen == [item for item, _ in steps]


async def test_a_closed_feed_raises_after_its_last_item_was_confirmed() -> None:
    feed = a_feed(1)

    feed.close(ConnectionError("it is over"))

    found = feed.take(0)
    assert isinstance(found, Taken)
    assert found.items == (1,)
    with pytest.raises(ConnectionError, match="it is over"):
        feed.take(found.last)


async def test_closing_wakes_the_reader_that_waits() -> None:
    feed = a_feed()
    waiting = feed.take(0)

    feed.close(ConnectionError("it is over"))

    with pytest.raises(ConnectionError, match="it is over"):
        await soon(waiting)


async def test_an_item_pushed_just_before_the_close_is_not_lost() -> None:
    feed = a_feed()
    waiting = feed.take(0)

    feed.push(1)
    feed.close(ConnectionError("it is over"))

    found = await soon(waiting)
    assert taken(found) == (1,)
    with pytest.raises(ConnectionError):
        feed.take(found.last)
