"""The faulty model, alone and under an agent in a runtime."""

from typing import Any

from agent_framework import Agent

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import RequestStatus
from agent_runtime_nb.settings import Environment
from agent_runtime_nb.testing.faults.model import (
    FaultyModel,
    RandomModelFaults,
    cut_off,
    failed,
    rate_limited,
    silent,
)
from agent_runtime_nb.testing.simulated_loop import (
    SimulatedLoop,
    simulate,
)
from tests.fakes import ask
from tests.simulation.chance import seeded


async def run(
    model: FaultyModel, *texts: str, environment: Environment | None = None
) -> list[Any]:
    """What a conversation with an agent of this model gives."""
    runtime = InProcessActorRuntime(environment=environment)
    agent: Any = Agent(client=model, name="tired")
    runtime.register_actor_type("worker", lambda _: AgentActor(agent))
    await runtime.start()
    responses: list[Any] = []
    for text in texts:
        params = {"messages": [{"role": "user", "content": text}]}
        responses.append(await ask(runtime, params, timeout=5.0))
    await runtime.stop()
    return responses


async def test_each_call_of_a_faulty_model_has_its_own_script() -> None:
    model = FaultyModel([rate_limited(2.0)], [failed(503)], ["Hello there"])

    limited, broken, well, again = await run(model, "a", "b", "c", "d")

    assert limited.data["error"]["retryable"]
    assert "429" in limited.data["error"]["message"]
    assert "503" in broken.data["error"]["message"]
    assert well.status is RequestStatus.COMPLETED
    assert again.data["messages"][-1]["content"] == "Hello there"


async def test_a_stream_that_is_cut_off_ends_without_a_finish_reason() -> None:
    model = FaultyModel(cut_off("Well, h"))

    (response,) = await run(model, "a")

    assert response.data["messages"][-1]["content"] == "Well, h"
    assert response.data.get("finish_reason") is None


def test_a_silent_model_is_stopped_by_the_deadline() -> None:
    async def work(loop: SimulatedLoop) -> tuple[Any, float]:
        model = FaultyModel(silent("Well"))
        (response,) = await run(model, "a", environment=loop.environment())
        return response, loop.time()

    response, seconds = simulate(work)

    assert response.status is RequestStatus.FAILED
    assert response.data["error"]["type"] == "DeadlineExceeded"
    assert seconds < 10


def test_random_faults_of_a_model_are_those_of_their_seed() -> None:
    def draw(seed: int) -> list[str]:
        script = RandomModelFaults(["Hello", "there"], seeded(seed), rate=0.5)
        return [repr(list(script([]))) for _ in range(50)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert 10 < sum(steps != repr(["Hello", "there"]) for steps in draw(1)) < 40
