"""Answers to approval requests: bound to what was asked, told, and remembered."""

from collections.abc import Sequence
from typing import Any

import pytest
from agent_framework import AgentResponse, Content, Message, tool

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import Step, call_tool
from agent_runtime_nb.runtime_abstractions import ALLOWED_TOOLS, RequestStatus
from tests.agents.fake_context import FakeStore, Outcome, ask
from tests.agents.helpers import contents_seen, scripted


class Files:
    """A tool that must be approved, and what it was called with."""

    def __init__(self) -> None:
        self.gone: list[str] = []
        gone = self.gone

        @tool(approval_mode="always_require")
        def delete_file(path: str) -> str:
            """Delete."""
            gone.append(path)
            return f"{path} is gone"

        @tool(approval_mode="always_require")
        def send_mail(to: str) -> str:
            """Send."""
            gone.append(to)
            return f"sent to {to}"

        self.tools: list[Any] = [delete_file, send_mail]

    def agent(self, script: Any = None) -> Any:
        return scripted(script or delete_what_is_named, tools=self.tools)


def delete_what_is_named(messages: Sequence[Message]) -> list[Step]:
    last = messages[-1]
    words = last.text.split()
    if last.role == "tool" or words[:1] not in (["delete"], ["mail"]):
        return ["Done."]
    if words[0] == "mail":
        return [call_tool(messages, "send_mail", to=words[1])]
    return [call_tool(messages, "delete_file", path=word) for word in words[1:]]


def answers(outcome: Outcome, *, approved: bool = True, **said: Any) -> list[Any]:
    """The answers to all that a turn asked for."""
    found: list[Any] = []
    for message in outcome.data["messages"]:
        for part in message["contents"]:
            if part["type"] == "function_approval_request":
                answer = {
                    "type": "function_approval_response",
                    "id": part["id"],
                    "approved": approved,
                    "function_call": part["function_call"],
                }
                if said:
                    answer["additional_properties"] = {"tool_approval": said}
                found.append(answer)
    return found


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "never-asked"}, "id"),
        ({"arguments": '{"path": "everything"}'}, "function_call.arguments"),
        ({"name": "send_mail"}, "function_call.name"),
        ({"call_id": "call_9"}, "function_call.call_id"),
    ],
)
async def test_an_answer_to_something_else_than_was_asked_is_refused(
    change: dict[str, Any], field: str
) -> None:
    files, store = Files(), FakeStore()
    actor = AgentActor(files.agent())
    asked = await ask(actor, store, "delete a.txt")
    [good] = answers(asked)
    forged = {**good, "function_call": {**good["function_call"], **change}}
    forged["id"] = change.get("id", good["id"])

    refused = await ask(actor, store, [forged])
    accepted = await ask(actor, store, [good])

    assert refused.error["type"] == "InvalidRequest"
    assert f"messages[0].contents[0].{field}" in refused.error["message"]
    assert accepted.status is RequestStatus.COMPLETED
    assert files.gone == ["a.txt"]


async def test_arguments_that_are_written_differently_are_the_same() -> None:
    files, store = Files(), FakeStore()
    asked = await ask(AgentActor(files.agent()), store, "delete a.txt")
    [answer] = answers(asked)
    answer["function_call"] = {
        **answer["function_call"],
        "arguments": '{ "path":"a.txt" }',
    }

    outcome = await ask(AgentActor(files.agent()), store, [answer])

    assert outcome.status is RequestStatus.COMPLETED
    assert files.gone == ["a.txt"]


async def test_an_approval_counts_once() -> None:
    files, store = Files(), FakeStore()
    asked = await ask(AgentActor(files.agent()), store, "delete a.txt")
    await ask(AgentActor(files.agent()), store, answers(asked))

    again = await ask(AgentActor(files.agent()), store, answers(asked))

    assert "answered before" in again.error["message"]
    assert files.gone == ["a.txt"]


