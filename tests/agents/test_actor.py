"""AgentActor over a fake context; over real runtimes it is in test_conversations."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from agent_framework import (
    Message,
    tool,
)

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import (
    EchoAgent,
    Step,
    call_tool,
    delete_file,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorRequestMessage,
    RequestStatus,
)
from tests.agents.fake_context import FakeContext, FakeStore, Outcome, ask, request
from tests.agents.helpers import (
    OwnHistory,
    contents_seen,
    scripted,
    seen,
    texts,
    weather_script,
)

# --- a turn ---------------------------------------------------------------------------


async def test_an_answer_is_streamed_word_by_word_and_completed() -> None:
    store = FakeStore()

    outcome = await ask(AgentActor(EchoAgent()), store, "Hi there")

    assert outcome.status is RequestStatus.COMPLETED
    assert [item["contents"][0]["text"] for item in outcome.progress] == [
        "Echo:",
        " Hi",
        " there",
    ]
    assert [message["content"] for message in outcome.data["messages"]] == [
        "Echo: Hi there"
    ]
    assert outcome.data["messages"][0]["role"] == "assistant"
    assert texts(store.entries) == [
        ("user", "Hi there"),
        ("assistant", "Echo: Hi there"),
    ]


async def test_every_entry_has_an_id_of_its_own() -> None:
    store = FakeStore()
    actor = AgentActor(scripted(weather_script))

    await ask(actor, store, "weather", "weather")

    ids = [entry["message_id"] for entry in store.entries]
    assert len(set(ids)) == len(ids) == 8
    assert ids[0] == "r1.0"


async def test_the_model_sees_what_was_said_before() -> None:
    agent = scripted()
    actor = AgentActor(agent)

    await ask(actor, FakeStore(), "one", "two")

    assert seen(agent) == [
        ("user", "one"),
        ("assistant", "You said one. Bye."),
        ("user", "two"),
    ]


async def test_a_new_process_goes_on_where_the_old_one_ended() -> None:
    store = FakeStore()
    await ask(AgentActor(scripted()), store, "one")
    agent = scripted()

    await ask(AgentActor(agent), store, "two")

    assert seen(agent)[0] == ("user", "one")
    assert len(seen(agent)) == 3


async def test_the_agent_that_was_given_is_never_changed() -> None:
    agent = scripted()

    await ask(AgentActor(agent), FakeStore(), "one", "two")

    assert agent.context_providers == []
    assert agent.default_options.get("store") is None


async def test_two_conversations_of_one_agent_do_not_see_each_other() -> None:
    agent = scripted()
    x, y = FakeStore(), FakeStore()

    await asyncio.gather(
        ask(AgentActor(agent), x, "x1", "x2"), ask(AgentActor(agent), y, "y1", "y2")
    )

    assert "y" not in json.dumps([text for _, text in texts(x.entries)]).replace(
        "You", ""
    ).replace("Bye", "")
    assert len(x.entries) == len(y.entries) == 4


async def test_tool_calls_and_results_are_part_of_the_conversation() -> None:
    store = FakeStore()
    outcome = await ask(AgentActor(scripted(weather_script)), store, "weather")

    agent = scripted()
    await ask(AgentActor(agent), store, "thanks")

    assert [part["type"] for part in store.entries[1]["contents"]] == [
        "text",
        "function_call",
    ]
    assert store.entries[2]["role"] == "tool"
    assert [message["role"] for message in outcome.data["messages"]] == [
        "assistant",
        "tool",
        "assistant",
    ]
    assert [part.type for part in contents_seen(agent)] == [
        "text",
        "text",
        "function_call",
        "function_result",
        "text",
        "text",
    ]


async def test_an_image_is_kept_and_seen_by_the_model_in_the_next_process() -> None:
    image = {
        "type": "data",
        "uri": "data:image/png;base64,iVBORw0KGgo=",
        "media_type": "image/png",
    }
    store = FakeStore()
    await ask(AgentActor(scripted()), store, [{"type": "text", "text": "see"}, image])
    agent = scripted()

    await ask(AgentActor(agent), store, "and?")

    part = contents_seen(agent)[1]
    assert (part.type, part.uri) == ("data", image["uri"])


async def test_usage_and_finish_reason_are_part_of_the_response() -> None:
    outcome = await ask(AgentActor(scripted()), FakeStore(), "one")

    assert outcome.data["usage"]["total_token_count"] > 0
    assert outcome.data["finish_reason"] == "stop"


async def test_an_unchanged_session_is_not_written_again() -> None:
    store = FakeStore()
    actor = AgentActor(scripted())
    await ask(actor, store, "one")
    store.state.clear()

    await ask(actor, store, "two")

    assert store.state == {}


# --- what cannot be understood --------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (None, "params"),
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        (
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "robot", "content": "b"},
                ]
            },
            "messages[1].role",
        ),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "contents": [{"type": "smell"}]}]},
            "messages[0].contents[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "data"}]}]},
            "messages[0].content[0].uri",
        ),
        (
            {"messages": [{"role": "user", "content": "a", "message_id": 1}]},
            "messages[0].message_id",
        ),
    ],
)
async def test_malformed_messages_fail_with_the_field_named(
    params: Any, field: str
) -> None:
    store = FakeStore()
    message = ActorRequestMessage(message_id="r1", method="run", params=params)
    context = FakeContext(store, [message])

    await AgentActor(EchoAgent()).run(context)

    outcome = context.outcomes[0]
    assert outcome.status is RequestStatus.FAILED
    assert outcome.error["type"] == "InvalidRequest"
    assert outcome.error["message"].startswith(f"{field}: ")
    assert store.entries == []


async def test_a_method_other_than_run_is_refused_by_name() -> None:
    context = FakeContext(
        FakeStore(), [ActorRequestMessage(message_id="r1", method="walk")]
    )

    await AgentActor(EchoAgent()).run(context)

    assert context.outcomes[0].error["type"] == "InvalidRequest"
    assert "'walk'" in context.outcomes[0].error["message"]


# --- approvals ------------------------------------------------------------------------


def _delete(messages: Sequence[Message]) -> list[Step]:
    if messages[-1].role == "tool":
        return ["Done."]
    return [call_tool(messages, "delete_file", path="x")]


def approval_answer(outcome: Outcome, *, approved: bool) -> list[dict[str, Any]]:
    return [
        {
            "type": "function_approval_response",
            "id": part["id"],
            "approved": approved,
            "function_call": part["function_call"],
        }
        for message in outcome.data["messages"]
        for part in message["contents"]
        if part["type"] == "function_approval_request"
    ]


async def test_a_pending_approval_is_answered_in_a_new_process() -> None:
    store = FakeStore()
    asked = await ask(AgentActor(scripted(_delete)), store, "delete x")
    answer = approval_answer(asked, approved=True)

    outcome = await ask(AgentActor(scripted(_delete)), store, answer)

    assert len(answer) == 1
    assert outcome.text.endswith("Done.")
    results = [p for e in store.entries for p in e["contents"] if "result" in p]
    assert [part["result"] for part in results] == [delete_file(path="x")]


async def test_a_refused_approval_does_not_run_the_tool() -> None:
    store = FakeStore()
    actor = AgentActor(scripted(_delete))
    asked = await ask(actor, store, "delete x")

    await ask(actor, store, approval_answer(asked, approved=False))

    results = [p for e in store.entries for p in e["contents"] if "result" in p]
    assert "rejected" in results[0]["result"]


async def test_an_approval_is_used_once_even_if_its_turn_fails() -> None:
    ran: list[str] = []

    @tool(approval_mode="always_require")
    def delete_file(path: str) -> str:
        """Delete."""
        ran.append(path)
        return "gone"

    def script(messages: Sequence[Message]) -> list[Step]:
        if messages[-1].role == "tool":
            return [ValueError("the model fails after the tool")]
        return _delete(messages) if len(messages) == 1 else ["What next?"]

    store = FakeStore()
    agent = scripted(script, tools=[delete_file])
    asked = await ask(AgentActor(agent), store, "delete x")
    answer = approval_answer(asked, approved=True)
    failed = await ask(AgentActor(agent), store, answer)

    again = await ask(AgentActor(agent), store, answer)
    after = await ask(AgentActor(agent), store, "hello")

    assert failed.status is RequestStatus.FAILED
    assert ran == ["x"]
    assert again.error["type"] == "InvalidRequest"
    assert "answered before" in again.error["message"]
    assert after.status is RequestStatus.COMPLETED


async def test_a_session_that_cannot_be_read_is_said_and_left_as_it_is() -> None:
    store = FakeStore(state={"session": {"version": 1, "session": {"type": "?"}}})

    outcome = await ask(AgentActor(EchoAgent()), store, "Hi")

    assert outcome.status is RequestStatus.FAILED
    assert outcome.error["type"] == "Corrupt"
    assert store.state["session"]["session"] == {"type": "?"}


async def test_a_session_of_a_newer_version_is_refused() -> None:
    store = FakeStore(state={"session": {"version": 2}})

    outcome = await ask(AgentActor(EchoAgent()), store, "Hi")

    assert outcome.error["type"] == "SchemaTooNew"


# --- what a turn costs ----------------------------------------------------------------


@pytest.mark.bench
async def test_a_turn_costs_the_same_in_a_long_conversation() -> None:
    class Own(OwnHistory):
        context_providers: ClassVar[list[Any]] = []

        async def run(
            self, messages: Any, *, stream: bool = False, session: Any = None
        ) -> Any:
            return self._stream(1)

    async def best(length: int) -> tuple[float, int]:
        store = FakeStore()
        actor = AgentActor(Own())
        await ask(actor, store, *["hello"] * (length // 2))
        times: list[float] = []
        for _ in range(200):
            context = FakeContext(store, [request("hello", f"n{len(store.turns)}")])
            begin = time.perf_counter()
            await actor.run(context)
            times.append(time.perf_counter() - begin)
        return min(times), store.reads

    short, _ = await best(10)
    long, reads = await best(1000)

    assert long <= 1.5 * short
    assert reads == 0


async def test_a_turn_writes_what_it_adds_however_long_the_conversation_is() -> None:
    async def written(turns: int) -> int:
        store = FakeStore()
        actor = AgentActor(EchoAgent())
        await ask(actor, store, *["hello"] * turns)
        store.state.clear()
        await ask(actor, store, "hello")
        turn = store.turns[-1]
        return len(json.dumps([len(store.state), turn.data, turn.entries]))

    assert await written(500) <= 1.5 * await written(5)


async def test_the_history_is_read_once_and_then_stays_in_memory() -> None:
    store = FakeStore()
    await ask(AgentActor(scripted()), store, *["hello"] * 250)
    actor = AgentActor(scripted())
    store.reads = 0

    await ask(actor, store, "one", "two", "three")

    assert store.reads == 250


async def test_dispose_closes_the_agent_that_a_factory_made() -> None:
    closed = asyncio.Event()

    class Closing(EchoAgent):
        async def close(self) -> None:
            closed.set()

    actor = AgentActor(Closing)
    await ask(actor, FakeStore(), "Hi")

    await actor.dispose()

    assert closed.is_set()
