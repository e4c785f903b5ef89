"""What every `RuntimeDirectory` manages, in process and over HTTP.

The lists, views, events and counts of actors are in `test_actor_client`.
"""

import asyncio
from typing import Any

from agent_runtime_nb.exceptions import InvalidRequest, RequestNotFound
from agent_runtime_nb.runtime_abstractions import (
    RETRY_OF,
    ActorId,
    IActorClient,
    RequestStatus,
)
from agent_runtime_nb.runtime_directory import ConversationInfo
from tests.contracts.reaches import ONE, Reach, Talker
from tests.same_values import raised


async def ask(client: IActorClient, params: Any, message_id: str) -> Any:
    handle = await client.send_request(ONE, "run", params, message_id)
    return await handle.get_response()


async def test_a_waiting_request_is_withdrawn_and_a_running_one_is_not(
    reach: Reach, talker: Talker
) -> None:
    client, directory = reach
    running = await client.send_request(ONE, "run", "begun wait")
    await anext(running.watch_updates())
    waiting = await client.send_request(ONE, "run", "never")

    withdrawn = [
        await directory.withdraw(ONE, handle.message_id)
        for handle in (waiting, running)
    ]
    talker.let_go("wait")

    assert withdrawn == [True, False]
    assert (await waiting.get_response()).status is RequestStatus.CANCELLED
    assert (await running.get_response()).status is RequestStatus.COMPLETED


async def test_a_request_is_run_again_once_under_a_new_id(reach: Reach) -> None:
    client, directory = reach
    await ask(client, "words", "m1")

    new = [await directory.run_again(ONE, "m1") for _ in range(2)]
    answer = await (await client.get_response(ONE, new[0])).get_response()

    view = await directory.read_actor(ONE)
    assert new[0] == new[1]
    assert answer.data == "words"
    assert [turn.message_id for turn in view.turns] == ["m1", new[0]]
    assert view.turns[-1].metadata[RETRY_OF] == "m1"


async def test_a_turn_that_did_not_complete_is_discarded_once(
    reach: Reach, talker: Talker
) -> None:
    client, directory = reach
    running = await client.send_request(ONE, "run", "begun wait", "m1")
    await anext(running.watch_updates())
    await running.cancel()
    talker.let_go("wait")
    await running.get_response()
    await ask(client, "fine", "m2")

    discarded = [await directory.discard(ONE, "m1") for _ in range(2)]

    info = (await directory.read_actor(ONE)).info
    assert discarded == [True, False]
    assert info is not None
    assert info.discarded == ("m1",)
    with raised(InvalidRequest("message_id", "m2 has completed; fork instead")):
        await directory.discard(ONE, "m2")
    with raised(RequestNotFound(ONE, "never")):
        await directory.discard(ONE, "never")


async def test_a_tool_that_was_allowed_is_disallowed_alone_and_once(
    reach: Reach,
) -> None:
    client, directory = reach
    await ask(client, "allow:delete:mail", "m1")

    disallowed = [await directory.disallow_tool(ONE, "delete") for _ in range(2)]

    info = (await directory.read_actor(ONE)).info
    assert disallowed == [True, False]
    assert info is not None
    assert info.allowed_tools == ("mail",)


async def test_tools_that_are_disallowed_at_once_are_all_disallowed(
    reach: Reach,
) -> None:
    client, directory = reach
    await ask(client, "allow:a:b:c", "m1")

    await asyncio.gather(*(directory.disallow_tool(ONE, tool) for tool in "abc"))

    info = (await directory.read_actor(ONE)).info
    assert info is not None
    assert info.allowed_tools == ()


async def test_a_running_turn_does_not_bring_back_a_tool_that_is_disallowed(
    reach: Reach, talker: Talker
) -> None:
    client, directory = reach
    await ask(client, "allow:a:b", "m1")
    running = await client.send_request(ONE, "run", "allows:a:b wait", "m2")
    await anext(running.watch_updates())

    disallowed = await directory.disallow_tool(ONE, "a")
    talker.let_go("wait")
    await running.get_response()
    await ask(client, "next", "m3")

    info = (await directory.read_actor(ONE)).info
    assert disallowed
    assert info is not None
    assert info.allowed_tools == ("b",)


async def test_turns_that_are_discarded_at_once_are_all_discarded(
    reach: Reach, talker: Talker
) -> None:
    client, directory = reach
    for name in ("m1", "m2", "m3"):
        running = await client.send_request(ONE, "run", f"begun wait{name}", name)
        await anext(running.watch_updates())
        await running.cancel()
        talker.let_go(f"wait{name}")
        await running.get_response()

    await asyncio.gather(*(directory.discard(ONE, one) for one in ("m1", "m2", "m3")))

    info = (await directory.read_actor(ONE)).info
    assert info is not None
    assert sorted(info.discarded) == ["m1", "m2", "m3"]


async def test_what_is_not_there_is_named(reach: Reach) -> None:
    _, directory = reach

    with raised(RequestNotFound(ONE, "never")):
        await directory.run_again(ONE, "never")
    with raised(RequestNotFound(ONE, "never")):
        await directory.requeue(ONE, "never")
    nobody = ActorId("talker", "nobody")
    with raised(RequestNotFound(nobody, "")):
        await directory.rename(nobody, "a name")
    assert not await directory.revive(ONE)
    assert not await directory.disallow_tool(ONE, "never allowed")
    assert (await directory.dead_letters()).items == ()


async def test_a_conversation_is_named_listed_and_forked(reach: Reach) -> None:
    client, directory = reach
    for name in ("m1", "m2", "m3"):
        await ask(client, name, name)
    to = ActorId("talker", "a/branch, with ünusual characters?&#")

    await directory.rename(ONE, "Plans")
    forked = await directory.fork(ONE, at="m2", to=to)
    other = await directory.fork(ONE, before="m2")

    infos = {one.actor_id: one for one in (await directory.list_conversations()).items}
    assert forked == to
    assert infos[ONE].name == "Plans"
    since, forked_on = (await directory.health()).since, infos[to].forked_on
    assert since is not None
    assert forked_on is not None
    assert forked_on > since
    assert infos[to] == ConversationInfo(to, infos[to].name, ONE, "m2", forked_on)
    assert [t.params for t in (await directory.read_actor(to)).turns] == ["m1", "m2"]
    assert [t.params for t in (await directory.read_actor(other)).turns] == ["m1"]
    with raised(InvalidRequest("to", f"{to} exists already; choose another name")):
        await directory.fork(ONE, to=to)


async def test_turns_are_imported_as_they_were_read(reach: Reach) -> None:
    client, directory = reach
    await ask(client, "one", "m1")
    await ask(client, "two", "m2")
    turns = (await directory.read_actor(ONE)).turns
    copy = ActorId("talker", "copy")

    await directory.import_turns(copy, turns, "A copy", ["m1"])

    view = await directory.read_actor(copy)
    assert view.turns == turns
    assert view.info is not None
    assert view.info.name == "A copy"
    assert view.info.discarded == ("m1",)
    with raised(InvalidRequest("to", f"{copy} exists already; choose another name")):
        await directory.import_turns(copy, turns)


async def test_lists_come_in_pages(reach: Reach) -> None:
    client, directory = reach
    names = [ActorId("counter", f"c{number}") for number in range(5)]
    for name in names:
        await (await client.send_request(name, "run")).get_response()

    seen: list[ActorId] = []
    after: str | None = None
    while True:
        page = await directory.list_actors("counter", after=after, limit=2)
        seen += [one.actor_id for one in page.items]
        after = page.next
        if after is None:
            break

    assert seen == names
