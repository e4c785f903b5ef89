"""A storage is copied into another whole, or goes on where it was broken off."""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.exceptions import CopyFailed, TooLarge, Unavailable
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.copy import COPYING, copy_storage
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    ActorChange,
    HostInfo,
    IActorStateStorage,
    TurnRecord,
)
from tests.storage import samples

pytestmark = pytest.mark.usefixtures("leak_check")

LONG = ActorId("echo", "long")
OTHER = ActorId("echo", "somebody else's")
CHANGES = 8  # one for each of three actors, and five for the long one
Make = Callable[[], IActorStateStorage]
"""Another storage on the same data."""


def memory(_: Path) -> Make:
    first = InMemoryStateStorage()
    return lambda: InMemoryStateStorage(like=first)


def sqlite(path: Path) -> Make:
    return lambda: SqliteStateStorage(path, synchronous="NORMAL")


KINDS = {"memory": memory, "sqlite": sqlite}


class Opened:
    """A storage on some data, open for a host of its own."""

    def __init__(self, make: Make, name: str = "test") -> None:
        self.storage = make()
        self.name = name

    async def __aenter__(self) -> IActorStateStorage:
        await self.storage.open(HostInfo(f"{self.name}-{id(self)}", self.name))
        return self.storage

    async def __aexit__(self, *_: object) -> None:
        await self.storage.close()


class Breaking(InMemoryStateStorage):
    """Breaks off after so many changes, whatever is called then."""

    def __init__(self, like: InMemoryStateStorage, changes: int) -> None:
        super().__init__(like)
        self.left = changes

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "asyncio.Future[tuple[TurnRecord, ...]]":
        self.left -= 1
        if self.left < 0:
            raise Unavailable("it", "broken off")
        return super().apply(actor_id, change)


class Narrow(InMemoryStateStorage):
    """Takes no value of more than 9 bytes."""

    def apply(
        self, actor_id: ActorId, change: ActorChange
    ) -> "asyncio.Future[tuple[TurnRecord, ...]]":
        for key, value in (change.set or {}).items():
            if len(value) > 9:
                raise TooLarge(f"the value of {key!r}", len(value), 9)
        return super().apply(actor_id, change)


async def fill(make: Make) -> None:
    """The sample's conversations, and one of many turns and values."""
    async with Opened(make) as storage:
        await samples.fill(storage)
        await samples.mark(storage)
        epoch = (await storage.claim(LONG)).epoch
        for number in range(101):
            turn = samples.talk_turn(number + 1, RequestStatus.COMPLETED)
            turn.message_id = f"long-{number}"
            change = ActorChange(
                epoch=epoch, accepted=(turn,), set={f"k{number:03}": b"%d" % number}
            )
            await storage.apply(LONG, change)
        etag = ActorChange(
            epoch=epoch, new_etag="long-etag", add_marks=frozenset({"dead"})
        )
        await storage.apply(LONG, etag)


async def content(make: Make) -> dict[ActorId, Any]:
    """Everything that is stored but owners and epochs."""
    found: dict[ActorId, Any] = {}
    async with Opened(make) as storage:
        for actor_id in (await storage.list_actors()).items:
            claim = await storage.claim(actor_id)
            found[actor_id] = (
                await storage.read_turns(actor_id, limit=10_000),
                sorted(claim.values.items()),
                claim.etag,
                claim.marks,
                claim.open_turns,
            )
    return found


