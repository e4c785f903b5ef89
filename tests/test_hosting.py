"""Names, storages and hosts: composition without Jupyter."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_framework import AgentResponse, AgentResponseUpdate, BaseAgent

from agent_runtime_nb.exceptions import (
    AgentNameTaken,
    InvalidAgent,
    InvalidRequest,
    ReadOnly,
    UnknownActorType,
)
from agent_runtime_nb.hosting import (
    Host,
    open_storage,
    resolve_agents,
    type_name_of,
)
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    RequestStatus,
)
from agent_runtime_nb.sample_agents import EchoAgent
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite import SqliteStateStorage


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
    agents = resolve_agents(["agent_runtime_nb.sample_agents:EchoAgent"])

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


# --- storage --------------------------------------------------------------------------


def test_the_default_storage_ignores_itself_in_git(folder: Path) -> None:
    storage = open_storage()

    assert isinstance(storage, SqliteStateStorage)
    assert str(folder / ".agent_runtime" / "state.db") in storage.location
    assert (folder / ".agent_runtime" / ".gitignore").read_text() == "*\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_folder_that_it_makes_is_the_persons_alone(folder: Path) -> None:
    open_storage()
    open_storage(folder / "else" / "where.db")

    for name in (".agent_runtime", "else"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o700


def test_the_environment_overrides_the_default_storage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_RUNTIME_STORAGE", str(folder / "else" / "where.db"))

    storage = open_storage()

    assert str(folder / "else" / "where.db") in storage.location
    assert not (folder / ".agent_runtime").exists()


@pytest.mark.parametrize(
    "target",
    ["there.db", Path("there.db"), "sqlite:there.db", "sqlite:///there.db"],
)
def test_a_path_or_a_sqlite_url_is_a_file(folder: Path, target: str | Path) -> None:
    storage = open_storage(target)

    assert isinstance(storage, SqliteStateStorage)
    assert str(folder / "there.db") in storage.location


@pytest.mark.parametrize("start", ["sqlite:", "sqlite:///"])
def test_a_sqlite_url_can_name_an_absolute_path(folder: Path, start: str) -> None:
    storage = open_storage(f"{start}{folder / 'there.db'}")

    assert str(folder / "there.db") in storage.location


def test_memory_is_memory() -> None:
    assert isinstance(open_storage("memory:"), InMemoryStateStorage)


def test_a_storage_is_used_as_it_is() -> None:
    storage = InMemoryStateStorage()

    assert open_storage(storage) is storage


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"oracle: is not known.*sqlite.*memory"):
        open_storage("oracle://somewhere")


@pytest.mark.parametrize("url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite://host"])
def test_a_sqlite_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="names no file"):
        open_storage(url)


def test_a_folder_that_cannot_be_made_is_read_only(folder: Path) -> None:
    (folder / "file").write_text("in the way")

    with pytest.raises(ReadOnly, match="AGENT_RUNTIME_STORAGE"):
        open_storage(folder / "file" / "state.db")


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
    monkeypatch.setenv("AGENT_RUNTIME_STORAGE", f"oracle:{os.sep}")

    with pytest.raises(InvalidRequest, match="storage"):
        Host("echo")