async def test_the_same_request_answered_twice_in_one_message_is_refused() -> None:
    files, store = Files(), FakeStore()
    asked = await ask(AgentActor(files.agent()), store, "delete a.txt")
    [answer] = answers(asked)

    outcome = await ask(
        AgentActor(files.agent()), store, [answer, {**answer, "approved": False}]
    )

    assert "contents[1].id" in outcome.error["message"]
    assert files.gone == []


async def test_a_request_that_a_later_one_took_the_place_of_is_not_open() -> None:
    files, store = Files(), FakeStore()
    actor = AgentActor(files.agent())
    first = await ask(actor, store, "delete a.txt")
    second = await ask(actor, store, "delete b.txt")

    refused = await ask(actor, store, answers(first))
    accepted = await ask(actor, store, answers(second))

    assert "not open any more" in refused.error["message"]
    assert accepted.status is RequestStatus.COMPLETED
    assert files.gone == ["b.txt"]


async def test_a_refused_answer_leaves_nothing_in_what_the_model_sees() -> None:
    files, store = Files(), FakeStore()
    agent = files.agent()
    actor = AgentActor(agent)
    asked = await ask(actor, store, "delete a.txt")
    [good] = answers(asked)
    await ask(actor, store, [{**good, "id": "never-asked"}])

    await ask(actor, store, [good])

    assert [part.type for part in contents_seen(agent)] == [
        "text",
        "function_call",
        "function_result",
    ]


async def test_the_reason_of_a_refusal_reaches_the_model() -> None:
    files, store = Files(), FakeStore()
    agent = files.agent()
    asked = await ask(AgentActor(agent), store, "delete a.txt")

    outcome = await ask(
        AgentActor(agent),
        store,
        answers(asked, approved=False, reason="it is the only copy"),
    )

    await ask(AgentActor(agent), store, "Why?")

    assert outcome.status is RequestStatus.COMPLETED
    for call in (-2, -1):
        results = [part.result or "" for part in contents_seen(agent, call)]
        assert any("Reason: it is the only copy" in result for result in results)
    assert files.gone == []


async def test_a_tool_allowed_for_the_conversation_runs_without_asking() -> None:
    files, store = Files(), FakeStore()
    actor = AgentActor(files.agent())
    asked = await ask(actor, store, "delete a.txt")
    await ask(actor, store, answers(asked, always_approve="tool"))

    same = await ask(actor, store, "delete b.txt")
    other = await ask(actor, store, "mail ann")
    new_process = await ask(AgentActor(files.agent()), store, "delete c.txt")

    assert files.gone == ["a.txt", "b.txt", "c.txt"]
    assert answers(same) == answers(new_process) == []
    assert len(answers(other)) == 1
    assert store.state[ALLOWED_TOOLS] == ["delete_file"]


async def test_a_second_tool_is_allowed_beside_the_first() -> None:
    files, store = Files(), FakeStore()
    actor = AgentActor(files.agent())
    for words in ("delete a.txt", "mail ann"):
        asked = await ask(actor, store, words)
        await ask(actor, store, answers(asked, always_approve="tool"))

    await ask(actor, store, "delete b.txt", "mail bob")

    assert files.gone == ["a.txt", "ann", "b.txt", "bob"]
    assert store.state[ALLOWED_TOOLS] == ["delete_file", "send_mail"]


async def test_a_tool_that_is_disallowed_is_asked_for_and_can_be_allowed_anew() -> None:
    files, store = Files(), FakeStore()
    actor = AgentActor(files.agent())
    asked = await ask(actor, store, "delete a.txt")
    await ask(actor, store, answers(asked, always_approve="tool"))

    store.state[ALLOWED_TOOLS] = []
    again = await ask(actor, store, "delete b.txt")
    before = list(files.gone)
    await ask(actor, store, answers(again, always_approve="tool"))
    await ask(actor, store, "delete c.txt")

    assert len(answers(again)) == 1
    assert before == ["a.txt"]
    assert files.gone == ["a.txt", "b.txt", "c.txt"]


