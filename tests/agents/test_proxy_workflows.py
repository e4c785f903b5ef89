"""`AgentProxy` in workflows, and in workflows that are hosted as actors."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from agent_framework import Message
from agent_framework.openai import OpenAIChatCompletionClient
from agent_framework.orchestrations import ConcurrentBuilder, SequentialBuilder

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import (
    Step,
    demo_script,
    scripted_agent,
)
from agent_runtime_nb.exceptions import TurnFailed
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    IActorRuntimeContext,
    RequestStatus,
)
from tests.agents.fake_openai import FakeOpenAI
from tests.agents.helpers import (
    Gate,
    model_of,
    scripted,
    seen,
    weather_script,
)
from tests.agents.proxy_helpers import (
    Host,
    OpenStorage,
    ask,
    hosting,
    makes_actors,
    open_storage,
    writer,
)
from tests.fakes import background, soon

__all__ = ["open_storage"]  # a fixture

both_ways = pytest.mark.parametrize("stream", [False, True])


async def outputs(workflow: Any, message: Any, *, stream: bool) -> str:
    """The text of what a workflow gives."""
    run = workflow.run(message, stream=stream)
    if not stream:
        return "".join(one.text for one in (await run).get_outputs())
    return "".join([event.data.text async for event in run if event.type == "output"])


# --- workflows ------------------------------------------------------------------------


@both_ways
async def test_proxies_work_one_after_another(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    a, b = writer("a"), writer("b")

    async with hosting(open_storage(), a=a, b=b) as host:
        participants = [host.proxy("a"), host.proxy("b")]
        workflow = SequentialBuilder(participants=participants).build()
        first = await outputs(workflow, "ping", stream=stream)
        second = await outputs(workflow, "ping", stream=stream)

    assert (first, second) == ("b(a(ping))", "b(a(ping))")
    assert [text for _, text in seen(a)] == ["ping", "a(ping)", "ping"]
    assert [text for _, text in seen(b)] == [
        "ping",
        "a(ping)",
        "b(a(ping))",
        "ping",
        "a(ping)",
    ]


@both_ways
async def test_proxies_work_side_by_side(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    async with hosting(open_storage(), a=writer("a"), b=writer("b")) as host:
        participants = [host.proxy("a"), host.proxy("b")]
        workflow = ConcurrentBuilder(participants=participants).build()

        assert await outputs(workflow, "ping", stream=stream) == "a(ping)b(ping)"


async def test_two_proxies_of_one_agent_have_conversations_of_their_own() -> None:
    agent = writer("a")

    async with hosting(a=agent) as host:
        participants = [host.proxy("a", name="one"), host.proxy("a", name="two")]
        workflow = ConcurrentBuilder(participants=participants).build()
        text = await outputs(workflow, "ping", stream=False)

        assert len(await host.conversations("a")) == 2
    assert text == "a(ping)a(ping)"


async def test_a_proxy_and_an_agent_at_hand_work_together() -> None:
    near = writer("near")

    async with hosting(far=writer("far")) as host:
        participants = [near, host.proxy("far"), writer("last")]
        workflow = SequentialBuilder(participants=participants).build()

        assert await outputs(workflow, "ping", stream=False) == "last(far(near(ping)))"


@both_ways
async def test_a_failed_participant_fails_the_workflow(*, stream: bool) -> None:
    async with hosting(a=scripted([ValueError("no luck")])) as host:
        workflow = SequentialBuilder(participants=[host.proxy("a")]).build()

        with pytest.raises(TurnFailed, match="ValueError: no luck"):
            await outputs(workflow, "ping", stream=stream)


@both_ways
async def test_a_workflow_passes_approvals_on(*, stream: bool) -> None:
    async with hosting(a=scripted(demo_script)) as host:
        workflow = SequentialBuilder(participants=[host.proxy("a")]).build()
        run: Any = workflow.run("delete notes.txt", stream=stream)
        events: list[Any] = [one async for one in run] if stream else list(await run)
        (asked,) = [one for one in events if one.type == "request_info"]
        answer = {
            asked.request_id: asked.data.to_function_approval_response(approved=True)
        }
        done = (await workflow.run(responses=answer)).get_outputs()

    assert "notes.txt is deleted" in done[-1].text


# --- workflows hosted as actors -------------------------------------------------------


def sequence_of(
    host: Host, *names: str
) -> Callable[[IActorRuntimeContext], AgentActor]:
    """An actor whose agent is a workflow; its participants are actors beside it."""

    def make(context: IActorRuntimeContext) -> AgentActor:
        conversation = context.actor_id.instance_id

        def build() -> Any:
            participants = [
                host.proxy(name, conversation=conversation) for name in names
            ]
            workflow = SequentialBuilder(participants=participants).build()
            return workflow.as_agent(name="chain")

        return AgentActor(build)

    return makes_actors(make)  # pyright: ignore[reportReturnType]


@both_ways
async def test_a_workflow_of_proxies_is_hosted_and_goes_on_after_a_restart(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    a, b = writer("a"), writer("b")
    answers: list[str] = []

    for text in ("one", "one", "two"):
        async with hosting(open_storage(), a=a, b=b) as host:
            host.register({"chain": sequence_of(host, "a", "b")})
            chain = host.proxy("chain", conversation="c")
            answers.append((await ask(chain, text, stream=stream)).text)
            said = await host.said("c", "chain")

    assert answers == ["b(a(one))", "b(a(one))", "b(a(two))"]
    assert said[-2:] == ["user: two", "assistant: b(a(two))"]
    assert [text for role, text in seen(a) if role == "user"] == ["one", "one", "two"]
    assert [text for _, text in seen(b)] == [
        "one",
        "a(one)",
        "b(a(one))",
        "one",
        "a(one)",
        "b(a(one))",
        "two",
        "a(two)",
    ]


@both_ways
async def test_a_concurrent_workflow_of_proxies_is_hosted(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    async with hosting(open_storage(), a=writer("a"), b=writer("b")) as host:

        def build() -> Any:
            participants = [host.proxy("a"), host.proxy("b")]
            return ConcurrentBuilder(participants=participants).build().as_agent()

        host.register({"both": build})
        response = await ask(host.proxy("both"), "ping", stream=stream)

    said = {(one.author_name, one.text) for one in response.messages}
    assert said == {("a", "a(ping)"), ("b", "b(ping)")}


async def test_answers_that_a_service_gives_one_id_are_told_apart() -> None:
    with FakeOpenAI() as service:
        client = OpenAIChatCompletionClient(
            "gpt", base_url=f"{service.url}/v1", api_key="key"
        )
        a, b = client.as_agent(name="a"), writer("b")
        async with hosting(a=a, b=b) as host:
            host.register({"chain": sequence_of(host, "a", "b")})
            for _ in range(2):
                await host.proxy("chain", conversation="c").run("Hi")
        await client.client.close()

    assert [text for _, text in seen(b)] == [
        "Hi",
        "You said Hi.",
        "b(You said Hi.)",
        "Hi",
        "You said Hi.",
    ]


async def test_a_hosted_workflow_that_failed_is_run_again() -> None:
    scripts: list[list[Step]] = [[ValueError("no luck")], ["fine"]]

    def script(_: Sequence[Message]) -> list[Step]:
        return scripts.pop(0)

    a, b = writer("a"), scripted(script, name="b")
    params = {"messages": [{"role": "user", "content": "Hi", "message_id": "m1"}]}
    actor_id = ActorId("chain", "c")

    async with hosting(a=a, b=b) as host:
        host.register({"chain": sequence_of(host, "a", "b")})
        handle = await host.client.send_request(actor_id, "run", params, "r1")
        failed = await handle.get_response()
        again = await host.client.send_request(
            actor_id, "run", params, "r2", metadata={"retry_of": "r1"}
        )
        response = await again.get_response()

    assert failed.data["error"]["message"] == "the turn failed: ValueError: no luck"
    assert response.data["messages"][-1]["content"] == "fine"
    # What had gone well is not paid for again, what had not takes its old place.
    assert len(model_of(a).calls) == 1
    assert seen(b) == [("user", "Hi"), ("assistant", "a(Hi)")]


async def test_a_hosted_workflow_goes_on_where_its_dead_host_was(
    open_storage: OpenStorage,
) -> None:
    gate = Gate(at=1)
    a, b = writer("a"), scripted(["one two"], name="b")
    slow = scripted_agent(["one two"], name="b", delay=1, sleep=gate.sleep)
    params = {"messages": [{"role": "user", "content": "Hi", "message_id": "m1"}]}
    actor_id = ActorId("chain", "c")

    async with hosting(open_storage(), a=a, b=slow) as host:
        host.register({"chain": sequence_of(host, "a", "b")})
        await host.client.send_request(actor_id, "run", params, "r1")
        await soon(gate.reached.wait())
    async with hosting(open_storage(), a=a, b=b) as host:
        host.register({"chain": sequence_of(host, "a", "b")})
        again = await host.client.send_request(
            actor_id, "run", params, "r2", metadata={"retry_of": "r1"}
        )
        response = await again.get_response()
        turns = await host.turns("c", "b")

    assert response.status is RequestStatus.COMPLETED
    assert len(model_of(a).calls) == 1
    assert [turn.status.value for turn in turns] == ["interrupted", "completed"]
    assert seen(b) == [("user", "Hi"), ("assistant", "a(Hi)")]


@both_ways
async def test_a_workflow_that_waits_for_itself_fails_at_once(*, stream: bool) -> None:
    async with hosting(a=writer("a")) as host:
        host.register({"chain": sequence_of(host, "a", "chain")})
        chain = host.proxy("chain", conversation="c")

        with pytest.raises(TurnFailed) as caught:
            await soon(ask(chain, "Hi", stream=stream))

    assert caught.value.error_type == "DeadlockDetected"


async def test_cancelling_a_hosted_workflow_cancels_its_participants(
    open_storage: OpenStorage,
) -> None:
    gate = Gate(at=2)
    slow = scripted_agent(["one two three"], name="b", delay=1, sleep=gate.sleep)

    async with hosting(open_storage(), a=writer("a"), b=slow) as host:
        host.register({"chain": sequence_of(host, "a", "b")})
        chain = host.proxy("chain", conversation="c")
        running = background(chain.run("Hi"))
        await soon(gate.reached.wait())
        view = await host.runtime.read_actor(ActorId("b", "c"))
        assert view.running is not None
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        asked = await host.client.get_response(
            ActorId("b", "c"), view.running.message_id
        )
        response = await soon(asked.get_response())

    assert response.status is RequestStatus.CANCELLED


@both_ways
async def test_a_hosted_workflow_passes_approvals_on(
    open_storage: OpenStorage, *, stream: bool
) -> None:
    async with hosting(open_storage(), a=scripted(demo_script)) as host:
        host.register({"chain": sequence_of(host, "a")})
        chain = host.proxy("chain", conversation="c")
        await chain.run("Hello")
        asked = await ask(chain, "delete notes.txt", stream=stream)
        (wish,) = asked.user_input_requests
        yes = Message("user", [wish.to_function_approval_response(approved=True)])
        done = await ask(chain, yes, stream=stream)

    assert "notes.txt is deleted" in done.text


async def test_a_proxy_can_be_hosted_itself() -> None:
    agent = scripted(weather_script)

    async with hosting(agent=agent) as host:
        gateway = host.proxy(conversation="behind")
        host.register({"gateway": gateway})
        response = await host.proxy("gateway", conversation="front").run("weather?")
        front = await host.said("front", "gateway")

    assert response.messages[-1].text.startswith("It is")
    assert front[0] == "user: weather?"
    assert front[-1].startswith("assistant: It is")
