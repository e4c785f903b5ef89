"""What a front end that speaks AG-UI sees; its protocol's own models read the events.

The official client is tried in `test_ag_ui_client`; the one of the agent framework
needs an older protocol. The events are held against the protocol's models here, and
against its rules of order.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from ag_ui.core import Event, EventType
from pydantic import TypeAdapter

from agent_runtime_nb.runtime_abstractions import ActorId
from tests.http_api.third_party_clients import ServedAgents, serving

EVENTS: TypeAdapter[Any] = TypeAdapter(Event)


class FrontEnd:
    """Posts runs with the messages that it has, as AG-UI's clients do."""

    def __init__(self, served: ServedAgents) -> None:
        headers = {
            "Authorization": f"Bearer {served.server.token}",
            "Accept": "text/event-stream",
        }
        self.http = httpx2.Client(
            base_url=served.server.url, headers=headers, timeout=20, trust_env=False
        )
        self.messages: list[dict[str, Any]] = []

    def post(self, agent: str, run_id: str, **more: Any) -> httpx2.Response:
        body: dict[str, Any] = {
            "threadId": "t1",
            "runId": run_id,
            "messages": self.messages,
            "tools": [],
            "context": [],
            "state": {},
            "forwardedProps": {},
        }
        return self.http.post(f"/ag-ui/{agent}", json={**body, **more})

    def run(self, agent: str, run_id: str, text: str = "", **more: Any) -> list[Any]:
        """Say something; the events, checked, and kept as messages."""
        if text:
            result = {"id": f"u-{run_id}", "role": "user", "content": text}
            self.messages.append(result)
        answer = self.post(agent, run_id, **more)
        assert answer.status_code == 200, answer.text
        lines = answer.text.split("\n\n")
        events = [
            EVENTS.validate_python(json.loads(line.removeprefix("data: ")))
            for line in lines
            if line.startswith("data: ")
        ]
        check_order(events)
        self.messages += said_in(events)
        return events


def check_order(events: list[Any]) -> None:
    """What begins ends, once, and content stands between."""
    assert events[0].type is EventType.RUN_STARTED
    assert events[-1].type in (EventType.RUN_FINISHED, EventType.RUN_ERROR)
    is_open: set[tuple[str, str]] = set()
    for event in events:
        kind, _, step = event.type.value.rpartition("_")
        if kind not in ("TEXT_MESSAGE", "TOOL_CALL", "REASONING_MESSAGE"):
            continue
        name = event.tool_call_id if kind == "TOOL_CALL" else event.message_id
        if step == "START":
            assert (kind, name) not in is_open
            is_open.add((kind, name))
        elif step == "END":
            is_open.remove((kind, name))
        elif step in ("CONTENT", "ARGS"):
            assert (kind, name) in is_open
    assert not is_open


def said_in(events: list[Any]) -> list[dict[str, Any]]:
    texts: dict[str, str] = {}
    for event in events:
        if event.type is EventType.TEXT_MESSAGE_CONTENT:
            texts[event.message_id] = texts.get(event.message_id, "") + event.delta
    return [
        {"id": name, "role": "assistant", "content": text}
        for name, text in texts.items()
    ]


@pytest.fixture
def served() -> Iterator[ServedAgents]:
    with serving() as served:
        yield served


@pytest.fixture
def front_end(served: ServedAgents) -> Iterator[FrontEnd]:
    front_end = FrontEnd(served)
    yield front_end
    front_end.http.close()


def kinds(events: list[Any]) -> list[str]:
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event.type.value:
            found.append(event.type.value)
    return found


def test_a_run_is_a_turn_of_the_threads_conversation(
    front_end: FrontEnd, served: ServedAgents
) -> None:
    first = front_end.run("echo", "r1", "one")
    front_end.run("echo", "r2", "two")

    assert kinds(first) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert front_end.messages[1]["content"] == "Echo: one"
    assert served.said("echo/t1") == [
        "user: one",
        "assistant: Echo: one",
        "user: two",
        "assistant: Echo: two",
    ]


def test_a_thread_that_began_elsewhere_is_sent_whole(
    front_end: FrontEnd, served: ServedAgents
) -> None:
    front_end.messages += [
        {"id": "a", "role": "system", "content": "Be brief."},
        {"id": "b", "role": "user", "content": "hello"},
        {"id": "c", "role": "assistant", "content": "hi"},
    ]
    front_end.run("echo", "r1", "more")

    assert served.said("echo/t1") == [
        "system: Be brief.",
        "user: hello",
        "assistant: hi",
        "user: more",
        "assistant: Echo: more",
    ]


