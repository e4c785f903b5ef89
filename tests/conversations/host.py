"""A runtime on one storage, for the tests of this folder."""

from typing import Any

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.conversations.reading import read_conversation
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
)
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from tests.agents.helpers import scripted
from tests.fakes import HandlingActor

ME = ActorId("agent", "c1")
OTHER = ActorId("agent", "c2")


class Host:
    """A runtime with a scripted agent and an actor that counts in its state."""

    def __init__(self, storage: IActorStateStorage) -> None:
        self.agent: Any = scripted()
        self.runtime = InProcessActorRuntime(storage)
        self.runtime.register_actor_type("agent", lambda _: AgentActor(self.agent))
        self.runtime.register_actor_type("counter", lambda _: HandlingActor(_count))
        self.client = InProcessActorClient(self.runtime)

    async def ask(
        self, text: str, actor_id: ActorId = ME, **options: Any
    ) -> ActorResponseMessage:
        params = {"messages": [{"role": "user", "content": text}]}
        handle = await self.client.send_request(actor_id, "run", params, **options)
        return await handle.get_response()


async def _count(context: Any, request: Any) -> Any:
    count = await context.read_state("count", 0) + 1
    await context.write_state("count", count)
    return count


async def texts(host: Host, actor_id: ActorId) -> list[str]:
    """What was asked in the turns of a conversation."""
    conversation = await read_conversation(host.runtime, actor_id)
    return [turn.params["messages"][0]["content"] for turn in conversation.turns]
