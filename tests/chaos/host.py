"""The process that is killed: a runtime with slow actors, driven through a pipe."""

import asyncio
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from agent_runtime_nb.exceptions import AgentRuntimeError
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorResponseHandle,
)
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.supervision import OnInterrupted
from tests.chaos.actors import CounterActor, agent_actor
from tests.chaos.messages import (
    Accepted,
    Answered,
    Ask,
    Look,
    Order,
    Ready,
    Refused,
    Release,
)

MakeStorage: TypeAlias = Callable[[], SqliteStateStorage]
"""Makes a host's way to the data; a storage itself cannot be sent to a process."""


def run_host(
    connection: "Connection[Any, Any]",
    make_storage: MakeStorage,
    on_interrupted: OnInterrupted = "ask",
) -> None:
    """The main function of the process."""
    asyncio.run(_Host(connection, make_storage(), on_interrupted).run())


class _Host:
    def __init__(
        self,
        connection: "Connection[Any, Any]",
        storage: SqliteStateStorage,
        on_interrupted: OnInterrupted,
    ) -> None:
        self._connection = connection
        self._tell = connection.send
        self._released = asyncio.Event()
        self._stopped = asyncio.Event()
        runtime = self._runtime = InProcessActorRuntime(storage)
        runtime.register_actor_type(
            "counter",
            lambda _: CounterActor(self._tell, self._released),
            on_interrupted=on_interrupted,
        )
        runtime.register_actor_type(
            "agent",
            lambda context: agent_actor(self._tell, context.actor_id),
            on_interrupted=on_interrupted,
        )
        self._client = InProcessActorClient(runtime)

    async def run(self) -> None:
        await self._runtime.start()
        self._tell(Ready())
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            loop.add_reader(self._connection.fileno(), self._take_orders, tasks)
            await self._stopped.wait()
            loop.remove_reader(self._connection.fileno())
        await self._runtime.stop()
        self._connection.close()

    def _take_orders(self, tasks: asyncio.TaskGroup) -> None:
        try:
            while self._connection.poll():
                work = self._follow(self._connection.recv())
                if work is not None:
                    tasks.create_task(work)
        except EOFError:  # the driver is gone
            self._stopped.set()

    def _follow(self, order: Order) -> Coroutine[Any, Any, None] | None:
        if isinstance(order, Ask):
            return self._ask(order)
        if isinstance(order, Look):
            return self._look(order)
        if isinstance(order, Release):
            self._released.set()
        else:
            self._stopped.set()
        return None

    async def _ask(self, ask: Ask) -> None:
        try:
            handle = await self._client.send_request(
                ask.actor_id, "run", ask.params, ask.message_id
            )
            self._tell(Accepted(ask.actor_id, ask.message_id))
            await self._answer(ask, handle)
        except AgentRuntimeError as error:
            self._tell(Refused(ask.actor_id, ask.message_id, repr(error)))

    async def _look(self, look: Look) -> None:
        try:
            handle = await self._client.get_response(look.actor_id, look.message_id)
            await self._answer(look, handle)
        except AgentRuntimeError as error:
            self._tell(Refused(look.actor_id, look.message_id, repr(error)))

    async def _answer(self, asked: Ask | Look, handle: ActorResponseHandle) -> None:
        response = await handle.get_response()
        actor_id, message_id = asked.actor_id, asked.message_id
        self._tell(Answered(actor_id, message_id, response.status, response.data))
