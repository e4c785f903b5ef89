"""The ways in which actors are reached, for the suites over all of them."""

import asyncio
import selectors
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.http_client.client import HttpActorClient
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ALLOWED_TOOLS,
    ActorId,
    ActorRequestMessage,
    IActorClient,
    IActorRuntimeContext,
)
from agent_runtime_nb.runtime_directory import RuntimeDirectory
from agent_runtime_nb.settings import RuntimeSettings
from tests.fakes import HandlingActor, count

ONE = ActorId("talker", "one")
KINDS = ("same loop", "foreign loop", "http")

Reach = tuple[IActorClient, RuntimeDirectory]


class Talker:
    """Publishes the words of `params`, waiting for `go` before the last one."""

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}

    async def __call__(
        self, context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        *words, last = str(message.params).split()
        if words and words[0].startswith("allows:"):
            await context.write_state(ALLOWED_TOOLS, words[0].split(":")[1:])
        for number, word in enumerate(words):
            context.on_progress_update(message.message_id, number, word)
        if last.startswith("wait"):
            gate = self.gates.setdefault(last, threading.Event())
            await asyncio.get_running_loop().run_in_executor(None, gate.wait, 10)
        if last.startswith("allow:"):
            await context.write_state(ALLOWED_TOOLS, last.split(":")[1:])
        context.on_progress_update(message.message_id, len(words), last)
        return message.params

    def let_go(self, word: str) -> None:
        self.gates.setdefault(word, threading.Event()).set()


class _FastSelector(selectors.DefaultSelector):
    """Takes its timeouts for seconds that pass so many times as fast."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout and timeout / self._speed)


class _FastLoop(asyncio.SelectorEventLoop):
    """Its seconds pass so many times as fast."""

    def __init__(self, speed: float) -> None:
        super().__init__(_FastSelector(speed))
        self._speed = speed

    def time(self) -> float:
        return super().time() * self._speed


class RuntimeThread:
    """A loop in a thread, where a runtime lives apart from its callers.

    Args:
        speed: how fast its seconds pass: what a runtime waits for in vain is over
            sooner.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.loop = _FastLoop(speed)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Any) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


@dataclass
class Place:
    """A client and a directory of a running runtime, and how that is stopped."""

    reach: Reach
    stop: Callable[[], Awaitable[None]]


@asynccontextmanager
async def place_of(kind: str, talker: Talker) -> AsyncGenerator[Place]:
    """A runtime with the actor types "talker" and "counter"."""
    runtime = InProcessActorRuntime(settings=RuntimeSettings(mailbox_limit=3))
    runtime.register_actor_type(
        "talker", lambda _: HandlingActor(talker), description="Talks."
    )
    runtime.register_actor_type("counter", lambda _: HandlingActor(count))
    client = InProcessActorClient(runtime)
    if kind == "same loop":
        await runtime.start()
        yield Place((client, runtime), lambda: runtime.stop(drain=0))
        await runtime.stop(drain=0)
        return
    home = RuntimeThread()

    async def stop() -> None:
        await asyncio.wrap_future(home.run(runtime.stop(drain=0)))

    await asyncio.wrap_future(home.run(runtime.start()))
    if kind == "http":
        server = EmbeddedServer(client, runtime).start()
        async with HttpActorClient(server.url, token=server.token) as remote:
            yield Place((remote, remote.directory), stop)
        await asyncio.get_running_loop().run_in_executor(None, server.stop)
    else:
        yield Place((client, runtime), stop)
    await stop()
    home.close()
