"""Agents that the environment names; half of it says what is missing."""

import pytest

from agent_runtime_nb.agents.environment import environment_agents

AZURE = {
    "AZURE_OPENAI_API_KEY": "canary-key",
    "AZURE_OPENAI_CHAT_DEPLOYMENT_NAME": "my-deployment",
    "AZURE_OPENAI_ENDPOINT": "https://example.openai.azure.com",
}
OPENAI = {"OPENAI_API_KEY": "canary-key", "OPENAI_CHAT_MODEL": "gpt-5-mini"}
OLLAMA = {
    "OPENAI_BASE_URL": "http://localhost:11434/v1",
    "OPENAI_CHAT_MODEL": "llama3.2",
}


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, []),
        (AZURE, ["azure"]),
        (OPENAI, ["openai"]),
        (OLLAMA, ["openai"]),
        ({**AZURE, **OPENAI}, ["azure", "openai"]),
    ],
)
def test_what_is_named_completely_becomes_an_agent(
    environment: dict[str, str], names: list[str]
):
    agents, problems = environment_agents(environment)

    assert list(agents) == names
    assert [agent.name for agent in agents.values()] == names
    assert problems == []
    assert "canary-key" not in repr(agents)


def test_names_of_the_framework_and_a_base_url_do_as_well():
    agents, problems = environment_agents(
        {
            "AZURE_OPENAI_API_KEY": "canary-key",
            "AZURE_OPENAI_MODEL": "my-deployment",
            "AZURE_OPENAI_BASE_URL": "https://example.openai.azure.com/openai/v1/",
        }
    )

    assert problems == []
    assert agents["azure"].client.model == "my-deployment"


@pytest.mark.parametrize("left_out", [*AZURE, *OPENAI])
def test_a_half_set_environment_says_what_is_missing(left_out: str):
    whole = AZURE if left_out in AZURE else OPENAI
    half = {name: value for name, value in whole.items() if name != left_out}

    agents, problems = environment_agents(half)

    assert agents == {}
    assert len(problems) == 1
    assert left_out in problems[0]
    assert "canary-key" not in problems[0]
