"""A conversation to and from stored values."""

import json
from typing import Any

import pytest
from agent_framework import AgentSession, Content, Message

from agent_runtime_nb.agents.session_snapshot import restore_session, session_snapshot
from agent_runtime_nb.conversations.entries import (
    Entry,
    load_history,
    parse_messages,
    repair,
    text_of,
    to_entries,
    to_message,
    turn_entries,
)
from agent_runtime_nb.exceptions import Corrupt, InvalidRequest, SchemaTooNew
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    RequestStatus,
)
from tests.agents.fake_context import FakeContext, FakeStore, request, turn_view

CALL = Content.from_function_call("c1", "look", arguments='{"at": "x"}', id="f1")

EVERY_KIND = [
    Content.from_text("Hi"),
    Content.from_text_reasoning(text="hm", protected_data="secret"),
    Content.from_data(b"png", "image/png"),
    Content.from_uri("https://example.org/a.png", media_type="image/png"),
    CALL,
    Content.from_function_result("c1", result="seen", id="f1"),
    Content.from_function_approval_request("f1", CALL),
    Content.from_function_approval_request("f1", CALL).to_function_approval_response(
        approved=True
    ),
    Content.from_error(message="broken"),
]


def entry(role: str, *contents: Any, message_id: str = "m") -> Entry:
    return {
        "role": role,
        "message_id": message_id,
        "contents": [
            {"type": "text", "text": content} if isinstance(content, str) else content
            for content in contents
        ],
    }


def call(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": "look",
        "arguments": arguments,
    }


@pytest.mark.parametrize("content", EVERY_KIND, ids=lambda content: content.type)
def test_every_content_survives_being_stored(content: Content) -> None:
    message = Message("assistant", [content], author_name="a", message_id="m1")

    stored = json.loads(json.dumps(to_entries([message], "r1")))
    restored = to_message(stored[0])

    assert restored.to_dict() == message.to_dict()


@pytest.mark.parametrize("content", EVERY_KIND, ids=lambda content: content.type)
def test_every_content_can_be_sent_as_it_was_stored(content: Content) -> None:
    (stored,) = to_entries([Message("user", [content])], "r1")

    (message,) = parse_messages({"messages": [stored]}, "r2")

    assert message.contents[0].to_dict() == content.to_dict()


def test_a_message_without_an_id_gets_one_from_the_request_and_its_index() -> None:
    messages = [Message("user", ["a"]), Message("assistant", ["b"], message_id="own")]

    entries = to_entries(messages, "r1", start=3)

    assert [entry["message_id"] for entry in entries] == ["r1.3", "own"]


def test_the_source_of_a_message_in_a_run_is_not_stored() -> None:
    extra = {"_attribution": {"source_id": "x"}, "mine": 1}
    message = Message("user", ["a"], additional_properties=extra)

    (stored,) = to_entries([message], "r1")

    assert stored["additional_properties"] == {"mine": 1}


def test_the_text_of_an_entry_is_its_text_contents_only() -> None:
    reasoning = {"type": "text_reasoning", "text": "hm"}

    assert text_of(entry("assistant", "a", reasoning, call("c"), "b")) == "a\nb"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": 5},
        {"type": "text", "text": "a", "bogus": 1},
        {"type": ["text"]},
        {"type": "data", "uri": 5},
        {"type": "data", "uri": "nonsense"},
        {"type": "data", "uri": "data:nonsense"},
        {"type": "data", "uri": "https://example.org/a.png"},
        {"type": "function_approval_response", "id": "f", "approved": True},
        7,
    ],
)
def test_a_content_that_is_none_is_refused_with_its_field(part: Any) -> None:
    params = {"messages": [{"role": "user", "content": ["ok", part]}]}

    with pytest.raises(InvalidRequest) as caught:
        parse_messages(params, "r1")

    assert caught.value.field.startswith("messages[0].content[1]")


def test_a_content_that_could_not_be_stored_is_refused() -> None:
    part = {"type": "text", "text": "a", "annotations": 1}
    params = {"messages": [{"role": "user", "contents": [part]}]}

    with pytest.raises(InvalidRequest) as caught:
        parse_messages(params, "r1")

    assert caught.value.field == "messages[0].contents[0]"


# --- repair ---------------------------------------------------------------------------


def test_a_call_without_a_result_is_closed_right_after_it() -> None:
    broken = [entry("user", "a"), entry("assistant", "b", call("c1"), message_id="m1")]

    repaired = repair(broken)

    assert [item["role"] for item in repaired] == ["user", "assistant", "tool"]
    (result,) = repaired[2]["contents"]
    assert (result["type"], result["call_id"]) == ("function_result", "c1")
    assert to_message(repaired[2]).contents[0].call_id == "c1"


def test_only_the_calls_without_a_result_are_closed() -> None:
    done = {"type": "function_result", "call_id": "c1", "result": "x"}
    broken = [entry("assistant", call("c1"), call("c2")), entry("tool", done)]

    results = [
        content["call_id"]
        for item in repair(broken)
        for content in item["contents"]
        if content["type"] == "function_result"
    ]

    assert sorted(results) == ["c1", "c2"]


def test_a_call_with_cut_arguments_is_dropped_and_its_empty_entry_too() -> None:
    broken = [
        entry("assistant", "b", call("c1", '{"ci')),
        entry("assistant", call("c2", '{"')),
    ]

    assert repair(broken) == [entry("assistant", "b")]


