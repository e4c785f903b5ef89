"""Turns that are run again, or no longer seen by the model."""

from typing import Any

import pytest

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.exceptions import (
    InvalidRequest,
    RequestNotFound,
)
from agent_runtime_nb.runtime_abstractions import (
    RequestStatus,
)
from tests.agents.helpers import model_of, scripted, seen
from tests.conversations.host import ME, Host, texts


async def test_a_turn_that_failed_runs_again_in_its_place(host: Host):
    def fails_first(messages: Any) -> list[Any]:
        if len(model_of(host.agent).calls) == 1:
            raise ValueError("no")
        return ["fine"]

    host.agent = scripted(fails_first)
    host.runtime.register_actor_type("agent", lambda _: AgentActor(host.agent))
    failed = await host.ask("one", message_id="m")

    new_id = await host.runtime.run_again(ME, "m")
    handle = await host.client.get_response(ME, new_id)
    answered = await handle.get_response()

    assert failed.status is RequestStatus.FAILED
    assert (new_id, answered.status) == ("m~2", RequestStatus.COMPLETED)
    assert seen(host.agent) == [("user", "one")]
    old = await (await host.client.get_response(ME, "m")).get_response()
    assert old.status is RequestStatus.FAILED


async def test_asked_twice_to_run_again_it_runs_once(host: Host):
    await host.ask("one", message_id="m")

    ids = [await host.runtime.run_again(ME, "m") for _ in range(2)]
    await (await host.client.get_response(ME, ids[0])).get_response()

    assert ids == ["m~2", "m~2"]
    assert len(model_of(host.agent).calls) == 2


async def test_what_never_was_cannot_run_again(host: Host):
    await host.ask("one")

    with pytest.raises(RequestNotFound):
        await host.runtime.run_again(ME, "never")


async def test_a_discarded_turn_is_no_longer_seen_by_the_model_but_can_be_read(
    host: Host,
):
    def fails_first(messages: Any) -> list[Any]:
        if len(model_of(host.agent).calls) == 1:
            raise ValueError("no")
        return ["fine"]

    host.agent = scripted(fails_first)
    host.runtime.register_actor_type("agent", lambda _: AgentActor(host.agent))
    await host.ask("bad", message_id="m")

    done = [await host.runtime.discard(ME, "m") for _ in range(2)]
    await host.ask("good")

    assert done == [True, False]
    assert seen(host.agent) == [("user", "good")]
    assert await texts(host, ME) == ["bad", "good"]


async def test_a_turn_that_completed_is_not_discarded(host: Host):
    await host.ask("one", message_id="m")

    with pytest.raises(InvalidRequest, match="has completed"):
        await host.runtime.discard(ME, "m")
