"""The embedded server in front of a runtime on a loop in another thread."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import EchoAgent
from agent_runtime_nb.http_api.server import EmbeddedServer
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import ActorId
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from benchmarks.http.client import TOKEN
from benchmarks.http.work import BURST, figures
from benchmarks.measure import Figures, database_path
from benchmarks.streams.ours import Publisher


def _measure(storage: IActorStateStorage | None, scale: float) -> Figures:
    home = asyncio.new_event_loop()
    thread = threading.Thread(target=home.run_forever, daemon=True)
    thread.start()

    def call(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, home).result(60)

    runtime = InProcessActorRuntime(storage)
    echo = EchoAgent()
    runtime.register_actor_type("echo", lambda _: AgentActor(echo))
    runtime.register_actor_type("publisher", lambda _: Publisher())
    call(runtime.start())
    client = InProcessActorClient(runtime)
    burst = ActorId("publisher", "c1")
    call(client.send_request(burst, "publish", BURST, "m1"))
    server = EmbeddedServer(client, runtime, token=TOKEN).start()
    port = int(server.url.rpartition(":")[2])
    events = "/agents/publisher/conversations/c1/requests/m1/events"
    found = figures(port, "/agents/echo/run", events, scale)
    server.stop()
    call(runtime.stop(drain=1))
    home.call_soon_threadsafe(home.stop)
    thread.join(10)
    return found


def run_memory(scale: float) -> Figures:
    """Measure with nothing stored."""
    return _measure(None, scale)


def run_sqlite(scale: float) -> Figures:
    """Measure with every turn stored."""
    with database_path() as path:
        return _measure(SqliteStateStorage(path), scale)
