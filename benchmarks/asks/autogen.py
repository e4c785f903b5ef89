"""AutoGen's `SingleThreadedAgentRuntime`."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from autogen_core import (
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    message_handler,
)

from benchmarks.asks.work import actors_at_once, alone, at_once
from benchmarks.measure import Figures, amount


@dataclass
class Ping:
    """A value to send back."""

    value: int


class EchoAgent(RoutedAgent):
    """Answers with the message."""

    def __init__(self) -> None:
        super().__init__("echo")

    @message_handler
    async def on_ping(self, message: Ping, ctx: MessageContext) -> Ping:
        """Answer."""
        return message


async def _run(scale: float) -> Figures:
    runtime = SingleThreadedAgentRuntime()
    await EchoAgent.register(runtime, "echo", EchoAgent)
    runtime.start()
    agents = [AgentId("echo", str(number)) for number in range(actors_at_once(scale))]

    def ask(actor: int, value: int) -> Awaitable[object]:
        return runtime.send_message(Ping(value), agents[actor])

    # Fewer asks than the others: one costs some twenty times as much.
    one = await alone(ask, amount(2_000, scale))
    thousand = await at_once(ask, actors_at_once(scale), 3)
    await runtime.stop()
    return {"alone_us": one, "thousand_us": thousand}


def run(scale: float) -> Figures:
    """Measure."""
    return asyncio.run(_run(scale))
