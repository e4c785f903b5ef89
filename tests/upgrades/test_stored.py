"""What an earlier version has stored is all there for this one, on every backend."""

import asyncio
from collections.abc import Sequence
from typing import Any

from agent_runtime_nb import ActorId, Cursor, RequestStatus, TurnView
from agent_runtime_nb.conversations.entries import text_of, turn_entries
from agent_runtime_nb.conversations.reading import list_conversations, read_conversation
from agent_runtime_nb.storage_abstractions import HostInfo
from tests.upgrades.conftest import NEXT_OF_MOCK, VERSIONS, Later, check_turn
from tests.upgrades.databases import Database
from tests.upgrades.story import Scene, message


def conversations(expected: dict[str, Any]) -> dict[ActorId, dict[str, Any]]:
    return {ActorId.parse(one): of for one, of in expected["conversations"].items()}


def ended(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [turn for turn in turns if turn["status"] != "pending"]


def test_there_are_fixtures():
    assert VERSIONS


async def test_every_turn_is_stored_where_it_was(
    database: Database, expected: dict[str, Any]
):
    storage, made = database.storage(), expected["made"]
    await storage.open(HostInfo("reader", "reader"))
    known = conversations(expected)

    listed = (await storage.list_actors()).items
    busy = (await storage.list_actors(open_only=True)).items
    found = {one: await storage.read_turns(one) for one in listed}

    await storage.close()
    assert listed == tuple(sorted(known))
    is_open = [one for one in sorted(known) if ended(known[one]["turns"]) == []]
    assert busy == tuple(is_open)
    for actor_id, turns in found.items():
        assert [
            (turn.position, turn.message_id, turn.status.value, turn.attempts)
            for turn in turns
        ] == [
            (position, turn["message_id"], turn["status"], turn["attempts"])
            for position, turn in enumerate(known[actor_id]["turns"], 1)
        ]
        for turn in turns:
            assert made["after"] <= turn.accepted_at <= made["before"]
            if turn.status.is_final:
                assert turn.ended_at is not None
                assert turn.accepted_at <= turn.ended_at <= made["before"]
            else:
                assert turn.ended_at is None


async def test_every_conversation_has_its_name_its_parent_and_its_tools(
    later: Later, expected: dict[str, Any]
):
    made = expected["made"]

    async with later() as (scene, _):
        infos = {one.actor_id: one async for one in list_conversations(scene.runtime)}

    for actor_id, known in conversations(expected).items():
        info = infos.pop(actor_id)
        assert (info.name, info.forked_at) == (known["name"], known["forked_at"])
        turns = {turn["message_id"] for turn in known["turns"]}
        # A fork of 0.1.0.dev may name discarded turns that it does not have.
        assert [one for one in info.discarded if one in turns] == known["discarded"]
        assert list(info.allowed_tools) == known["allowed_tools"]
        assert (str(info.parent) if info.parent else None) == known["parent"]
        if info.parent is not None:
            assert info.forked_on is not None
            assert made["after"] <= info.forked_on.timestamp() <= made["before"]
    told = {ActorId.parse(one["to"]) for one in expected["tells"]}
    assert infos.keys() <= told


async def test_every_turn_that_had_ended_has_what_was_said_and_answered(
    later: Later, expected: dict[str, Any]
):
    async with later() as (scene, _):
        found = {
            one: (await read_conversation(scene.runtime, one)).turns
            for one in conversations(expected)
        }

    for actor_id, known in conversations(expected).items():
        for turn, of in zip(found[actor_id], ended(known["turns"]), strict=False):
            assert turn.message_id == of["message_id"]
            check_turn(turn, of)


async def test_open_turns_end_as_their_type_says(
    later: Later, expected: dict[str, Any]
):
    ends: dict[str, str] = {}
    async with later() as (scene, _):
        for actor_id, known in conversations(expected).items():
            for turn in known["turns"]:
                if turn["status"] != "pending":
                    continue
                handle = await scene.client.get_response(actor_id, turn["message_id"])
                response = await handle.get_response()
                [view] = [
                    one
                    for one in (await read_conversation(scene.runtime, actor_id)).turns
                    if one.message_id == turn["message_id"]
                ]
                ends[actor_id.type_name] = response.status.value
                check_end(actor_id, view, turn)

    assert ends == {
        "worker": "interrupted",
        "worker-fail": "failed",
        "worker-rerun": "completed",
        "scripted": "interrupted",
    }


def check_end(actor_id: ActorId, turn: TurnView, known: dict[str, Any]) -> None:
    """A turn that was open is complete, or has ended with what there was of it."""
    data: Any = turn.data
    if actor_id.type_name != "worker-rerun":
        assert turn.attempts == known["attempts"]
        assert data["error"]["type"] == "Interrupted"
        check_turn(turn, known)
        return
    assert turn.attempts == known["attempts"] + 1
    assert data in (
        {"held": "running"}, {"kept": ["kept"]}, {"heard": "waiting"}
    )  # fmt: skip


async def test_dead_letters_are_listed_and_can_be_sent_again(
    later: Later, expected: dict[str, Any]
):
    async with later() as (scene, _):
        letters = (await scene.runtime.dead_letters()).items
        for letter in letters:
            again = await scene.runtime.requeue(letter.actor_id, letter.message_id)
            handle = await scene.client.get_response(letter.actor_id, again)
            assert (await handle.get_response()).status is RequestStatus.COMPLETED
        left = (await scene.runtime.dead_letters()).items

    assert [
        {
            "actor": str(one.actor_id),
            "message_id": one.message_id,
            "attempts": one.attempts,
        }
        for one in letters
    ] == expected["dead_letters"]
    assert all("its host died" in one.reason for one in letters)
    assert left == ()


def asks_for(expected: dict[str, Any]) -> list[tuple[ActorId, dict[str, Any]]]:
    """The approval requests that nobody has answered."""
    return [
        (actor_id, turn["approval"])
        for actor_id, known in conversations(expected).items()
        for turn in known["turns"]
        if "approval" in turn
    ]


async def test_a_pending_approval_is_answered_and_its_tool_runs_once(
    later: Later, expected: dict[str, Any]
):
    asked = asks_for(expected)
    assert asked
    async with later() as (scene, agents):
        for actor_id, _ in asked:
            await scene.answer(actor_id, "yes")
            turns = (await read_conversation(scene.runtime, actor_id)).turns
            assert turns[-1].status is RequestStatus.COMPLETED
            assert text_of(turn_entries(turns[-1])[-1]) == "The tools are done."

    assert agents.erased == [request["arguments"]["path"] for _, request in asked]


async def test_a_tool_that_was_allowed_runs_without_asking(
    later: Later, expected: dict[str, Any]
):
    async with later() as (scene, agents):
        for actor_id, known in conversations(expected).items():
            for tool in known["allowed_tools"]:
                await scene.ask(actor_id, f"use-{tool}", f"{tool} b.txt")

    assert agents.erased == ["b.txt"]


async def heard(scene: Scene, receiver: ActorId, count: int) -> list[Any]:
    """What an actor was told, when it has answered so much."""
    ends = 0
    async with asyncio.timeout(20):
        async for update in scene.client.watch_actor(receiver, Cursor(0, 0)):
            ends += update.kind == "ended"
            if ends == count:
                break
    turns = (await read_conversation(scene.runtime, receiver)).turns
    return [turn.params for turn in turns if turn.method == "hear"]


async def test_what_was_told_arrives_once_and_in_order(
    later: Later, expected: dict[str, Any]
):
    for told in expected["tells"]:
        receiver, words = ActorId.parse(told["to"]), told["said"]
        async with later(receiver.type_name) as (scene, _):
            assert await heard(scene, receiver, len(words)) == words
        async with later(receiver.type_name) as (scene, _):
            await scene.ask(receiver, "marker", [], "recall")
            assert await heard(scene, receiver, len(words) + 1) == words


async def test_of_a_deleted_actor_nothing_is_left_but_its_positions(
    later: Later, expected: dict[str, Any]
):
    async with later() as (scene, _):
        for name, known in expected["deleted"].items():
            actor_id = ActorId.parse(name)
            before = await read_conversation(scene.runtime, actor_id)
            response = await scene.ask(actor_id, "new", known["values"], "recall")
            [turn] = (await read_conversation(scene.runtime, actor_id)).turns

            assert before.turns == []
            assert response.data == dict.fromkeys(known["values"])
            assert turn.position > known["positions"]


async def test_an_actor_finds_its_values(later: Later, expected: dict[str, Any]):
    async with later() as (scene, _):
        for actor_id, known in conversations(expected).items():
            values: dict[str, Any] = known.get("values", {})
            if values:
                response = await scene.ask(actor_id, "recall", list(values), "recall")
                assert response.data == values


async def test_an_agent_sees_what_it_saw_and_goes_on(
    later: Later, expected: dict[str, Any]
):
    async with later() as (scene, _):
        for actor_id, known in conversations(expected).items():
            if "seen_by_the_model" in known:
                await scene.ask(actor_id, "count", "count")
                turns = (await read_conversation(scene.runtime, actor_id)).turns
                seen = len(known["seen_by_the_model"]) + 1  # and this one
                assert text_of(turn_entries(turns[-1])[-1]) == str(seen)
        response = await scene.ask(ActorId("mock-ai", "counts"), "mock-3", "next")

    assert response.data["messages"][0]["content"] == NEXT_OF_MOCK


async def test_a_request_that_was_accepted_then_is_the_same_request_now(
    later: Later, expected: dict[str, Any]
):
    async with later() as (scene, _):
        for actor_id, known in conversations(expected).items():
            first = known["turns"][0]
            if first["status"] != "completed" or "said" not in first:
                continue
            metadata = first.get("metadata")
            given = message(first["said"])
            response = await scene.ask(
                actor_id, first["message_id"], given, metadata=metadata
            )
            turns = (await read_conversation(scene.runtime, actor_id)).turns
            assert response.status is RequestStatus.COMPLETED
            assert len(turns) == len(known["turns"])
