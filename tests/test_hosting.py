"""Names, storages and hosts: composition without Jupyter."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from agent_framework import AgentResponse, AgentResponseUpdate, BaseAgent

from agent_runtime_nb.agents.samples import EchoAgent
from agent_runtime_nb.exceptions import (
    AgentNameTaken,
    InvalidAgent,
    InvalidRequest,
    UnknownActorType,
)
from agent_runtime_nb.hosting import (
    Host,
    resolve_agents,
    type_name_of,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.supervision import RestartPolicy


class Named(BaseAgent):
    """An agent that says its name."""

    async def run(self, messages: Any = None, **options: Any) -> AgentResponse[Any]:
        update = AgentResponseUpdate(contents=[], role="assistant")
        return AgentResponse.from_updates([update])


def helpdesk(message: str, history: list[Any]) -> str:
    """Helps with everything.

    And this line is not part of the description.
    """
    return f"Have you tried to turn {message} off and on again?"


def saying(answer: str) -> Callable[[str, list[Any]], str]:
    return lambda message, history: answer


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENT_RUNTIME_STORAGE", raising=False)
    return tmp_path


async def ask(host: Host, actor_id: ActorId, text: str):
    params = {"messages": [{"role": "user", "content": text}]}
    handle = await host.client.send_request(actor_id, "run", params)
    return await handle.get_response()


# --- names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "type_name"),
    [
        ("weather", "weather"),
        ("WeatherBot", "WeatherBot"),
        ("mock-ai", "mock-ai"),
        ("Weather Agent", "weather-agent"),
        ("  Weather,  Agent! ", "weather-agent"),
        ("Café Crème", "cafe-creme"),
        ("2nd agent", "_2nd-agent"),
        ("天気", ""),
        ("", ""),
        ("x" * 70, "x" * 64),
    ],
)
def test_a_name_becomes_a_type_name(name: str, type_name: str) -> None:
    assert type_name_of(name) == type_name


def test_agents_factories_functions_and_mappings_have_names() -> None:
    agents = resolve_agents(
        [
            Named(name="Weather Agent", description="Knows the weather."),
            EchoAgent,
            helpdesk,
            {"Night Shift": saying("zzz")},
            "mock-ai",
        ]
    )

    names = {key: (one.name, one.description) for key, one in agents.items()}
    assert names["weather-agent"] == ("Weather Agent", "Knows the weather.")
    assert names["helpdesk"] == ("helpdesk", "Helps with everything.")
    assert names["night-shift"][0] == "Night Shift"
    assert list(names) == [
        "weather-agent",
        "echo",
        "helpdesk",
        "night-shift",
        "mock-ai",
    ]


def test_a_factory_is_hosted_under_the_name_of_its_agent() -> None:
    def make_agent():
        return Named(name="Made")

    assert list(resolve_agents([make_agent])) == ["Made"]


def test_an_async_factory_is_hosted_under_its_own_name() -> None:
    async def concierge():
        return Named(name="unknown before it is awaited")

    assert list(resolve_agents([concierge])) == ["concierge"]


def test_a_function_without_required_parameters_that_makes_no_agent_is_refused() -> (
    None
):
    def answer(message: str = "hello") -> str:
        return message

    with pytest.raises(InvalidAgent, match=r"what answer\(\) returned, str"):
        resolve_agents([answer])


def test_an_attribute_of_a_module_is_an_agent() -> None:
    agents = resolve_agents(["agent_runtime_nb.agents.samples:EchoAgent"])

    assert agents["echo"].agent is EchoAgent


@pytest.mark.parametrize("name", ["nobody", "no_such_module:agent", "json:agent"])
def test_a_name_that_leads_nowhere_is_refused(name: str) -> None:
    with pytest.raises(InvalidAgent, match=name):
        resolve_agents([name])


def test_a_nameless_agent_is_refused_with_what_to_write() -> None:
    with pytest.raises(InvalidAgent, match=r"start\(\{.my-agent.: agent\}\)"):
        resolve_agents([Named()])


def test_a_lambda_is_nameless() -> None:
    with pytest.raises(InvalidAgent, match="without a name"):
        resolve_agents([saying("hm")])


def test_a_name_of_which_nothing_can_be_kept_is_refused() -> None:
    with pytest.raises(InvalidAgent, match="天気"):
        resolve_agents([Named(name="天気")])


def test_something_that_is_no_agent_is_refused() -> None:
    with pytest.raises(InvalidAgent):
        resolve_agents([{"number": 3}])


def test_two_agents_of_one_name_are_refused() -> None:
    with pytest.raises(AgentNameTaken, match="weather-agent"):
        resolve_agents([Named(name="Weather Agent"), Named(name="weather-agent")])


def test_the_same_agent_twice_is_one() -> None:
    agent = Named(name="weather")

    assert list(resolve_agents([agent, agent])) == ["weather"]


# --- the host -------------------------------------------------------------------------


async def test_a_host_answers() -> None:
    async with Host("echo", storage="memory:") as host:
        response = await ask(host, ActorId("echo", "c1"), "Hi")

    assert response.status is RequestStatus.COMPLETED
    assert "Echo: Hi" in response.data["messages"][-1]["content"]


async def test_a_second_host_goes_on_where_the_first_ended(folder: Path) -> None:
    actor_id = ActorId("echo", "c1")
    async with Host("echo") as host:
        await ask(host, actor_id, "first")

    async with Host("echo") as host:
        await ask(host, actor_id, "second")
        view = await host.runtime.read_actor(actor_id)

    assert [turn.status for turn in view.turns] == [RequestStatus.COMPLETED] * 2


async def test_an_agent_added_again_serves_from_the_next_turn_on() -> None:
    actor_id = ActorId("helper", "c1")
    async with Host({"helper": saying("old")}, storage="memory:") as h:
        before = await ask(h, actor_id, "?")

        h.add({"helper": saying("new")})
        after = await ask(h, actor_id, "?")

        assert before.data["messages"][-1]["content"] == "old"
        assert after.data["messages"][-1]["content"] == "new"
        assert list(h.agents) == ["helper"]


def test_what_cannot_be_added_changes_nothing() -> None:
    host = Host("echo", storage="memory:")

    with pytest.raises(InvalidAgent):
        host.add(helpdesk, {"number": 3})

    assert list(host.agents) == ["echo"]


def test_an_agent_is_found_by_either_name_and_by_itself() -> None:
    agent = Named(name="Weather Agent")
    host = Host(agent, "echo", storage="memory:")

    found = {
        host.find(agent),
        host.find("Weather Agent"),
        host.find("weather-agent"),
        host.find("WEATHER agent"),
    }

    assert found == {"weather-agent"}


def test_the_only_agent_needs_no_name() -> None:
    assert Host("echo", storage="memory:").find() == "echo"


def test_without_a_name_one_of_several_agents_is_asked_for() -> None:
    host = Host("echo", "mock-ai", storage="memory:")

    with pytest.raises(InvalidRequest, match="say which one: echo, mock-ai"):
        host.find()


def test_without_any_agent_one_is_asked_for() -> None:
    with pytest.raises(InvalidRequest, match="none is hosted"):
        Host(storage="memory:").find()


def test_an_unknown_agent_is_answered_with_the_known_ones_the_nearest_first() -> None:
    host = Host("echo", "mock-ai", storage="memory:")

    with pytest.raises(UnknownActorType, match="mock-ai, echo"):
        host.find("mok-ai")


def test_an_unusable_environment_variable_is_named_in_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGENT_RUNTIME_STORAGE", "oracle:x")

    with pytest.raises(InvalidRequest, match="storage"):
        Host("echo")


async def test_what_a_dead_host_left_runs_again_if_the_agents_are_hosted_so() -> None:
    data = InMemoryStateStorage()
    ran: list[str] = []
    begun, hold = asyncio.Event(), asyncio.Event()

    async def slow(message: str) -> str:
        ran.append(message)
        begun.set()
        await hold.wait()
        return "done"

    dead = InMemoryStateStorage(data)
    first = Host({"slow": slow}, storage=dead)
    await first.start()
    params = {"messages": [{"role": "user", "content": "Hi"}]}
    await first.client.send_request(ActorId("slow", "c"), "run", params, "m")
    await begun.wait()
    await dead.close()

    second = Host(
        {"slow": slow}, storage=InMemoryStateStorage(data), on_interrupted="rerun"
    )
    await second.start()
    hold.set()
    handle = await second.client.get_response(ActorId("slow", "c"), "m")
    response = await handle.get_response()

    assert response.status is RequestStatus.COMPLETED
    assert ran == ["Hi", "Hi"]
    await second.stop(drain=0)
    await first.stop(drain=0)


async def test_an_agent_that_is_added_is_recovered_as_the_others_of_its_host():
    host = Host(EchoAgent(), on_interrupted="rerun")

    host.add({"more": EchoAgent()})

    policies = [
        host.runtime._actors.policy(ActorId(name, "1")).on_interrupted
        for name in host.agents
    ]
    assert policies == ["rerun", "rerun"]


async def test_a_restart_policy_holds_for_all_agents_of_its_host_unless_one_has_its_own():
    patient, strict = RestartPolicy(max_restarts=10), RestartPolicy(max_restarts=0)
    host = Host(EchoAgent(), restart=patient)

    host.add({"more": EchoAgent()})
    host.add({"strict": EchoAgent()}, restart=strict)

    policies = [
        host.runtime._actors.policy(ActorId(name, "1")).restart for name in host.agents
    ]
    assert policies == [patient, patient, strict]


def test_a_restart_policy_that_is_none_is_refused():
    with pytest.raises(InvalidRequest, match=r"RestartPolicy\(max_restarts=10\)"):
        Host(EchoAgent(), restart=cast("RestartPolicy", 10))
