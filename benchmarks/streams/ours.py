"""`on_progress_update` and `watch_updates`."""

import asyncio
import time

from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseHandle,
    ActorResponseMessage,
    IActor,
    IActorClient,
    IActorRuntimeContext,
    RequestStatus,
)
from benchmarks.measure import Figures, amount
from benchmarks.streams.work import READERS, TEXT, TURNS, UPDATES, figure


class Publisher(IActor):
    """Publishes as many updates as it is asked for."""

    async def run(self, context: IActorRuntimeContext) -> None:
        """Publish, and let the loop turn after each."""
        async for request in context.watch_messages():
            for number in range(request.params):
                context.on_progress_update(request.message_id, number, TEXT)
                await asyncio.sleep(0)
            response = ActorResponseMessage(
                message_id=request.message_id,
                sender_id=context.actor_id,
                status=RequestStatus.COMPLETED,
            )
            context.complete_request(request.message_id, response)

    async def dispose(self) -> None:
        """Nothing to free."""


async def _read(handle: ActorResponseHandle) -> int:
    count = 0
    async for _ in handle.watch_updates():
        count += 1
    return count - 1  # the last one is the response


async def _follow(client: IActorClient, readers: int, updates: int) -> None:
    actor_id = ActorId("publisher", str(readers))
    handle = await client.send_request(actor_id, "publish", updates)
    counts = await asyncio.gather(*[_read(handle) for _ in range(readers)])
    if set(counts) != {updates}:
        raise RuntimeError(f"readers saw {counts} of {updates} updates")


async def _run(scale: float) -> Figures:
    runtime = InProcessActorRuntime()
    runtime.register_actor_type("publisher", lambda _: Publisher())
    await runtime.start()
    client = InProcessActorClient(runtime)
    updates, figures = amount(UPDATES, scale), Figures()
    for readers in READERS:
        cpu = time.process_time()
        for _ in range(TURNS):
            await _follow(client, readers, updates)
        seconds = time.process_time() - cpu
        figures[figure(readers)] = TURNS * updates / seconds
    await runtime.stop()
    return figures


def run(scale: float) -> Figures:
    """Measure."""
    return asyncio.run(_run(scale))