async def test_a_tool_that_was_allowed_is_still_asked_for_elsewhere() -> None:
    files, store, other = Files(), FakeStore(), FakeStore()
    agent = files.agent()
    asked = await ask(AgentActor(agent), store, "delete a.txt")
    await ask(AgentActor(agent), store, answers(asked, always_approve="tool"))

    elsewhere = await ask(AgentActor(agent), other, "delete b.txt")

    assert len(answers(elsewhere)) == 1
    assert files.gone == ["a.txt"]


@pytest.mark.parametrize("approved", [False, "yes", 1])
async def test_what_is_no_clear_yes_allows_nothing_whatever_else_it_says(
    approved: Any,
) -> None:
    files, store = Files(), FakeStore()
    actor = AgentActor(files.agent())
    asked = await ask(actor, store, "delete a.txt")
    await ask(actor, store, answers(asked, approved=approved, always_approve="tool"))

    again = await ask(actor, store, "delete a.txt")

    assert len(answers(again)) == 1
    assert ALLOWED_TOOLS not in store.state


async def test_what_is_allowed_stays_allowed_if_the_turn_of_the_answer_fails() -> None:
    def script(messages: Sequence[Message]) -> list[Step]:
        if messages[-1].role == "tool" and len(files.gone) == 1:
            return [ValueError("the model fails after the tool")]
        return delete_what_is_named(messages)

    files, store = Files(), FakeStore()
    actor = AgentActor(files.agent(script))
    asked = await ask(actor, store, "delete a.txt")
    failed = await ask(actor, store, answers(asked, always_approve="tool"))

    await ask(actor, store, "delete b.txt")

    assert failed.status is RequestStatus.FAILED
    assert files.gone == ["a.txt", "b.txt"]


async def test_a_retry_behind_a_tool_goes_on_with_what_the_tool_gave() -> None:
    def script(messages: Sequence[Message]) -> list[Step]:
        if messages[-1].role == "tool" and not failed:
            return ["I begin, ", ValueError("the model fails after the tool")]
        return delete_what_is_named(messages)

    failed: list[Outcome] = []
    files, store = Files(), FakeStore()
    agent = files.agent(script)
    actor = AgentActor(agent)
    asked = await ask(actor, store, "delete a.txt")
    failed.append(await ask(actor, store, answers(asked)))

    again = await ask(actor, store, answers(asked), retry_of="r2")
    after = await ask(actor, store, "What now?")

    assert failed[0].status is RequestStatus.FAILED
    assert (again.status, again.text) == (RequestStatus.COMPLETED, "Done.")
    assert after.status is RequestStatus.COMPLETED
    assert files.gone == ["a.txt"]
    for call in (-2, -1):
        seen = [part.type for part in contents_seen(agent, call)]
        assert seen[:3] == ["text", "function_call", "function_result"]
        assert seen.count("function_result") == 1


async def test_an_agent_that_runs_its_own_tools_says_that_it_asks_each_time() -> None:
    class Asking:
        """An agent of nobody's class that asks once and then says what it heard."""

        id = name = description = "asking"

        def create_session(self, *, session_id: str | None = None) -> Any:
            return scripted().create_session(session_id=session_id)

        def get_session(self, *_: Any, **__: Any) -> Any:
            return scripted().create_session()

        async def run(self, messages: Any, **_: Any) -> Any:
            call = Content.from_function_call("c1", "launch", arguments="{}")
            asks = Content.from_function_approval_request("r1", call)
            heard = [one.type for one in messages[-1].contents]
            said = Content.from_text(str(heard)) if heard != ["text"] else asks
            return scripted_answer(said)

    store = FakeStore()
    actor = AgentActor(Asking())
    asked = await ask(actor, store, "launch")

    outcome = await ask(actor, store, answers(asked, always_approve="tool"))

    assert outcome.status is RequestStatus.COMPLETED
    assert "asks each time" in outcome.data["notices"][0]["text"]
    assert ALLOWED_TOOLS not in store.state


def scripted_answer(content: Content) -> Any:
    return AgentResponse(messages=[Message("assistant", [content])])
