"""Every error as a problem, over HTTP."""

import inspect
import json
import logging
from typing import Any

import httpx2
import pytest

from agent_runtime_nb import exceptions
from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.http_api.problems import STATUS
from agent_runtime_nb.http_api.schemas import ProblemBody
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from tests.http_api.fakes import ANSWER, FakeClient, FakeDirectory

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
ECHO = ActorId("echo", "c1")


def problem_of(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    ProblemBody.model_validate(body)
    assert body["status"] == answer.status_code
    return body


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (exceptions.UnknownActorType("nope", ["echo"]), 404, "unknown-actor-type"),
        (exceptions.InvalidRequest("messages", "is empty"), 422, "invalid-request"),
        (exceptions.NotJson("params", "NaN"), 422, "not-json"),
        (exceptions.MessageIdReused(ECHO, "m"), 422, "message-id-reused"),
        (exceptions.ActorBusy(ECHO), 409, "actor-busy"),
        (exceptions.ActorOwnedElsewhere(ECHO, "B"), 409, "actor-owned-elsewhere"),
        (exceptions.MailboxFull(ECHO, 100, 2.5), 429, "mailbox-full"),
        (exceptions.NotRunning("stopped"), 503, "not-running"),
        (exceptions.LoopBlocked(3), 503, "loop-blocked"),
        (exceptions.DeadlineExceeded("the turn", 2), 504, "deadline-exceeded"),
        (exceptions.Unavailable("db", "gone"), 503, "unavailable"),
        (exceptions.TooLarge("params", 10, 5), 413, "too-large"),
        (exceptions.Full("db"), 507, "full"),
        (exceptions.OutcomeUnknown(ECHO, "c"), 503, "outcome-unknown"),
        (exceptions.Corrupt("db", "bad page"), 500, "corrupt"),
    ],
)
def test_an_error_of_the_runtime_has_its_status_and_message(
    http: httpx2.Client, actors: FakeClient, error: Exception, status: int, kind: str
):
    actors.error = error

    answer = http.post("/agents/echo/run", json=HELLO)

    body = problem_of(answer)
    assert answer.status_code == status
    assert body["type"] == f"urn:agent-runtime-nb:problem:{kind}"
    assert body["detail"] == str(error)
    assert body["retryable"] is getattr(error, "retryable", None)


def test_every_exception_of_the_tree_has_a_status():
    tree = {
        kind
        for _, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, AgentRuntimeError)
    }
    never_reaches_a_client = {
        exceptions.AgentNameTaken,
        exceptions.CopyFailed,
        exceptions.InvalidAgent,
        exceptions.MailboxDrained,
        exceptions.MissingExtra,
        exceptions.NotCompleted,
        exceptions.OutsideTurn,
        exceptions.SchemaTooNew,
        exceptions.Corrupt,
    }

    assert tree - set(STATUS) == never_reaches_a_client


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (exceptions.MailboxFull(ECHO, 100, 2.5), "3"),
        (exceptions.Unavailable("db", "gone", retry_after=0.1), "1"),
    ],
)
def test_an_error_that_passes_says_when_to_come_back(
    http: httpx2.Client, actors: FakeClient, error: Exception, seconds: str
):
    actors.error = error

    answer = http.post("/agents/echo/run", json=HELLO)

    assert answer.headers["retry-after"] == seconds


def test_a_failed_turn_is_502_with_its_error_and_what_was_said(
    http: httpx2.Client, actors: FakeClient
):
    error = {"type": "RateLimited", "message": "slow down", "retryable": True}
    actors.status = RequestStatus.FAILED
    place = {"where": "boom, line 1 of my_agents.py"}
    actors.data = {"error": {**error, **place}, "messages": ANSWER["messages"]}

    answer = http.post("/agents/echo/run", json=HELLO)

    body = problem_of(answer)
    assert answer.status_code == 502
    assert body["detail"] == "the turn failed: RateLimited: slow down"
    assert body["error"] == error
    assert "my_agents.py" not in answer.text
    assert body["retryable"] is True
    assert body["messages"] == ANSWER["messages"]
    assert body["request_id"] == answer.headers["x-request-id"] == "made-1"


@pytest.mark.parametrize(
    ("kind", "status"), [("DeadlineExceeded", 504), ("InvalidRequest", 422)]
)
def test_a_turn_that_failed_for_a_known_reason_has_its_status(
    http: httpx2.Client, actors: FakeClient, kind: str, status: int
):
    actors.status = RequestStatus.FAILED
    actors.data = {"error": {"type": kind, "message": "x", "retryable": False}}

    assert http.post("/agents/echo/run", json=HELLO).status_code == status