@pytest.fixture(params=KINDS)
async def source(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """A storage with conversations."""
    make = KINDS[request.param](tmp_path / "source.db")
    await fill(make)
    return make


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """An empty storage."""
    return KINDS[request.param](tmp_path / "target.db")


async def test_a_copy_has_everything(source: Make, target: Make):
    before = await content(source)
    progress: list[tuple[int, int]] = []

    report = await copy_storage(
        source(),
        target(),
        on_progress=lambda done, total: progress.append((done, total)),
    )

    assert await content(target) == before == await content(source)
    assert len(before) == report.actors == 4
    assert (report.turns, report.values) == (108, 105)
    assert (report.already_there, report.left_out) == (0, [])
    assert progress[-1] == (4, 4)


async def test_a_second_copy_finds_all_there_and_writes_nothing(
    source: Make, target: Make
):
    first = await copy_storage(source(), target())

    second = await copy_storage(source(), target())

    assert (second.already_there, second.actors) == (4, 4)
    assert second.sha256 == first.sha256 != ""
    assert await content(target) == await content(source)


async def test_the_same_content_has_the_same_digest_anywhere(tmp_path: Path):
    digests: set[str] = set()
    for name, kind in KINDS.items():
        make = kind(tmp_path / f"{name}.db")
        await fill(make)
        async with Opened(make) as storage:  # its version is the storage's own
            etag = (await storage.read_state(samples.STATE_ONLY)).etag
            claim = await storage.claim(samples.STATE_ONLY)
            change = ActorChange(epoch=claim.epoch, etag=etag, new_etag="e")
            await storage.apply(samples.STATE_ONLY, change)
        report = await copy_storage(make(), InMemoryStateStorage())
        digests.add(report.sha256)

    assert len(digests) == 1


async def test_a_copy_that_was_broken_off_goes_on_and_doubles_nothing():
    source = memory(Path())
    await fill(source)
    expected = await content(source)
    partial = 0

    for changes in range(CHANGES):
        first = InMemoryStateStorage()
        target = functools.partial(InMemoryStateStorage, like=first)
        with pytest.raises(Unavailable):
            await copy_storage(source(), Breaking(first, changes))
        async with Opened(target) as storage:
            (mark,) = COPYING
            partial += len((await storage.list_actors(mark=mark)).items)
        await copy_storage(source(), target())
        assert await content(target) == expected

    assert partial > 0


async def test_a_part_of_something_else_is_replaced(target: Make):
    source = memory(Path())
    await fill(source)
    async with Opened(target) as storage:
        epoch = (await storage.claim(LONG)).epoch
        turn = TurnRecord(position=7, message_id="foreign")
        part = ActorChange(epoch=epoch, accepted=(turn,), add_marks=COPYING)
        await storage.apply(LONG, part)

    await copy_storage(source(), target())

    async with Opened(target) as storage:
        turns = await storage.read_turns(LONG, limit=1000)
    expected = (await content(source))[LONG][0]
    assert [turn.message_id for turn in turns] == [one.message_id for one in expected]
    # Positions are never used twice.
    assert turns[0].position > 7


@pytest.mark.parametrize("actor_id", [LONG, OTHER], ids=str)
async def test_a_target_with_other_data_is_refused_untouched(
    source: Make, target: Make, actor_id: ActorId
):
    async with Opened(target) as storage:
        await storage.write_state(actor_id, set={"mine": b"1"})
    before = await content(target)

    with pytest.raises(CopyFailed, match=f"the target has other data, {actor_id}"):
        await copy_storage(source(), target())

    assert await content(target) == before


async def test_a_target_with_other_data_is_overwritten_when_told(
    source: Make, target: Make
):
    async with Opened(target) as storage:
        await storage.write_state(LONG, set={"theirs": b"1"})
        other = await storage.write_state(OTHER, set={"mine": b"1"})

    report = await copy_storage(source(), target(), overwrite=True)

    found = await content(target)
    assert found.pop(OTHER) == ([], [("mine", b"1")], other, frozenset(), [])
    assert found == await content(source)
    assert report.actors == 4


async def test_a_source_in_use_is_refused_and_names_its_host(
    source: Make, target: Make
):
    async with Opened(source, "the notebook") as living:
        await living.claim(LONG)

        with pytest.raises(CopyFailed, match=r"echo/long is in use by the notebook"):
            await copy_storage(source(), target())

    await copy_storage(source(), target())
    assert await content(target) == await content(source)


async def test_a_storage_is_not_copied_into_itself(tmp_path: Path):
    make = sqlite(tmp_path / "state.db")

    with pytest.raises(CopyFailed, match="they are the same"):
        await copy_storage(make(), make())

    assert not (tmp_path / "state.db").exists()


async def test_a_value_over_the_targets_limit_leaves_its_conversation_out(
    source: Make,
):
    first = InMemoryStateStorage()

    report = await copy_storage(source(), Narrow(like=first))

    assert [actor_id for actor_id, _ in report.left_out] == [samples.TALK]
    assert report.left_out[0][1].endswith("has 14 bytes; the limit is 9")
    expected = await content(source)
    del expected[samples.TALK]
    assert await content(lambda: InMemoryStateStorage(like=first)) == expected


async def test_a_change_has_no_more_than_a_storage_must_take():
    source = memory(Path())
    await fill(source)
    seen: list[ActorChange] = []

    class Watching(InMemoryStateStorage):
        def apply(
            self, actor_id: ActorId, change: ActorChange
        ) -> "asyncio.Future[tuple[TurnRecord, ...]]":
            seen.append(change)
            return super().apply(actor_id, change)

    await copy_storage(source(), Watching())

    assert len(seen) == CHANGES
    for change in seen:
        assert len(change.accepted) <= 40
        assert len(change.set or ()) <= 40


async def test_what_does_not_read_back_is_found():
    source = memory(Path())
    await fill(source)

    class Forgetful(InMemoryStateStorage):
        def apply(
            self, actor_id: ActorId, change: ActorChange
        ) -> "asyncio.Future[tuple[TurnRecord, ...]]":
            for turn in change.accepted:
                turn.attempts = 0
            return super().apply(actor_id, change)

    with pytest.raises(CopyFailed, match="does not read back as it was written"):
        await copy_storage(source(), Forgetful())
