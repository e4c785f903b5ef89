"""Agents that are configured by environment variables: `azure` and `openai`.

    azure   AZURE_OPENAI_API_KEY, AZURE_OPENAI_ENDPOINT or AZURE_OPENAI_BASE_URL, and the
            deployment: AZURE_OPENAI_CHAT_DEPLOYMENT_NAME, or as the framework calls it,
            AZURE_OPENAI_CHAT_COMPLETION_MODEL, AZURE_OPENAI_CHAT_MODEL or
            AZURE_OPENAI_MODEL; AZURE_OPENAI_API_VERSION if it must be another
    openai  OPENAI_API_KEY and OPENAI_CHAT_COMPLETION_MODEL, OPENAI_CHAT_MODEL or
            OPENAI_MODEL; with OPENAI_BASE_URL any service of that kind (Ollama, vLLM,
            LM Studio), which may need no key

A key never leaves the client that is made with it.
"""

import os
from collections.abc import Mapping
from typing import Any

from agent_framework.openai import OpenAIChatCompletionClient

_AZURE_URLS = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_BASE_URL")
_AZURE_MODELS = (
    "AZURE_OPENAI_CHAT_DEPLOYMENT_NAME",
    "AZURE_OPENAI_CHAT_COMPLETION_MODEL",
    "AZURE_OPENAI_CHAT_MODEL",
    "AZURE_OPENAI_MODEL",
)
_MODELS = ("OPENAI_CHAT_COMPLETION_MODEL", "OPENAI_CHAT_MODEL", "OPENAI_MODEL")
_NO_KEY = "none"  # what services without keys are sent; the client asks for something


def environment_agents(
    environment: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """The agents by name, and a sentence for each one that is configured only in part."""
    names = os.environ if environment is None else environment
    agents: dict[str, Any] = {}
    problems: list[str] = []
    for name, make in (("azure", _azure), ("openai", _openai)):
        agent, missing = make(names)
        if agent is not None:
            agents[name] = agent.as_agent(name=name)
        elif missing:
            problems.append(f"no agent {name!r}: set {' and '.join(missing)}")
    return agents, problems


def _azure(names: Mapping[str, str]) -> tuple[Any, list[str]]:
    key = names.get("AZURE_OPENAI_API_KEY")
    model, url = _first(names, _AZURE_MODELS), _first(names, _AZURE_URLS)
    if not (key or model or url):
        return None, []
    missing = ["AZURE_OPENAI_API_KEY"] * (not key)
    missing += [" or ".join(_AZURE_URLS)] * (not url)
    missing += [_AZURE_MODELS[0]] * (not model)
    if missing:
        return None, missing
    client = OpenAIChatCompletionClient(
        model=model,
        api_key=key,
        azure_endpoint=names.get("AZURE_OPENAI_ENDPOINT") or None,
        base_url=names.get("AZURE_OPENAI_BASE_URL") or None,
        api_version=names.get("AZURE_OPENAI_API_VERSION") or None,
    )
    return client, []


def _openai(names: Mapping[str, str]) -> tuple[Any, list[str]]:
    key, url = names.get("OPENAI_API_KEY"), names.get("OPENAI_BASE_URL")
    model = _first(names, _MODELS)
    if not (key or url or model):
        return None, []
    missing = ["OPENAI_API_KEY (or OPENAI_BASE_URL)"] * (not (key or url))
    missing += ["OPENAI_CHAT_MODEL"] * (not model)
    if missing:
        return None, missing
    client = OpenAIChatCompletionClient(
        model=model, api_key=key or _NO_KEY, base_url=url or None
    )
    return client, []


def _first(names: Mapping[str, str], candidates: tuple[str, ...]) -> str | None:
    return next((names[one] for one in candidates if names.get(one)), None)
