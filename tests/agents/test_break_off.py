"""Turns of an agent that are cancelled, fail or are cut off."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from agent_framework import (
    Agent,
    Message,
    tool,
)
from agent_framework.exceptions import ChatClientException, SettingNotFoundError

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import (
    CUT,
    ScriptedChatClient,
    Step,
    call_tool,
    scripted_agent,
)
from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
)
from tests.agents.fake_context import FakeContext, FakeStore, ask, request
from tests.agents.helpers import (
    Gate,
    ask_and_cancel,
    contents_seen,
    echo_script,
    model_of,
    scripted,
    seen,
    texts,
    weather_script,
)

# --- turns that break off -------------------------------------------------------------


async def test_a_cancelled_turn_keeps_the_question_and_the_partial_answer() -> None:
    store, gate = FakeStore(), Gate(at=2)
    agent = scripted_agent(["One two three four."], delay=1, sleep=gate.sleep)

    (outcome,) = await ask_and_cancel(AgentActor(agent), store, gate.reached, "Count")

    assert outcome.status is RequestStatus.CANCELLED
    assert outcome.text == "One two"
    assert texts(store.entries) == [("user", "Count"), ("assistant", "One two")]


async def test_the_task_goes_on_with_the_next_request_after_a_cancel() -> None:
    store, gate = FakeStore(), Gate(at=2)
    calls = 0

    def script(messages: Sequence[Message]) -> list[Step]:
        nonlocal calls
        calls += 1
        return ["One two three."] if calls == 1 else ["Fine"]

    agent = scripted_agent(script, delay=1, sleep=gate.sleep)
    first = gate.reached

    async def open_gate_after_cancel(seconds: float) -> None:
        if calls == 1:
            await gate.sleep(seconds)

    model_of(agent).sleep = open_gate_after_cancel
    outcomes = await ask_and_cancel(AgentActor(agent), store, first, "Count", "Go on")

    assert [outcome.status for outcome in outcomes] == [
        RequestStatus.CANCELLED,
        RequestStatus.COMPLETED,
    ]
    assert seen(agent) == [
        ("user", "Count"),
        ("assistant", "One two"),
        ("assistant", "[This answer was stopped before it was finished.]"),
        ("user", "Go on"),
    ]


async def test_a_cancel_in_a_tool_leaves_a_conversation_that_the_model_accepts() -> (
    None
):
    reached, never = asyncio.Event(), asyncio.Event()

    @tool(approval_mode="never_require")
    async def get_weather(city: str) -> str:
        """Wait for ever."""
        reached.set()
        await never.wait()
        return city

    store = FakeStore()
    agent = scripted(weather_script, tools=[get_weather])
    await ask_and_cancel(AgentActor(agent), store, reached, "weather")

    after = scripted()
    outcome = await ask(AgentActor(after), store, "never mind")

    assert outcome.status is RequestStatus.COMPLETED
    parts = contents_seen(after)
    calls = [part.call_id for part in parts if part.type == "function_call"]
    results = [part.call_id for part in parts if part.type == "function_result"]
    assert calls == results == ["call_1"]


async def test_a_tool_call_that_was_cut_in_its_arguments_is_dropped() -> None:
    store, gate = FakeStore(), Gate(at=2)
    agent = scripted_agent(
        lambda m: ["Look: ", call_tool(m, "get_weather", city="Paris")],
        delay=1,
        sleep=gate.sleep,
    )

    await ask_and_cancel(AgentActor(agent), store, gate.reached, "weather")

    assert [part["type"] for part in store.entries[1]["contents"]] == ["text"]


async def test_a_failing_service_fails_the_turn_and_keeps_the_partial_answer() -> None:
    store = FakeStore()

    outcome = await ask(
        AgentActor(scripted(["I will. ", ValueError("no luck")])), store, "Try"
    )

    assert outcome.status is RequestStatus.FAILED
    assert outcome.error == {
        "type": "ValueError",
        "message": "no luck",
        "retryable": False,
    }
    assert outcome.text.strip() == "I will."
    assert [role for role, _ in texts(store.entries)] == ["user", "assistant"]


async def test_a_failed_turn_is_what_the_next_turn_sees_marked() -> None:
    store = FakeStore()
    await ask(AgentActor(scripted(["I ", ValueError("x")])), store, "Try")
    agent = scripted()

    await ask(AgentActor(agent), store, "again")

    assert seen(agent)[1:3] == [
        ("assistant", "I "),
        ("assistant", "[This answer failed before it was finished.]"),
    ]


async def test_a_retry_takes_the_place_of_the_turn_that_failed() -> None:
    store = FakeStore()
    agent = scripted(["I ", ValueError("x")])
    actor = AgentActor(agent)
    await ask(actor, store, "Try")
    model_of(agent).script = echo_script

    await ask(actor, store, "Try", retry_of="r1")
    await ask(actor, store, "and now")

    assert seen(agent, -2) == [("user", "Try")]
    assert [text for _, text in seen(agent)] == ["Try", "You said Try. Bye.", "and now"]


async def test_a_stream_that_ends_without_a_finish_keeps_its_text_and_says_so() -> None:
    store = FakeStore()

    outcome = await ask(AgentActor(scripted(["Half an ans", CUT])), store, "Try")

    assert outcome.status is RequestStatus.COMPLETED
    assert outcome.text == "Half an ans"
    assert outcome.data["finish_reason"] is None
    (notice,) = outcome.data["notices"]
    assert notice["level"] == "warning"
    assert "cut off" in notice["text"]
    assert outcome.notices == [{"type": "notice", **notice}]


async def test_a_notice_is_recorded_however_the_turn_ends() -> None:
    class StoringClient(ScriptedChatClient):
        STORES_BY_DEFAULT = True

    def agent(script: Any, gate: Gate) -> Any:
        return Agent(client=StoringClient(script, delay=1, sleep=gate.sleep))

    gate = Gate(at=2)
    failing, slow = agent([ValueError("no")], gate), agent(["One two three."], gate)

    failed = await ask(AgentActor(failing), FakeStore(), "Try")
    (cancelled,) = await ask_and_cancel(
        AgentActor(slow), FakeStore(), gate.reached, "Try"
    )

    assert [failed.status, cancelled.status] == [
        RequestStatus.FAILED,
        RequestStatus.CANCELLED,
    ]
    for outcome in (failed, cancelled):
        assert [one["level"] for one in outcome.data["notices"]] == ["info"]


async def test_the_cause_of_a_client_exception_is_shown_not_its_wrapper() -> None:
    error = ChatClientException("<class 'X'> failed")
    error.__cause__ = ConnectionError("the line is dead")

    outcome = await ask(AgentActor(scripted([error])), FakeStore(), "Try")

    assert outcome.error == {
        "type": "ConnectionError",
        "message": "the line is dead",
        "retryable": True,
    }


async def test_a_missing_key_is_one_sentence_with_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def factory() -> Any:
        raise SettingNotFoundError(
            "Exactly one of 'base_url', 'endpoint' must be provided, but none was set."
        )

    outcome = await ask(AgentActor(factory), FakeStore(), "Hi")

    assert "set OPENAI_API_KEY" in outcome.error["message"]
    assert "\n" not in outcome.error["message"]


async def test_no_key_is_shown_in_an_error() -> None:
    error = ValueError("Incorrect API key provided: sk-proj-abc123456789; api_key=hush")

    outcome = await ask(AgentActor(scripted([error])), FakeStore(), "Hi")

    assert "abc123456789" not in outcome.error["message"]
    assert "hush" not in outcome.error["message"]
    assert "Incorrect API key provided" in outcome.error["message"]


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: hush123",
        "Client(api_key='hush123', model='m')",
        '{"api-key": "hush123"}',
        "cannot reach https://me:hush123@example.org/v1",
    ],
)
async def test_a_key_is_hidden_however_it_is_written(text: str) -> None:
    outcome = await ask(AgentActor(scripted([ValueError(text)])), FakeStore(), "Hi")

    assert outcome.error["message"].count("[hidden]") == 1
    assert "hush123" not in outcome.error["message"]


async def test_a_cancellation_that_nobody_asked_for_is_not_swallowed() -> None:
    gate = Gate(at=0)
    agent = scripted_agent(["One."], delay=1, sleep=gate.sleep)
    context = FakeContext(FakeStore(), [request("Hi")])

    async with asyncio.TaskGroup() as group:
        task = group.create_task(AgentActor(agent).run(context))
        await gate.reached.wait()
        task.cancel()

    assert task.cancelled()
    assert context.outcomes == []


async def test_partial_text_is_saved_every_two_seconds_of_streaming() -> None:
    now = 0.0

    async def tick(seconds: float) -> None:
        nonlocal now
        now += seconds

    agent = scripted_agent(["a b c d e f"], delay=1, sleep=tick)
    actor = AgentActor(agent, clock=lambda: now)

    outcome = await ask(actor, FakeStore(), "Hi")

    saved = [texts(point["messages"]) for point in outcome.checkpoints]
    assert saved == [
        [("assistant", "a b")],
        [("assistant", "a b c d")],
        [("assistant", "a b c d e f")],
    ]