def test_a_stream_reports_a_failed_turn_as_its_last_event(
    http: httpx2.Client, actors: FakeClient
):
    error = {"type": "RateLimited", "message": "slow down", "retryable": True}
    actors.status, actors.data = RequestStatus.FAILED, {"error": error}
    actors.updates = 1

    answer = http.post("/agents/echo/run", json={**HELLO, "stream": True})

    last = answer.text.strip().split("\n\n")[-1].split("\n")
    assert last[:2] == ["id: end", "event: error"]
    assert json.loads(last[2].removeprefix("data: "))["status"] == 502


def test_a_stream_reports_an_exception_as_its_last_event(
    http: httpx2.Client, actors: FakeClient
):
    actors.later = exceptions.OutcomeUnknown(ECHO, "c")

    answer = http.post("/agents/echo/run", json={**HELLO, "stream": True})

    assert "event: error" in answer.text
    assert "urn:agent-runtime-nb:problem:outcome-unknown" in answer.text


def test_an_error_after_acceptance_still_names_the_request(
    http: httpx2.Client, actors: FakeClient
):
    actors.later = exceptions.OutcomeUnknown(ECHO, "c")

    answer = http.post("/agents/echo/run", json=HELLO)

    assert answer.status_code == 503
    assert answer.headers["x-request-id"] == "made-1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        (
            {"messages": [{"role": "user", "content": [{"uri": "x"}]}]},
            "messages[0].content[0].type",
        ),
        ({**HELLO, "conversation_id": ""}, "conversation_id"),
        ({**HELLO, "conversation_id": "a\nb"}, "conversation_id"),
        ({**HELLO, "agent_name": "mock-ai"}, "agent_name"),
        ({**HELLO, "conversation": "c1"}, "conversation"),
        ({**HELLO, "timeout": 0}, "timeout"),
    ],
)
def test_a_malformed_request_names_its_field(
    http: httpx2.Client, actors: FakeClient, body: dict[str, Any], field: str
):
    answer = http.post("/agents/echo/run", json=body)

    found = problem_of(answer)
    assert answer.status_code == 422
    assert field in [error["field"] for error in found["errors"]]
    assert actors.sent == []


@pytest.mark.parametrize(
    "text", ["{", "", '{"messages": ' + "[" * 100_000, '"text"', "\x00", "[1" * 5]
)
def test_a_body_that_is_no_request_is_refused(http: httpx2.Client, text: str):
    answer = http.post(
        "/agents/echo/run", content=text, headers={"Content-Type": "application/json"}
    )

    problem_of(answer)
    assert answer.status_code in (400, 422)


def test_a_body_that_is_no_json_is_said_to_be_the_body(http: httpx2.Client):
    answer = http.post(
        "/agents/echo/run", content="{", headers={"Content-Type": "application/json"}
    )

    assert problem_of(answer)["detail"].startswith("body: Invalid JSON")


def test_an_unknown_path_and_method_are_problems(http: httpx2.Client):
    missing = http.get("/nothing")
    wrong = http.delete("/agents")

    assert missing.status_code == 404
    assert problem_of(missing)["type"].endswith(":not-found")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET"
    assert problem_of(wrong)["type"].endswith(":method-not-allowed")
    for answer in (missing, wrong):
        assert answer.json()["retryable"] is False


@pytest.mark.parametrize("name", ["nope", "Echo", "no%20agent", "-"])
def test_an_agent_that_is_not_there_is_404_and_the_known_ones_are_named(
    http: httpx2.Client, actors: FakeClient, name: str
):
    actors.error = exceptions.UnknownActorType(name, ["echo", "mock-ai"])

    run = http.post(f"/agents/{name}/run", json=HELLO)
    read = http.get(f"/agents/{name}")

    for answer in (run, read):
        assert answer.status_code == 404
        assert "known: echo, mock-ai" in problem_of(answer)["detail"]


def test_an_unexpected_exception_is_reported_without_its_message_and_logged_with_it(
    http: httpx2.Client, directory: FakeDirectory, caplog: pytest.LogCaptureFixture
):
    directory.error = RuntimeError("the password is hunter2")

    with caplog.at_level(logging.ERROR):
        answer = http.get("/agents")

    body = problem_of(answer)
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    (record,) = [record for record in caplog.records if record.exc_info]
    assert body["instance"] in record.getMessage()
    assert "hunter2" in str(record.exc_info)
