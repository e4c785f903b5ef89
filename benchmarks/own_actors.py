"""Actors of this runtime that do next to nothing."""

from agent_runtime_nb.runtime_abstractions import (
    ActorRequestMessage,
    ActorResponseMessage,
    IActor,
    IActorRuntimeContext,
    RequestStatus,
)


class EchoActor(IActor):
    """Answers with the params."""

    async def run(self, context: IActorRuntimeContext) -> None:
        """Answer what waits."""
        async for request in context.watch_messages():
            await self.prepare(context)
            context.complete_request(request.message_id, _echo(context, request))

    async def prepare(self, context: IActorRuntimeContext) -> None:
        """Do something before the answer."""

    async def dispose(self) -> None:
        """Nothing to free."""


class CountingActor(EchoActor):
    """Answers with the params and counts its turns in a state key."""

    async def prepare(self, context: IActorRuntimeContext) -> None:
        """Count."""
        count = await context.read_state("count", 0)
        await context.write_state("count", count + 1)


def _echo(
    context: IActorRuntimeContext, request: ActorRequestMessage
) -> ActorResponseMessage:
    return ActorResponseMessage(
        message_id=request.message_id,
        sender_id=context.actor_id,
        status=RequestStatus.COMPLETED,
        data=request.params,
    )