def test_a_front_end_that_names_messages_itself_sends_none_twice(
    front_end: FrontEnd, served: ServedAgents
) -> None:
    front_end.run("echo", "r1", "one")
    for number, message in enumerate(front_end.messages):
        message["id"] = f"renamed-{number}"

    front_end.run("echo", "r2", "two")

    assert served.said("echo/t1")[2:] == ["user: two", "assistant: Echo: two"]


def test_a_run_that_is_posted_again_is_the_same_turn(
    front_end: FrontEnd, served: ServedAgents
) -> None:
    front_end.run("echo", "r1", "one")

    again = front_end.run("echo", "r1")

    assert said_in(again)[0]["content"] == "Echo: one"
    assert len(served.said("echo/t1")) == 2


def test_a_tool_is_reported_as_it_runs(front_end: FrontEnd) -> None:
    events = front_end.run("scripted", "r1", "weather in Oslo")

    assert kinds(events) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    by_kind = {event.type.value: event for event in events}
    assert by_kind["TOOL_CALL_START"].tool_call_name == "get_weather"
    assert by_kind["TOOL_CALL_RESULT"].content == "Oslo: cloudy, 18 °C"
    assert events[-1].usage[0].total_tokens > 0


def test_reasoning_is_kept_apart_from_the_answer(front_end: FrontEnd) -> None:
    events = front_end.run("scripted", "r1", "think")

    assert "REASONING_MESSAGE_CONTENT" in kinds(events)
    assert said_in(events)[0]["content"] == "I have thought about it: **42**."


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": "resolved", "payload": {"approved": True}}, "is deleted"),
        ({"status": "resolved", "payload": {"approved": False}}, "leave it"),
        ({"status": "cancelled"}, "leave it"),
    ],
)
def test_an_approval_interrupts_the_run_and_resumes_it(
    front_end: FrontEnd, answer: dict[str, Any], said: str
) -> None:
    events = front_end.run("scripted", "r1", "delete notes.txt")
    (interrupt,) = events[-1].outcome.interrupts

    resumed = front_end.run(
        "scripted", "r2", resume=[{"interruptId": interrupt.id, **answer}]
    )

    assert interrupt.message == 'delete_file wants to run with {"path":"notes.txt"}'
    assert said in said_in(resumed)[0]["content"]
    assert resumed[-1].outcome.type == "success"


def test_a_failing_turn_is_a_run_error(front_end: FrontEnd) -> None:
    events = front_end.run("scripted", "r1", "fail")

    assert events[-1].type is EventType.RUN_ERROR
    assert "scripted model fails" in events[-1].message


def test_a_stopped_turn_is_a_cancelled_run(
    front_end: FrontEnd, served: ServedAgents
) -> None:
    actor_id = ActorId("gated", "t1")
    front_end.messages.append({"id": "u", "role": "user", "content": "go"})

    async def stop_when_it_runs() -> None:
        async for update in served.client.watch_actor(actor_id):
            if update.kind == "progress":
                await served.client.cancel(actor_id, "r1")
                return

    stopping = threading.Thread(target=lambda: asyncio.run(stop_when_it_runs()))
    stopping.start()
    events = front_end.run("gated", "r1")
    stopping.join(10)

    assert events[-1].outcome.type == "cancelled"
    assert said_in(events)[0]["content"] == "first "


def test_without_a_message_the_conversation_is_sent(
    front_end: FrontEnd, served: ServedAgents
) -> None:
    front_end.run("scripted", "r1", "weather in Oslo")
    front_end.messages.clear()

    events = front_end.run("scripted", "r2")

    (snapshot,) = [e for e in events if e.type is EventType.MESSAGES_SNAPSHOT]
    roles = [message.role for message in snapshot.messages]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert (
        len(served.call(served.runtime.read_actor(ActorId("scripted", "t1"))).turns)
        == 1
    )


@pytest.mark.parametrize(
    ("more", "status", "place_of_error"),
    [
        ({"threadId": ""}, 422, "conversation_id"),
        ({"runId": 7}, 422, "runId"),
        (
            {"resume": [{"interruptId": "x", "status": "resolved"}]},
            422,
            "resume[0].interruptId",
        ),
    ],
)
def test_what_cannot_be_run_is_a_problem(
    front_end: FrontEnd, more: dict[str, Any], status: int, place_of_error: str
) -> None:
    answer = front_end.post("echo", "r1", **more)

    assert answer.status_code == status
    assert answer.json()["errors"][0]["field"] == place_of_error


def test_an_unknown_agent_is_not_found(front_end: FrontEnd) -> None:
    front_end.messages.append({"id": "u", "role": "user", "content": "go"})

    answer = front_end.post("nobody", "r1")

    assert answer.status_code == 404


def test_an_unknown_agent_has_no_conversation_to_show(front_end: FrontEnd) -> None:
    answer = front_end.post("nobody", "r1")

    assert answer.status_code == 404
    assert answer.json()["type"].endswith(":unknown-actor-type")
