"""The numbered log between a kernel and its front ends."""

import asyncio
import time
from typing import Any

from agent_runtime_nb.widgets.channel import Change, Channel, MessageBudget


class Counter:
    """A picture of one number, and the channel that tells of it."""

    def __init__(self, *, wait: float = 0.0) -> None:
        self.value = 0
        self.sent: list[Change] = []
        self.arrived = asyncio.Event()
        self.channel = Channel(
            self._send,
            lambda: {"value": self.value},
            list,
            asyncio.get_running_loop(),
            wait=wait,
            budget=MessageBudget(per_second=1000),
        )

    def add(self, amount: int) -> None:
        with self.channel.change() as emit:
            self.value += amount
            emit({"op": "add", "amount": amount})

    def _send(self, message: Change) -> None:
        self.sent.append(message)
        self.arrived.set()


def _append(text: str, index: int = 0) -> dict[str, Any]:
    return {"op": "append", "id": "t", "index": index, "field": "text", "text": text}


async def test_changes_within_the_wait_are_one_batch() -> None:
    counter = Counter()

    counter.add(1)
    counter.add(2)
    await counter.arrived.wait()

    [batch] = counter.sent
    assert batch["seq"] == 1
    assert [change["amount"] for change in batch["changes"]] == [1, 2]


async def test_a_change_after_a_rest_is_sent_at_once_and_the_next_ones_together() -> (
    None
):
    counter = Counter(wait=60.0)

    counter.add(1)
    await counter.arrived.wait()
    rest = counter.channel.rest()
    counter.add(2)
    counter.add(3)
    for _ in range(3):
        await asyncio.sleep(0)

    assert len(counter.sent) == 1
    assert 0 < rest <= 60.0
    counter.channel.close()


async def test_a_snapshot_contains_a_batch_whole_or_not_at_all() -> None:
    counter = Counter()
    counter.add(1)

    snapshot = counter.channel.snapshot()
    counter.add(2)
    counter.channel.flush()

    assert snapshot == {"seq": 1, "value": 1}
    assert [batch["seq"] for batch in counter.sent] == [1, 2]
    assert [batch["changes"][0]["amount"] for batch in counter.sent] == [1, 2]


async def test_a_published_snapshot_takes_the_place_of_waiting_batches() -> None:
    counter = Counter()
    counter.add(1)

    counter.channel.publish_snapshot()
    counter.channel.flush()
    counter.add(2)
    counter.channel.flush()

    first, second = counter.sent
    assert first["snapshot"] == {"seq": 1, "value": 1}
    assert second["seq"] == 2


async def test_text_appended_to_one_place_is_told_once() -> None:
    counter = Counter()

    with counter.channel.change() as emit:
        for change in (_append("a"), _append("b"), _append("c", index=1), _append("d")):
            emit(change)
    counter.channel.flush()

    [batch] = counter.sent
    assert [change["text"] for change in batch["changes"]] == ["ab", "c", "d"]


async def test_nothing_is_sent_when_nothing_changed() -> None:
    counter = Counter()

    counter.channel.flush()

    assert counter.sent == []


async def test_a_closed_channel_sends_nothing() -> None:
    counter = Counter()
    counter.add(1)

    counter.channel.close()
    counter.add(1)

    await asyncio.to_thread(lambda: None)
    assert counter.sent == []


def test_all_channels_together_keep_to_the_budget() -> None:
    budget = MessageBudget(per_second=100)
    begin = time.monotonic()

    due = [budget.reserve(0.05) + time.monotonic() for _ in range(20)]

    assert due[0] >= begin + 0.05
    assert due[-1] >= begin + 19 * 0.01


def test_a_channel_that_gathers_for_long_holds_no_other_one_up() -> None:
    budget = MessageBudget(per_second=100)

    slow = budget.reserve(60.0)
    quick = budget.reserve(0.0)

    assert slow >= 60.0
    assert quick <= 0.01


async def test_text_that_goes_on_where_the_last_batch_ended_is_sent_alone() -> None:
    counter = Counter()

    for text in ("Hel", "lo"):
        with counter.channel.change() as emit:
            emit(_append(text))
        counter.channel.flush()

    assert counter.sent == [
        {"type": "batch", "seq": 1, "changes": [_append("Hel")]},
        {"type": "batch", "seq": 2, "text": "lo"},
    ]


async def test_text_is_sent_with_its_place_to_whoever_has_just_come() -> None:
    counter = Counter()
    with counter.channel.change() as emit:
        emit(_append("Hel"))
    counter.channel.flush()

    counter.channel.snapshot()
    with counter.channel.change() as emit:
        emit(_append("lo"))
    counter.channel.flush()

    assert counter.sent[-1]["changes"] == [_append("lo")]


async def test_text_for_another_place_is_sent_with_that_place() -> None:
    counter = Counter()

    for index in (0, 1):
        with counter.channel.change() as emit:
            emit(_append("Hel", index))
        counter.channel.flush()

    assert [batch["changes"][0]["index"] for batch in counter.sent] == [0, 1]
