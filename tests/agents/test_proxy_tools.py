"""`AgentProxy` as the tool of another agent."""

import json
from collections.abc import Sequence

import pytest
from agent_framework import Message
from agent_framework.openai import OpenAIChatCompletionClient

from agent_runtime_nb.agents.proxy import AgentProxy
from agent_runtime_nb.agents.samples import (
    Step,
    call_tool,
    demo_script,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    IActorRuntimeContext,
)
from tests.agents.fake_openai import FakeOpenAI
from tests.agents.helpers import (
    contents_seen,
    scripted,
    seen,
)
from tests.agents.proxy_helpers import (
    OpenStorage,
    ask,
    hosting,
    makes_actors,
    open_storage,
    writer,
)
from tests.fakes import HandlingActor, soon

__all__ = ["open_storage"]  # a fixture

both_ways = pytest.mark.parametrize("stream", [False, True])


def delegating(messages: Sequence[Message]) -> list[Step]:
    """Gives what it is told to the tool, then says what came back."""
    last = messages[-1]
    if last.role == "tool":
        return [f"It says: {last.contents[0].result}"]
    return [call_tool(messages, "expert", task=last.text)]


@both_ways
async def test_a_proxy_is_a_tool_of_another_agent(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    async with hosting(open_storage(), expert=writer("expert")) as host:
        proxy = host.proxy("expert", description="Knows better.")
        boss = scripted(delegating, tools=[proxy.as_tool()])
        response = await ask(boss, "why?", stream=stream)
        (conversation,) = await host.conversations("expert")
        said = await host.said(conversation, "expert")

    assert response.text.endswith("It says: expert(why?)")
    assert said == ["user: why?", "assistant: expert(why?)"]


@both_ways
async def test_a_hosted_agent_has_a_proxy_as_its_tool(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    async with hosting(open_storage(), expert=writer("expert")) as host:
        tool = host.proxy("expert").as_tool(propagate_session=True)
        host.register({"boss": scripted(delegating, tools=[tool])})
        boss = host.proxy("boss", conversation="c")
        await ask(boss, "one", stream=stream)
        response = await ask(boss, "two", stream=stream)
        conversations = await host.conversations("expert")

    assert response.text.endswith("It says: expert(two)")
    # The parent's session names the conversation: one expert for one boss.
    assert conversations == {"boss/c"}


async def test_a_tool_with_a_conversation_of_its_own_remembers() -> None:
    expert = writer("expert")

    async with hosting(expert=expert) as host:
        tool = host.proxy("expert", conversation="c").as_tool()
        boss = scripted(delegating, tools=[tool])
        await boss.run("one")
        await boss.run("two")

    assert [text for role, text in seen(expert) if role == "user"] == ["one", "two"]


async def test_a_failed_turn_is_an_error_of_the_tool() -> None:
    agent = scripted([ValueError("no luck")])

    async with hosting(expert=agent) as host:
        boss = scripted(delegating, tools=[host.proxy("expert").as_tool()])
        response = await boss.run("why?")

    assert response.text.endswith("It says: Error: Function failed.")


async def test_an_actor_asks_an_agent_in_its_turn(open_storage: OpenStorage) -> None:
    async def ask_expert(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> str:
        expert = AgentProxy(context, "expert", conversation="c")
        answer = await expert.run(str(message.params))
        return answer.text

    async with hosting(open_storage(), expert=writer("expert")) as host:
        host.register({"asker": makes_actors(lambda _: HandlingActor(ask_expert))})
        asker = ActorId("asker", "c")
        handle = await host.client.send_request(asker, "any", "why?")
        response = await soon(handle.get_response())

    assert response.data == "expert(why?)"


async def test_an_agent_whose_tool_is_itself_is_told_so_at_once() -> None:
    async with hosting() as host:
        boss = scripted(delegating)
        myself = host.proxy("boss", name="expert", conversation="c")
        boss.default_options["tools"] = [myself.as_tool()]
        host.register({"boss": boss})
        run = host.proxy("boss", conversation="c").run("why?")
        response = await soon(run)

    assert response.text.endswith("It says: Error: Function failed.")


async def test_a_tool_cannot_ask_for_an_approval_and_says_so() -> None:
    async with hosting(expert=scripted(demo_script)) as host:
        tool = host.proxy("expert", conversation="c").as_tool()
        boss = scripted(delegating, tools=[tool])
        await boss.run("delete notes.txt")
        (turn,) = await host.turns("c", "expert")

    (result,) = [one for one in contents_seen(boss) if one.type == "function_result"]
    assert "Error" in str(result.result)
    assert "function_approval_request" in json.dumps(turn.data)


async def test_a_model_behind_http_calls_a_proxy() -> None:
    with FakeOpenAI() as service:
        client = OpenAIChatCompletionClient(
            "gpt", base_url=f"{service.url}/v1", api_key="key"
        )
        async with hosting(expert=writer("expert")) as host:
            tool = host.proxy("expert").as_tool(name="get_weather", arg_name="city")
            boss = client.as_agent(name="boss", tools=[tool])
            response = await ask(boss, "the weather?", stream=True)
        await client.client.close()

    assert response.text == "It is expert(Paris)."