@pytest.mark.parametrize("kind", ["hosted", "informational_only"])
def test_a_call_that_the_service_runs_itself_is_left_alone(kind: str) -> None:
    fine = [entry("assistant", {**call("c1"), kind: True})]

    assert repair(fine) == fine


def test_an_approval_that_came_to_nothing_is_closed() -> None:
    request_part = {
        "type": "function_approval_request",
        "id": "f1",
        "function_call": call("c1"),
    }
    response = {**request_part, "type": "function_approval_response", "approved": True}

    repaired = repair([entry("user", response), entry("assistant", request_part)])

    assert [item["role"] for item in repaired] == ["user", "tool"]
    assert repaired[1]["contents"][0]["call_id"] == "c1"


def test_repair_changes_nothing_of_what_it_is_given() -> None:
    broken = [entry("assistant", "b", call("c1", '{"ci'))]
    before = json.dumps(broken)

    repair(broken)

    assert json.dumps(broken) == before


# --- turns ----------------------------------------------------------------------------


def test_an_interrupted_turn_is_composed_of_its_request_and_its_checkpoint() -> None:
    checkpoint = {"messages": [entry("assistant", "Half an", message_id="m1")]}
    turn = turn_view(
        request("Hi"), status=RequestStatus.INTERRUPTED, checkpoint=checkpoint
    )

    entries = turn_entries(turn)

    assert [text_of(item) for item in entries] == ["Hi", "Half an"]
    assert entries[0]["message_id"] == "r1.0"
    assert [item.get("status") for item in entries] == [None, "interrupted"]


def test_a_tool_call_of_an_interrupted_turn_is_closed() -> None:
    checkpoint = {"messages": [entry("assistant", call("c1"), message_id="m1")]}
    turn = turn_view(
        request("Hi"), status=RequestStatus.INTERRUPTED, checkpoint=checkpoint
    )

    roles = [item["role"] for item in turn_entries(turn)]

    assert roles == ["user", "assistant", "tool"]


def test_a_running_turn_shows_its_question_without_a_mark() -> None:
    turn = turn_view(request("Hi"), status=RequestStatus.PENDING)

    entries = turn_entries(turn)

    assert [text_of(item) for item in entries] == ["Hi"]
    assert "status" not in entries[0]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_the_last_entry_of_a_turn_that_broke_off_is_marked(status: str) -> None:
    stored = [entry("user", "a"), entry("assistant", "b")]
    turn = turn_view(request("a"), status=RequestStatus(status), entries=stored)

    assert [item.get("status") for item in turn_entries(turn)] == [None, status]
    assert "status" not in stored[1]


@pytest.mark.parametrize("params", [None, {"messages": 5}, "?"])
def test_a_turn_whose_request_was_malformed_has_no_entries(params: Any) -> None:
    message = ActorRequestMessage(message_id="r1", method="run", params=params)

    assert turn_entries(turn_view(message, status=RequestStatus.FAILED)) == []


async def test_a_long_conversation_is_loaded_in_order() -> None:
    store = FakeStore()
    for number in range(1, 501):
        store.turns.append(
            turn_view(
                request("?", f"r{number}"),
                position=number,
                status=RequestStatus.COMPLETED,
                entries=[entry("user", str(number))],
            )
        )

    history = await load_history(FakeContext(store, []))

    assert [message.text for message in history] == [str(n) for n in range(1, 501)]
    assert store.reads == 500


async def test_a_request_withdrawn_before_it_started_is_not_what_the_model_sees() -> (
    None
):
    store = FakeStore(
        turns=[turn_view(request("a"), status=RequestStatus.CANCELLED, attempts=0)]
    )

    assert await load_history(FakeContext(store, [])) == []


async def test_a_chain_of_retries_leaves_only_the_last_one() -> None:
    store = FakeStore()
    for number, old in enumerate(["", "r1", "r2"], 1):
        store.turns.append(
            turn_view(
                request("a", f"r{number}", metadata={"retry_of": old} if old else {}),
                position=number,
                status=RequestStatus.COMPLETED,
                entries=[entry("user", f"try {number}")],
            )
        )

    history = await load_history(FakeContext(store, []))
    replaced = await load_history(FakeContext(store, []), replaced="r3")

    assert [message.text for message in history] == ["try 3"]
    assert replaced == []


# --- the snapshot ---------------------------------------------------------------------


def test_a_session_is_restored_with_its_state_and_service_id() -> None:
    session = AgentSession(session_id="s", service_session_id="resp_1")
    session.state["memory"] = {"name": "Ada"}

    snapshot = json.loads(json.dumps(session_snapshot(session)))
    restored = restore_session(AgentSession(), snapshot, "echo/c1")

    assert restored.to_dict() == session.to_dict()


def test_without_a_snapshot_the_fresh_session_is_used() -> None:
    fresh = AgentSession()

    assert restore_session(fresh, None, "echo/c1") is fresh


def test_a_snapshot_of_a_newer_version_is_refused() -> None:
    with pytest.raises(SchemaTooNew, match="of echo/c1 has schema 2"):
        restore_session(AgentSession(), {"version": 2}, "echo/c1")


@pytest.mark.parametrize(
    "snapshot", [5, {}, {"version": 1}, {"version": 1, "session": {"state": 1}}]
)
def test_a_snapshot_that_cannot_be_read_is_named(snapshot: Any) -> None:
    where = str(ActorId("echo", "c1"))

    with pytest.raises(Corrupt, match="of echo/c1"):
        restore_session(AgentSession(), snapshot, where)
