"""The official AG-UI client, in Node, talks to the AG-UI routes of a real server."""

import json
import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.http_api.third_party_clients import ServedAgents, serving
from tests.servers import npm_package

pytestmark = pytest.mark.process

PACKAGE = "@ag-ui/client"
VERSION = "1.0.0"
SCRIPT = Path(__file__).with_name("ag_ui_client.mjs")

ClientRun = dict[str, Any]
Run = Callable[..., list[ClientRun]]


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder with the client; a skip where it cannot be had, an error in CI."""
    shared = npm_package.shared_folder(f"ag-ui-client-{VERSION}")
    try:
        return npm_package.install(PACKAGE, VERSION, shared)
    except npm_package.NoPackage as error:
        if os.environ.get("CI"):
            pytest.fail(f"no AG-UI client: {error}")
        pytest.skip(f"no AG-UI client: {error}")


@pytest.fixture(scope="module")
def served() -> Iterator[ServedAgents]:
    with serving() as served:
        yield served


@contextmanager
def running(
    folder: Path, served: ServedAgents, agent: str, thread: str, runs: list[ClientRun]
) -> Generator[IO[str]]:
    """The lines that the client tells, as they come."""
    node, _ = npm_package.node_command()
    url = f"{served.server.url}/ag-ui/{agent}"
    with subprocess.Popen(
        [node, str(SCRIPT), str(folder), url, thread],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it reports errors on stdout, too
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"token": served.server.token, "runs": runs}))
        process.stdin.close()
        try:
            yield process.stdout
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.fixture
def run(folder: Path, served: ServedAgents, request: pytest.FixtureRequest) -> Run:
    """Let the client run turns in a thread of the test's own; what it made of each."""

    def run(agent: str, *runs: ClientRun) -> list[ClientRun]:
        thread = request.node.name
        with running(folder, served, agent, thread, list(runs)) as lines:
            return runs_in(lines)

    return run


def runs_in(lines: IO[str]) -> list[ClientRun]:
    """Each run as the client has it, with the kinds of its events."""
    result: list[ClientRun] = []
    events: list[str] = []
    for line in lines:
        one = json.loads(line)
        if "event" in one:
            events.append(one["event"]["type"])
        else:
            result.append({**one, "events": events})
            events = []
    return result


def texts(messages: list[ClientRun]) -> list[str]:
    return [f"{one['role']}: {one.get('content', '')}" for one in messages]


def test_the_clients_turns_are_one_conversation(run: Run, served: ServedAgents) -> None:
    first, second = run("echo", {"text": "one"}, {"text": "two"})

    assert first["error"] is second["error"] is None
    assert texts(first["said"]) == ["assistant: Echo: one"]
    both = ["user: one", "assistant: Echo: one", "user: two", "assistant: Echo: two"]
    assert texts(second["messages"]) == both
    assert served.said("echo/test_the_clients_turns_are_one_conversation") == both


def test_the_client_has_a_piece_before_the_turn_ends(
    folder: Path, served: ServedAgents
) -> None:
    with running(folder, served, "gated", "streamed", [{"text": "go"}]) as lines:
        events = (json.loads(line)["event"] for line in lines)
        said = next(one["delta"] for one in events if "delta" in one)
        served.open_gate()  # only now can the agent say more
        (result,) = runs_in(lines)

    assert said == "first "
    assert texts(result["said"]) == ["assistant: first second"]


def test_a_tool_call_and_its_result_are_messages_of_the_client(run: Run) -> None:
    called, after = run("scripted", {"text": "weather in Oslo"}, {"text": "think"})

    before, call, result, answer = called["said"]
    (tool,) = call["toolCalls"]
    assert before["content"] == "Let me look. "
    assert tool["function"]["name"] == "get_weather"
    assert json.loads(tool["function"]["arguments"]) == {"city": "Oslo"}
    assert (result["role"], result["toolCallId"]) == ("tool", tool["id"])
    assert result["content"] == "Oslo: cloudy, 18 °C"
    assert answer["content"] == "Here it is: **Oslo: cloudy, 18 °C**."
    assert [one["role"] for one in after["said"]] == ["reasoning", "assistant"]


@pytest.mark.parametrize(
    ("answer", "end"),
    [({"approve": True}, "is deleted"), ({"approve": False}, "leave it")],
)
def test_the_client_answers_an_interrupt(run: Run, answer: ClientRun, end: str) -> None:
    asked, resumed = run("scripted", {"text": "delete notes.txt"}, answer)

    assert asked["events"][-1] == resumed["events"][-1] == "RUN_FINISHED"
    assert resumed["error"] is None
    assert end in resumed["said"][-1]["content"]


def test_a_failing_turn_is_an_error_of_the_client_and_the_thread_goes_on(
    run: Run,
) -> None:
    failed, after = run("scripted", {"text": "fail"}, {"text": "weather in Rome"})

    assert "scripted model fails" in failed["error"]
    assert failed["events"][-1] == "RUN_ERROR"
    assert after["error"] is None
    assert "Rome: windy" in after["said"][-1]["content"]


def test_a_refusal_is_an_error_of_the_client(run: Run) -> None:
    (result,) = run("nobody", {"text": "hello"})

    assert "HTTP 404" in result["error"]
    assert "no agent or actor type is named 'nobody'" in result["error"]
    assert result["events"] == []
