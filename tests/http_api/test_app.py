"""The routes, in front of a scripted client and directory."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from agent_runtime_nb.exceptions import InvalidRequest
from agent_runtime_nb.http_api.app import create_app
from agent_runtime_nb.http_api.guard import GuardOptions
from agent_runtime_nb.http_api.schemas import HealthInfo, RunResponse
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    Cursor,
    RequestStatus,
    TurnView,
)
from agent_runtime_nb.runtime_directory import (
    ActorView,
    Health,
)
from tests.http_api.fakes import ANSWER, FakeClient, FakeDirectory

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def events_of(text: str) -> list[dict[str, str]]:
    """The events of a stream, comments left out."""
    blocks = [block for block in text.split("\n\n") if block]
    return [
        dict(line.split(": ", 1) for line in block.split("\n"))
        for block in blocks
        if not block.startswith(":")
    ]


def test_a_run_answers_messages_status_and_conversation(
    http: httpx2.Client, actors: FakeClient
):
    answer = http.post("/agents/echo/run", json={**HELLO, "conversation_id": "c1"})

    assert answer.status_code == 200
    body = answer.json()
    assert body["messages"] == ANSWER["messages"]
    assert body["status"] == "completed"
    assert body["conversation_id"] == "c1"
    assert body["agent_name"] == "echo"
    assert body["usage"] == {"total_token_count": 3}
    assert body["request_id"] == answer.headers["x-request-id"] == "made-1"
    RunResponse.model_validate(body)
    assert actors.sent[0].actor_id == ActorId("echo", "c1")
    assert actors.sent[0].params == HELLO


def test_the_default_conversation_is_named_after_the_agent(
    http: httpx2.Client, actors: FakeClient
):
    answer = http.post("/agents/mock-ai/run", json=HELLO)

    assert answer.json()["conversation_id"] == "http-mock-ai"
    assert actors.sent[0].actor_id == ActorId("mock-ai", "http-mock-ai")


def test_content_may_be_text_or_parts_and_message_ids_travel(
    http: httpx2.Client, actors: FakeClient
):
    part = {"type": "data", "uri": "data:image/png;base64,AA==", "media_type": "image"}
    messages = [
        {"role": "system", "text": "Be brief."},
        {"role": "user", "content": [part], "message_id": "u-1"},
    ]

    answer = http.post(
        "/agents/echo/run",
        json={"agent_name": "echo", "messages": messages, "when_busy": "reject"},
    )

    assert answer.status_code == 200
    assert actors.sent[0].params == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [part], "message_id": "u-1"},
        ]
    }
    assert actors.sent[0].when_busy == "reject"


def test_the_idempotency_key_is_the_message_id(http: httpx2.Client, actors: FakeClient):
    answer = http.post(
        "/agents/echo/run", json=HELLO, headers={"Idempotency-Key": "k1"}
    )

    assert actors.sent[0].message_id == "k1"
    assert answer.headers["x-request-id"] == "k1"


@pytest.mark.parametrize("status", [RequestStatus.CANCELLED, RequestStatus.INTERRUPTED])
def test_a_turn_that_was_stopped_is_no_error(
    http: httpx2.Client, actors: FakeClient, status: RequestStatus
):
    actors.status = status

    answer = http.post("/agents/echo/run", json=HELLO)

    assert answer.status_code == 200
    assert answer.json()["status"] == status.value
    assert answer.json()["messages"] == ANSWER["messages"]


def test_an_actor_that_is_no_agent_answers_its_data(
    http: httpx2.Client, actors: FakeClient
):
    actors.data = [1, 2]

    answer = http.post("/agents/echo/run", json=HELLO)

    assert answer.json()["data"] == [1, 2]
    assert answer.json()["messages"] == []


@pytest.mark.parametrize(
    "how",
    [{"headers": {"Accept": "text/event-stream"}}, {"stream": True}],
    ids=["accept", "body"],
)
def test_a_stream_has_numbered_updates_and_ends_with_the_plain_answer(
    http: httpx2.Client, actors: FakeClient, how: dict[str, Any]
):
    actors.updates = 3
    plain = http.post("/agents/echo/run", json=HELLO).json()

    stream = {"stream": True} if "stream" in how else {}
    answer = http.post(
        "/agents/echo/run", json={**HELLO, **stream}, headers=how.get("headers")
    )

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"] == "made-1"
    events = events_of(answer.text)
    assert [event["event"] for event in events] == ["update"] * 3 + ["response"]
    assert [event["id"] for event in events] == ["0", "1", "2", "end"]
    assert json.loads(events[1]["data"])["sequence"] == 1
    assert json.loads(events[-1]["data"]) == plain


def test_a_stream_goes_on_after_the_last_event_id(
    http: httpx2.Client, actors: FakeClient
):
    actors.updates = 3

    answer = http.post(
        "/agents/echo/run",
        json={**HELLO, "stream": True},
        headers={"Idempotency-Key": "k1", "Last-Event-ID": "1"},
    )

    assert [event["id"] for event in events_of(answer.text)] == ["2", "end"]
    assert actors.watched_after == [1]


def test_the_agents_are_listed_with_their_descriptions(http: httpx2.Client):
    listed = http.get("/agents")
    one = http.get("/agents/echo")

    assert listed.json() == {
        "agents": [
            {"name": "echo", "description": "Says it again"},
            {"name": "mock-ai", "description": ""},
        ]
    }
    assert one.json() == {"name": "echo", "description": "Says it again"}


def test_health_says_how_the_runtime_is(http: httpx2.Client):
    answer = http.get("/health")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "detail": "fine",
        "storage": "memory",
        "loop_lag": 0.01,
        "resident": 2,
        "running": 1,
        "waiting": 0,
    }
    HealthInfo.model_validate(answer.json())


def test_health_answers_soon_while_the_runtime_does_not(
    http: httpx2.Client, directory: FakeDirectory
):
    directory.blocked = True

    answer = http.get("/health")

    assert answer.elapsed.total_seconds() < 5
    assert answer.status_code == 503
    assert answer.json()["status"] == "blocked"
    assert "event loop has not answered" in answer.json()["detail"]


def test_health_of_a_stopped_runtime_is_503(
    http: httpx2.Client, directory: FakeDirectory
):
    directory.state = Health("stopped", "memory", 0, 0, 0, 0)

    assert http.get("/health").status_code == 503


def test_a_request_can_be_read_again(http: httpx2.Client):
    answer = http.get("/agents/echo/conversations/a/b/requests/m1")

    assert answer.status_code == 200
    assert answer.json()["conversation_id"] == "a/b"
    assert answer.json()["request_id"] == "m1"
    assert answer.json()["messages"] == ANSWER["messages"]


def test_a_request_that_waits_is_reported_at_once(
    http: httpx2.Client, directory: FakeDirectory
):
    turn = TurnView(
        message_id="m1",
        position=1,
        status=RequestStatus.PENDING,
        attempts=0,
        method="run",
        params=None,
        metadata={},
        data=None,
        entries=(),
        checkpoint=None,
        accepted_at=datetime.now(UTC),
        ended_at=None,
    )
    actor_id = ActorId("echo", "c1")
    directory.view = ActorView(actor_id, (), None, (turn,), Cursor(0, 0), more=False)

    answer = http.get("/agents/echo/conversations/c1/requests/m1")

    assert answer.status_code == 200
    assert answer.json()["status"] == "pending"


def test_a_request_that_was_never_accepted_is_404(
    http: httpx2.Client, actors: FakeClient
):
    actors.status = RequestStatus.NOT_FOUND

    answer = http.get("/agents/echo/conversations/c1/requests/nobody")

    assert answer.status_code == 404
    assert answer.json()["type"].endswith(":request-not-found")


def test_a_request_can_be_cancelled(http: httpx2.Client, actors: FakeClient):
    answer = http.post("/agents/echo/conversations/c1/requests/m1/cancel")

    assert answer.json() == {"cancelled": True}
    assert actors.cancelled == [(ActorId("echo", "c1"), "m1")]


@pytest.mark.parametrize("token", ["", " ", "token\n", " token"])
def test_a_token_that_no_header_could_carry_is_refused(token: str):
    with pytest.raises(InvalidRequest, match="token: must not"):
        GuardOptions(token=token)


def test_a_guard_without_options_asks_for_a_random_token():
    one = create_app(FakeClient(), FakeDirectory())
    other = create_app(FakeClient(), FakeDirectory())

    assert len(one.state.guard.token) > 40
    assert one.state.guard.token != other.state.guard.token
    assert one.state.guard.token not in repr(one.state.guard)
