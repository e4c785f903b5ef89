"""Agents on OpenAI, Azure OpenAI and compatible services, against a local fake of them.

Each `host` below is the one line that hosts such a model.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from agent_framework import Agent, tool
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
)
from tests.agents.fake_context import FakeStore, ask
from tests.agents.fake_openai import FakeOpenAI

Host = Callable[..., Agent[Any]]


@tool(approval_mode="never_require")
def get_weather(city: str) -> str:
    """Say the weather."""
    return f"sunny in {city}"


@pytest.fixture
def service() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as service:
        yield service


def compatible(url: str, key: str = "key", **more: Any) -> Agent[Any]:
    return OpenAIChatCompletionClient(
        "gpt", base_url=f"{url}/v1", api_key=key
    ).as_agent(name="assistant", **more)


def openai(url: str, key: str = "key", **more: Any) -> Agent[Any]:
    return OpenAIChatClient("gpt", base_url=f"{url}/v1", api_key=key).as_agent(
        name="assistant", **more
    )


def azure(url: str, key: str = "key", **more: Any) -> Agent[Any]:
    return OpenAIChatCompletionClient(
        "deployment", azure_endpoint=url, api_key=key
    ).as_agent(name="assistant", **more)


def azure_responses(url: str, key: str = "key", **more: Any) -> Agent[Any]:
    return OpenAIChatClient("deployment", azure_endpoint=url, api_key=key).as_agent(
        name="assistant", **more
    )


@pytest.fixture(params=[compatible, openai, azure, azure_responses])
async def host(
    request: pytest.FixtureRequest, service: FakeOpenAI
) -> AsyncIterator[Host]:
    made: list[Any] = []

    def make(**more: Any) -> Agent[Any]:
        made.append(request.param(service.url, **more))
        return made[-1]

    yield make
    for agent in made:
        await agent.client.client.close()


def said(body: dict[str, Any]) -> list[str]:
    """The roles and texts that the service was sent, without instructions."""
    found: list[str] = []
    for message in body.get("messages") or body["input"]:
        content: Any = message.get("content") or []
        parts = [content] if isinstance(content, str) else [p["text"] for p in content]
        found.append(f"{message.get('role')}: {' '.join(parts)}")
    return found


async def test_an_answer_is_streamed_and_stored(
    host: Host, service: FakeOpenAI
) -> None:
    store = FakeStore()

    outcome = await ask(AgentActor(host()), store, "Hi there")

    assert outcome.status is RequestStatus.COMPLETED, outcome.data
    assert outcome.text == "You said Hi there."
    pieces = [
        part["text"]
        for update in outcome.progress
        for part in update.get("contents", [])
        if part["type"] == "text"
    ]
    assert pieces == ["You", " said", " Hi", " there."]
    assert all(update["contents"] for update in outcome.progress if "role" in update)
    assert outcome.data["usage"]["total_token_count"] == 7
    assert len(store.entries) == 2


async def test_the_service_is_sent_the_conversation_once_in_a_new_process(
    host: Host, service: FakeOpenAI
) -> None:
    store = FakeStore()
    await ask(AgentActor(host()), store, "one")

    outcome = await ask(AgentActor(host()), store, "two")

    assert outcome.text == "You said two."
    body = service.bodies[-1]
    assert said(body) == ["user: one", "assistant: You said one.", "user: two"]
    assert "previous_response_id" not in body
    assert body.get("store") in (None, False)


async def test_a_tool_is_called_and_its_result_comes_back(
    host: Host, service: FakeOpenAI
) -> None:
    store = FakeStore()

    outcome = await ask(
        AgentActor(host(tools=[get_weather])), store, "weather in Paris?"
    )
    after = await ask(AgentActor(host(tools=[get_weather])), store, "thanks")

    assert outcome.text == "It is sunny in Paris."
    kinds = [part["type"] for entry in store.entries for part in entry["contents"]]
    assert kinds[:4] == ["text", "function_call", "function_result", "text"]
    assert after.text == "You said thanks."


async def test_responses_are_not_stored_at_the_service_and_that_is_said_once(
    service: FakeOpenAI,
) -> None:
    agent: Any = openai(service.url)
    actor = AgentActor(agent)
    store = FakeStore()

    first = await ask(actor, store, "one")
    second = await ask(actor, store, "two")

    await agent.client.client.close()
    assert [body["store"] for body in service.bodies] == [False, False]
    assert [len(outcome.notices) for outcome in (first, second)] == [1, 0]


async def test_who_chose_the_service_to_store_sends_only_what_is_new(
    service: FakeOpenAI,
) -> None:
    agent: Any = openai(service.url, default_options={"store": True})
    store = FakeStore()
    await ask(AgentActor(agent), store, "one")

    await ask(AgentActor(agent), store, "two")

    await agent.client.client.close()
    assert said(service.bodies[-1]) == ["user: two"]
    assert service.bodies[-1]["previous_response_id"] == "resp_1"
    assert len(store.entries) == 4


async def test_a_conversation_that_comes_back_from_the_service_is_sent_whole(
    service: FakeOpenAI,
) -> None:
    there: Any = openai(service.url, default_options={"store": True})
    here: Any = openai(service.url)
    store = FakeStore()
    await ask(AgentActor(there), store, "one")

    await ask(AgentActor(here), store, "two")

    await there.client.client.close()
    await here.client.client.close()
    body = service.bodies[-1]
    assert said(body) == ["user: one", "assistant: You said one.", "user: two"]
    assert "previous_response_id" not in body


@pytest.mark.parametrize("make", [compatible, openai])
async def test_a_refused_key_is_said_without_the_key(
    make: Host, service: FakeOpenAI
) -> None:
    agent: Any = make(service.url, "bad")

    outcome = await ask(AgentActor(agent), FakeStore(), "Hi")

    await agent.client.client.close()
    assert outcome.status is RequestStatus.FAILED
    assert outcome.error["type"] == "AuthenticationError"
    assert "refused the API key (401)" in outcome.error["message"]
    assert "sk-bad12345678" not in outcome.error["message"]
    assert outcome.error["retryable"] is False


@pytest.mark.parametrize("client", [OpenAIChatClient, OpenAIChatCompletionClient])
async def test_a_missing_key_is_one_sentence_that_names_the_variable(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    outcome = await ask(
        AgentActor(lambda: client("gpt").as_agent(name="a")), FakeStore(), "Hi"
    )

    assert outcome.error["message"] == (
        "there is no API key: set OPENAI_API_KEY, "
        "or AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"
    )
