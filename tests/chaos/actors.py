"""The slow actors of a host that is killed; each says when it begins a turn."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from agent_framework import Message

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import Step, scripted_agent
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment
from tests.chaos.messages import Ran, Report

Tell: TypeAlias = Callable[[Report], None]


class CounterActor(IActor):
    """Counts its turns in a state key and answers with the count.

    A turn takes `params["seconds"]`, or with `params["hold"]` until `released`.
    """

    def __init__(self, tell: Tell, released: asyncio.Event) -> None:
        self._tell = tell
        self._released = released
        self._sleep = Environment().sleep

    async def run(self, context: IActorRuntimeContext) -> None:
        async for request in context.watch_messages():
            self._tell(Ran(context.actor_id, request.message_id))
            count: int = await context.read_state("count", 0) + 1
            await context.write_state("count", count)
            if request.params.get("hold"):
                await self._released.wait()
            await self._sleep(request.params.get("seconds", 0))
            response = ActorResponseMessage(
                message_id=request.message_id,
                sender_id=context.actor_id,
                status=RequestStatus.COMPLETED,
                data={"count": count},
            )
            context.complete_request(request.message_id, response)

    async def dispose(self) -> None:
        pass


def agent_actor(tell: Tell, actor_id: ActorId) -> AgentActor:
    """A real agent that answers word by word; it is asked with the message id."""

    def script(messages: Sequence[Message]) -> list[Step]:
        message_id = messages[-1].text
        tell(Ran(actor_id, message_id))
        return [agent_answer(message_id)]

    agent = scripted_agent(script, delay=0.002, tools=())
    return AgentActor(agent, checkpoint_interval=0.005)


def agent_answer(message_id: str) -> str:
    """What the agent says to a message."""
    return f"You said {message_id}, and I say so too."
