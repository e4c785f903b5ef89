"""A running runtime with the sample agents, and panels on it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import EchoAgent, scripted_agent
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from tests.widgets.gated_actor import GatedActor
from tests.widgets.panels import Panels


@pytest.fixture
async def runtime() -> AsyncIterator[InProcessActorRuntime]:
    runtime = InProcessActorRuntime()
    runtime.register_actor_type("echo", lambda _: AgentActor(EchoAgent()))
    runtime.register_actor_type(
        "scripted", lambda _: AgentActor(scripted_agent(delay=0))
    )
    runtime.register_actor_type("gated", lambda _: GatedActor())
    await runtime.start()
    yield runtime
    await runtime.stop(drain=0)


@pytest.fixture
def client(runtime: InProcessActorRuntime) -> InProcessActorClient:
    return InProcessActorClient(runtime)


@pytest.fixture
def panels(
    client: InProcessActorClient, runtime: InProcessActorRuntime
) -> Iterator[Panels]:
    panels = Panels(client, runtime)
    yield panels
    for panel in panels.made:
        panel.close()
