"""An actor written by hand that says something and then waits to be let go."""

import asyncio

from agent_runtime_nb.runtime_abstractions import (
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)


class GatedActor(IActor):
    """Says one word, then runs until it is cancelled; keeps what it has said."""

    async def run(self, context: IActorRuntimeContext) -> None:
        async for request in context.watch_messages():
            said = {"type": "text", "text": "partial"}
            progress = {"contents": [said], "message_id": "m"}
            context.on_progress_update(request.message_id, 1, progress)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                entry = {"role": "assistant", "contents": [said], "message_id": "m"}
                context.complete_request(
                    request.message_id,
                    ActorResponseMessage(
                        message_id=request.message_id,
                        sender_id=context.actor_id,
                        status=RequestStatus.CANCELLED,
                        data={"messages": [entry]},
                    ),
                )

    async def dispose(self) -> None:
        pass
