"""What every `IActorClient` with its `RuntimeDirectory` does, whatever carries it.

Another implementation is one more parameter of the fixture `place`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from agent_runtime_nb.exceptions import (
    ActorBusy,
    InvalidRequest,
    MailboxFull,
    MessageIdReused,
    NotJson,
    NotRunning,
    UnknownActorType,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Cursor,
    IActorClient,
    RequestStatus,
    TurnUpdate,
)
from agent_runtime_nb.runtime_events import RuntimeEvent, TurnEnded, TurnProgressed
from tests.contracts.reaches import ONE, Place, Reach, Talker
from tests.fakes import background
from tests.same_values import raised

T = TypeVar("T")


async def first(updates: AsyncIterator[T], wanted: Callable[[T], bool]) -> T:
    async with asyncio.timeout(10):
        async for one in updates:
            if wanted(one):
                return one
    raise AssertionError


async def ask(client: IActorClient, params: Any, **kwargs: Any) -> Any:
    handle = await client.send_request(ONE, "run", params, **kwargs)
    return await handle.get_response()


# --- talk


async def test_a_response_comes_with_its_request_id_and_sender(reach: Reach) -> None:
    client, _ = reach

    handle = await client.send_request(ONE, "run", "hello", "id-1")
    response = await handle.get_response()

    assert (response.message_id, response.sender_id) == ("id-1", ONE)
    assert (response.status, response.data) == (RequestStatus.COMPLETED, "hello")


async def test_updates_come_in_order_and_then_the_response(reach: Reach) -> None:
    client, _ = reach
    handle = await client.send_request(ONE, "run", "a b c")

    updates = [update async for update in handle.watch_updates()]

    assert [update.data for update in updates[:-1]] == [
        {"sequence": 0, "progress": "a"},
        {"sequence": 1, "progress": "b"},
        {"sequence": 2, "progress": "c"},
    ]
    assert {update.status for update in updates[:-1]} == {RequestStatus.PENDING}
    assert updates[-1].data == "a b c"


async def test_every_watcher_gets_everything_from_where_it_asks(reach: Reach) -> None:
    client, _ = reach
    handle = await client.send_request(ONE, "run", "a b c")
    await handle.get_response()

    late = [update.data async for update in handle.watch_updates(after=0)]
    again = await client.get_response(ONE, handle.message_id)
    by_id = [update.data async for update in again.watch_updates(after=1)]

    assert [data["progress"] for data in late[:-1]] == ["b", "c"]
    assert [data["progress"] for data in by_id[:-1]] == ["c"]


async def test_a_watcher_sees_progress_before_the_turn_ends(
    reach: Reach, talker: Talker
) -> None:
    client, _ = reach
    handle = await client.send_request(ONE, "run", "early wait")

    update = await first(handle.watch_updates(), lambda _: True)

    assert update.data["progress"] == "early"
    talker.let_go("wait")
    assert (await handle.get_response()).status is RequestStatus.COMPLETED


async def test_requests_of_one_caller_run_in_the_order_of_the_calls(
    reach: Reach,
) -> None:
    client, _ = reach
    counter = ActorId("counter", "one")

    handles = [await client.send_request(counter, "run") for _ in range(3)]
    answers = [(await handle.get_response()).data for handle in handles]

    assert answers == [1, 2, 3]


async def test_an_unknown_request_is_not_found(reach: Reach) -> None:
    client, _ = reach

    handle = await client.get_response(ONE, "never sent")

    assert (await handle.get_response()).status is RequestStatus.NOT_FOUND
    updates = [update.status async for update in handle.watch_updates()]
    assert updates == [RequestStatus.NOT_FOUND]


async def test_a_turn_is_cancelled_by_its_handle_or_by_its_id(
    reach: Reach, talker: Talker
) -> None:
    client, _ = reach
    running = await client.send_request(ONE, "run", "begun wait")
    await first(running.watch_updates(), lambda _: True)
    waiting = await client.send_request(ONE, "run", "never")

    cancelled = await client.cancel(ONE, waiting.message_id), await running.cancel()

    talker.let_go("wait")
    assert cancelled == (True, True)
    for handle in (running, waiting):
        assert (await handle.get_response()).status is RequestStatus.CANCELLED
    assert not await running.cancel()
    assert not await client.cancel(ONE, "never sent")


async def test_errors_of_a_send_are_typed(reach: Reach, talker: Talker) -> None:
    client, _ = reach
    await ask(client, "x", message_id="id-1")
    running = await client.send_request(ONE, "run", "wait")

    with raised(UnknownActorType("nobody", ["counter", "talker"])):
        await client.send_request(ActorId("nobody", "x"), "run")
    with raised(MessageIdReused(ONE, "id-1")):
        await client.send_request(ONE, "run", "y", "id-1")
    with raised(ActorBusy(ONE)):
        await client.send_request(ONE, "run", "y", when_busy="reject")
    length = "must have 1 to 200 characters, no control characters, no surrogates"
    with raised(InvalidRequest("message_id", length)):
        await client.send_request(ONE, "run", "y", "")
    for timeout in (0, -1.5):
        with raised(
            InvalidRequest("timeout", f"must be over 0 seconds, got {timeout}")
        ):
            await client.send_request(ONE, "run", "y", timeout=timeout)
    with raised(NotJson("params", "Type is not JSON serializable: set")):
        await client.send_request(ONE, "run", {1, 2})
    for number in range(3):
        await client.send_request(ONE, "run", str(number))
    with raised(MailboxFull(ONE, 3, 1.0)):
        await client.send_request(ONE, "run", "one too many")

    talker.let_go("wait")
    await running.get_response()


# --- watch an actor


async def collect(
    client: IActorClient, until: Callable[[TurnUpdate], bool], after: Cursor | None
) -> list[TurnUpdate]:
    seen: list[TurnUpdate] = []
    async with asyncio.timeout(10):
        async for update in client.watch_actor(ONE, after):
            seen.append(update)
            if until(update):
                return seen
    raise AssertionError


async def test_a_view_and_what_follows_it_leave_no_gap(
    reach: Reach, talker: Talker
) -> None:
    client, directory = reach
    await ask(client, "old")
    running = await client.send_request(ONE, "run", "a b wait")
    await first(running.watch_updates(), lambda one: one.data["progress"] == "b")
    waiting = await client.send_request(ONE, "run", "next")

    view = await directory.read_actor(ONE)
    following = background(
        collect(
            client,
            lambda one: one.kind == "ended" and one.message_id == waiting.message_id,
            view.cursor,
        )
    )
    talker.let_go("wait")
    seen = await following

    assert [turn.params for turn in view.turns] == ["old"]
    assert view.running is not None
    assert view.running.message_id == running.message_id
    assert [turn.params for turn in view.waiting] == ["next"]
    progress = [
        one.data
        for one in seen
        if one.kind == "progress" and one.message_id == running.message_id
    ]
    assert progress == ["a", "b", "wait"]
    ends = {one.message_id: one.data for one in seen if one.kind == "ended"}
    end = ends[running.message_id]
    assert (end["status"], end["data"]) == ("completed", "a b wait")


async def test_a_watch_is_resumed_without_repeating_progress(
    reach: Reach, talker: Talker
) -> None:
    client, _ = reach
    running = await client.send_request(ONE, "run", "a b c wait")
    await first(running.watch_updates(), lambda one: one.data["progress"] == "c")
    seen = await collect(client, lambda one: one.data == "b", None)

    resumed = background(
        collect(client, lambda one: one.kind == "ended", seen[-1].cursor)
    )
    talker.let_go("wait")

    progress = [one.data for one in await resumed if one.kind == "progress"]
    assert progress == ["c", "wait"]


async def test_turns_that_ended_meanwhile_are_told_on_resuming(reach: Reach) -> None:
    client, directory = reach
    await ask(client, "one")
    view = await directory.read_actor(ONE)
    missed = await client.send_request(ONE, "run", "two")
    await missed.get_response()

    seen = await collect(client, lambda one: one.kind == "ended", view.cursor)

    assert {one.message_id for one in seen} == {missed.message_id}
    stored = (await directory.read_actor(ONE)).turns[-1]
    times = seen[0].data["accepted_at"], seen[-1].data["ended_at"]
    end = {"status": "completed", "data": "two", "ended_at": times[1]}
    assert seen[-1].data == end
    assert stored.ended_at is not None
    noted = stored.accepted_at.timestamp(), stored.ended_at.timestamp()
    assert times == pytest.approx(noted, rel=0, abs=1e-5)  # dates have microseconds


async def test_watchers_learn_that_the_runtime_stopped(place: Place) -> None:
    client, directory = place.reach
    watching = background(collect(client, lambda _: False, None))
    events = background(first(directory.watch_events(), lambda _: False))
    await directory.health()

    await place.stop()

    for watcher in (watching, events):
        with pytest.raises(NotRunning):
            await watcher


# --- the directory


async def test_types_are_listed_with_their_descriptions(reach: Reach) -> None:
    _, directory = reach

    types = await directory.actor_types()

    assert [(one.name, one.description) for one in types] == [
        ("counter", ""),
        ("talker", "Talks."),
    ]


async def test_actors_are_listed_with_what_they_do(
    reach: Reach, talker: Talker
) -> None:
    client, directory = reach
    await ask(client, "x")
    running = await client.send_request(ONE, "run", "begun wait")
    await first(running.watch_updates(), lambda _: True)
    await client.send_request(ONE, "run", "next")

    busy = (await directory.list_actors("talker")).items[0]
    talker.let_go("wait")
    await ask(client, "last")
    idle = (await directory.list_actors("talker")).items[0]

    assert (busy.actor_id, busy.activity, busy.waiting) == (ONE, "running", 1)
    assert busy.message_id == running.message_id
    assert (idle.activity, idle.turns) == ("idle", 4)
    assert idle.last_status is RequestStatus.COMPLETED
    assert idle.last_latency is not None


async def test_earlier_turns_are_read_in_pages(reach: Reach) -> None:
    client, directory = reach
    for number in range(7):
        await ask(client, str(number))

    newest = await directory.read_actor(ONE, limit=3)
    older = await directory.read_actor(ONE, before=newest.turns[0].position, limit=3)
    oldest = await directory.read_actor(ONE, before=older.turns[0].position, limit=3)

    pages = [[turn.params for turn in page.turns] for page in (newest, older, oldest)]
    assert pages == [["4", "5", "6"], ["1", "2", "3"], ["0"]]
    assert [page.more for page in (newest, older, oldest)] == [True, True, False]


async def test_an_actor_nobody_asked_has_an_empty_view(reach: Reach) -> None:
    _, directory = reach

    view = await directory.read_actor(ActorId("talker", "nobody"))

    assert (view.turns, view.running, view.waiting) == ((), None, ())
    assert not view.more


async def test_a_deleted_actor_starts_afresh(reach: Reach, talker: Talker) -> None:
    client, directory = reach
    await ask(client, "x")
    running = await client.send_request(ONE, "run", "begun wait")
    await first(running.watch_updates(), lambda _: True)

    deleted = background(directory.delete_actor(ONE))
    response = await running.get_response()
    talker.let_go("wait")

    assert await deleted
    assert response.status is RequestStatus.CANCELLED
    assert (await directory.read_actor(ONE)).turns == ()
    assert not await directory.delete_actor(ONE)
    assert (await ask(client, "again")).data == "again"


async def test_events_tell_of_a_turn_in_order(reach: Reach) -> None:
    client, directory = reach
    seen: list[RuntimeEvent] = []

    async def watch(begun: asyncio.Event) -> None:
        watching = directory.watch_events()
        taking = background(_next(watching))
        await directory.health()
        begun.set()
        seen.extend(await taking)
        while not isinstance(seen[-1], TurnEnded):
            seen.extend(await _next(watching))

    begun = asyncio.Event()
    watching = background(watch(begun))
    await begun.wait()
    await ask(client, "a b")
    async with asyncio.timeout(10):
        await watching

    kinds = [type(event).__name__ for event in seen]
    assert kinds == [
        "RequestAccepted",
        "ActorActivated",
        "TurnStarted",
        "TurnProgressed",
        "TurnProgressed",
        "TurnEnded",
    ]
    progress = [one.data for one in seen if isinstance(one, TurnProgressed)]
    assert progress == ["a", "b"]


async def _next(
    watching: AsyncIterator[tuple[RuntimeEvent, ...]],
) -> tuple[RuntimeEvent, ...]:
    return await anext(watching)


async def test_health_counts_what_is_there(reach: Reach, talker: Talker) -> None:
    client, directory = reach
    running = await client.send_request(ONE, "run", "begun wait")
    await first(running.watch_updates(), lambda _: True)
    await client.send_request(ONE, "run", "next")

    health = await directory.health()

    assert (health.status, health.running, health.waiting) == ("ok", 1, 1)
    assert health.storage == "memory"
    talker.let_go("wait")
