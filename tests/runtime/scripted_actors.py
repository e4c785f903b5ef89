"""Actors a, b and c that ask and tell each other, on hosts with the same data."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorRequestMessage,
    ActorResponseMessage,
    IActorRuntimeContext,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from tests.fakes import (
    Handle,
    HandlingActor,
    soon,
)

A, B, C = (ActorId("a", "1"), ActorId("b", "1"), ActorId("c", "1"))

Talk = Callable[[IActorRuntimeContext, ActorRequestMessage], Coroutine[Any, Any, Any]]


class Stage:
    """Actors a, b and c, each with a handler; several hosts on the same data."""

    def __init__(self) -> None:
        self.data = InMemoryStateStorage()
        self.storage = self.data
        self.runtimes: list[InProcessActorRuntime] = []

    async def play(
        self,
        environment: Environment | None = None,
        /,
        storage: IActorStateStorage | None = None,
        **handlers: Handle,
    ) -> InProcessActorClient:
        storage = storage or InMemoryStateStorage(self.data)
        self.storage = storage
        runtime = InProcessActorRuntime(
            storage,
            settings=RuntimeSettings(cancel_grace=0.1, commit_retries=(0,)),
            environment=environment,
        )
        for name, handle in handlers.items():
            runtime.register_actor_type(name, lambda _, h=handle: HandlingActor(h))
        await runtime.start()
        self.runtimes.append(runtime)
        return InProcessActorClient(runtime)

    async def no_outbox(self) -> None:
        """Wait until everything that was told has gone."""
        for _ in range(200):
            if not (await self.storage.list_actors(mark="outbox")).items:
                return
            await asyncio.sleep(0)
        pytest.fail("something is still to be told")


def asks(target: ActorId, *more: Any) -> Talk:
    """Asks another actor with what it was asked, and answers what that answered."""

    async def handle(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        handle = await context.send_request(target, "run", message.params)
        response = await handle.get_response()
        return [str(context.actor_id), response.data, *more]

    return handle


def tells(*targets: ActorId, fails: bool = False) -> Talk:
    """Tells others what it was asked."""

    async def handle(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        for target in targets:
            context.tell(target, "run", message.params)
        if fails:
            raise ValueError("no")
        return "told"

    return handle


class Heard:
    """Writes down what it is asked."""

    def __init__(self) -> None:
        self.messages: list[ActorRequestMessage] = []
        self.arrived = asyncio.Event()

    async def __call__(
        self, _: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        self.messages.append(message)
        self.arrived.set()
        return "heard"

    @property
    def params(self) -> list[Any]:
        return [message.params for message in self.messages]


async def ask(
    client: InProcessActorClient, actor_id: ActorId, params: Any = None, **more: Any
) -> ActorResponseMessage:
    handle = await client.send_request(actor_id, "run", params, **more)
    return await soon(handle.get_response())


def error_type(response: ActorResponseMessage) -> str:
    return response.data["error"]["type"]
