"""Functions as agents: what they are told when they go wrong."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.errors import place_of
from agent_runtime_nb.agents.samples import EchoAgent
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId, RequestStatus
from tests.agents.fake_context import FakeStore, ask
from tests.agents.helpers import OwnHistory, scripted

# --- a function that raises -----------------------------------------------------------


def divide(message: str) -> float:
    return len(message) / 0


def boom(message: str) -> str:
    return str(divide(message))


async def boom_later(message: str) -> str:
    return boom(message)


def boom_within(message: str) -> Iterator[str]:
    yield "Well, "
    yield boom(message)


async def boom_within_later(message: str) -> AsyncIterator[str]:
    yield "Well, "
    yield boom(message)


DIVISION = f"divide, line {divide.__code__.co_firstlineno + 1} of {Path(__file__).name}"


@pytest.mark.parametrize("function", [boom, boom_later, boom_within, boom_within_later])
async def test_a_function_that_raises_is_located_in_its_error(
    function: Callable[..., Any],
) -> None:
    outcome = await ask(AgentActor(function), FakeStore(), "Hi")

    assert outcome.status is RequestStatus.FAILED
    assert outcome.error["message"] == "division by zero"
    assert outcome.error["where"] == DIVISION


async def test_the_place_is_the_users_line_and_not_one_of_a_library() -> None:
    def nested(message: str) -> str:
        return str(json.loads(message))

    outcome = await ask(AgentActor(nested), FakeStore(), "{")

    assert outcome.error["where"].startswith("nested, line ")


async def test_the_traceback_is_logged_once_and_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def leak(message: str) -> str:
        raise ValueError("Incorrect key: sk-abcdefghijkl")

    caplog.set_level(logging.INFO, "agent_runtime_nb")
    outcome = await ask(AgentActor(leak), FakeStore(), "Hi")

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "in leak\n" in record.getMessage()
    assert "[hidden]" in record.getMessage()
    assert "sk-abc" not in caplog.text
    assert outcome.error["message"] == "Incorrect key: [hidden]"


@pytest.mark.parametrize("agent", [OwnHistory(), scripted([ValueError("no")])])
async def test_an_agent_that_fails_is_no_error_in_the_log(
    agent: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent_runtime_nb")

    outcome = await ask(AgentActor(agent), FakeStore(), "fail")

    assert outcome.status is RequestStatus.FAILED
    assert "where" not in outcome.error
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_an_error_of_a_library_alone_has_no_place() -> None:
    error = LookupError("never raised")

    assert place_of(error) is None


# --- a function that gives nothing ----------------------------------------------------


def forgetful(message: str) -> None:
    message.upper()


async def forgetful_later(message: str) -> None:
    message.upper()


@pytest.mark.parametrize("function", [forgetful, forgetful_later])
async def test_a_function_without_a_return_is_told_to_return_the_text(
    function: Callable[..., Any],
) -> None:
    outcome = await ask(AgentActor(function), FakeStore(), "Hi")

    text = "The function returned nothing: return the text of the answer."
    assert outcome.status is RequestStatus.COMPLETED
    assert outcome.data["notices"] == [{"level": "warning", "text": text}]


def repeat(message: str) -> str:
    return message


def silent(message: str) -> str:
    return message[:0]


@pytest.mark.parametrize("agent", [EchoAgent(), repeat, silent])
async def test_an_answer_that_is_complete_has_no_notices(agent: Any) -> None:
    outcome = await ask(AgentActor(agent), FakeStore(), "Hi")

    assert "notices" not in outcome.data


# --- what is taken for something else -------------------------------------------------


def no_message() -> str:
    return "Hi"


def no_message_but_a_name(name: str = "you") -> str:
    return f"Hi {name}"


@pytest.mark.parametrize(
    ("function", "few"), [(no_message, "no"), (no_message_but_a_name, "no required")]
)
async def test_a_function_without_a_message_is_told_to_take_it(
    function: Callable[..., Any], few: str
) -> None:
    outcome = await ask(AgentActor(function), FakeStore(), "Hi")

    name = function.__name__
    assert outcome.error["type"] == "InvalidAgent"
    assert outcome.error["message"].endswith(
        f"{name}() was taken as a factory because it has {few} parameters; "
        f"a function agent takes the message: def {name}(message)"
    )


# --- objects --------------------------------------------------------------------------


class Parrot:
    def __call__(self, message: str, history: list[dict[str, str]]) -> str:
        return f"{len(history)} {message}"


async def test_an_object_that_can_be_called_with_a_message_is_an_agent() -> None:
    outcome = await ask(AgentActor(Parrot()), FakeStore(), "one", "two")

    assert outcome.text == "2 two"


async def test_the_next_turn_waits_for_the_code_of_a_function_that_was_cancelled() -> (
    None
):
    happened: list[str] = []
    begun, may_end = threading.Event(), threading.Event()

    def work(message: str) -> str:
        happened.append(f"{message} begins")
        begun.set()
        may_end.wait(10)
        happened.append(f"{message} ends")
        return message

    hello = {"messages": [{"role": "user", "content": "Hello"}]}
    runtime = InProcessActorRuntime()
    runtime.register_actor_type("work", lambda _: AgentActor(work))
    runtime.register_actor_type("echo", lambda _: AgentActor(EchoAgent()))
    await runtime.start()
    client = InProcessActorClient(runtime)
    one, two = [
        await client.send_request(
            ActorId("work", "c"),
            "run",
            {"messages": [{"role": "user", "content": name}]},
        )
        for name in ("one", "two")
    ]
    await asyncio.to_thread(begun.wait, 10)
    await one.cancel()
    for name in "abcde":  # time enough for the second one to begin too early
        other = await client.send_request(ActorId("echo", name), "run", hello)
        await other.get_response()
    may_end.set()

    answers = [await handle.get_response() for handle in (one, two)]
    await runtime.stop()

    assert [answer.status for answer in answers] == ["cancelled", "completed"]
    assert happened == ["one begins", "one ends", "two begins", "two ends"]
