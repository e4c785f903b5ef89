"""Conversations with agents over real runtimes, on memory and on SQLite."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_framework import ContextProvider, Message

from agent_runtime_nb.agents.actor import AgentActor
from agent_runtime_nb.agents.samples import EchoAgent, Step, scripted_agent
from agent_runtime_nb.conversations.entries import text_of, turn_entries
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorId,
    ActorResponseMessage,
    RequestStatus,
)
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.storage_abstractions import (
    IActorStateStorage,
)
from tests.agents.helpers import (
    Gate,
    contents_seen,
    echo_script,
    model_of,
    scripted,
    seen,
    weather_script,
)

OpenStorage = Callable[[], IActorStateStorage]
ME = ActorId("agent", "c1")


@pytest.fixture(params=["memory", "sqlite"])
def open_storage(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStorage:
    """Opens the same data again and again, as processes one after another do."""
    if request.param == "sqlite":
        return lambda: SqliteStateStorage(tmp_path / "state.db")
    memory = InMemoryStateStorage()
    return lambda: memory


class Host:
    """A process that hosts one agent."""

    def __init__(self, runtime: InProcessActorRuntime) -> None:
        self.runtime = runtime
        self.client = InProcessActorClient(runtime)

    async def ask(
        self, content: Any, actor_id: ActorId = ME, **options: Any
    ) -> ActorResponseMessage:
        handle = await self.send(content, actor_id, **options)
        return await handle.get_response()

    async def send(self, content: Any, actor_id: ActorId = ME, **options: Any) -> Any:
        params = {"messages": [{"role": "user", "content": content}]}
        return await self.client.send_request(actor_id, "run", params, **options)

    async def said(self) -> list[str]:
        view = await self.runtime.read_actor(ME)
        return [
            f"{entry['role']}: {text_of(entry)}" + (f" ({mark})" if mark else "")
            for turn in view.turns
            for entry in turn_entries(turn)
            for mark in [entry.get("status")]
        ]


@asynccontextmanager
async def hosting(storage: IActorStateStorage, agent: Any) -> AsyncGenerator[Host]:
    runtime = InProcessActorRuntime(storage)
    runtime.register_actor_type("agent", lambda context: AgentActor(agent))
    await runtime.start()
    try:
        yield Host(runtime)
    finally:
        await runtime.stop(drain=0)


async def test_a_conversation_goes_on_in_a_new_runtime(
    open_storage: OpenStorage,
) -> None:
    async with hosting(open_storage(), scripted()) as host:
        await host.ask("one")
        await host.ask("two")
    agent = scripted()

    async with hosting(open_storage(), agent) as host:
        response = await host.ask("three")
        said = await host.said()

    assert response.status is RequestStatus.COMPLETED
    assert [text for _, text in seen(agent)] == [
        "one",
        "You said one. Bye.",
        "two",
        "You said two. Bye.",
        "three",
    ]
    assert said[-2:] == ["user: three", "assistant: You said three. Bye."]
    assert len(said) == 6


async def test_updates_arrive_while_the_agent_works(open_storage: OpenStorage) -> None:
    async with hosting(open_storage(), EchoAgent()) as host:
        handle = await host.send("Hi there")
        updates = [update async for update in handle.watch_updates()]

    assert [update.status.value for update in updates] == [
        "pending",
        "pending",
        "pending",
        "completed",
    ]
    pieces = [u.data["progress"]["contents"][0]["text"] for u in updates[:-1]]
    assert pieces == ["Echo:", " Hi", " there"]


async def test_tools_and_images_are_restored_in_a_new_runtime(
    open_storage: OpenStorage,
) -> None:
    image = {
        "type": "data",
        "uri": "data:image/png;base64,iVBORw0KGgo=",
        "media_type": "image/png",
    }
    async with hosting(open_storage(), scripted(weather_script)) as host:
        await host.ask([{"type": "text", "text": "weather"}, image])
    agent = scripted()

    async with hosting(open_storage(), agent) as host:
        await host.ask("thanks")

    assert [content.type for content in contents_seen(agent)] == [
        "text",
        "data",
        "text",
        "function_call",
        "function_result",
        "text",
        "text",
    ]
    assert contents_seen(agent)[1].uri == image["uri"]


async def test_a_cancelled_turn_is_kept_and_the_next_one_sees_it(
    open_storage: OpenStorage,
) -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["One two three."], delay=1, sleep=gate.sleep)
    async with hosting(open_storage(), agent) as host, asyncio.timeout(10):
        handle = await host.send("Count")
        await gate.reached.wait()

        cancelled = await handle.cancel()
        response = await handle.get_response()
        model_of(agent).script, model_of(agent).delay = ["Fine."], 0
        after = await host.ask("Go on")
        said = await host.said()

    assert cancelled
    assert response.status is RequestStatus.CANCELLED
    assert after.status is RequestStatus.COMPLETED
    assert said == [
        "user: Count",
        "assistant: One two (cancelled)",
        "user: Go on",
        "assistant: Fine.",
    ]
    assert [text for _, text in seen(agent)] == [
        "Count",
        "One two",
        "[This answer was stopped before it was finished.]",
        "Go on",
    ]


async def test_a_turn_that_a_stopping_host_interrupts_is_kept(
    open_storage: OpenStorage,
) -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["One two three."], delay=1, sleep=gate.sleep)
    async with hosting(open_storage(), agent) as host, asyncio.timeout(10):
        await host.send("Count")
        await gate.reached.wait()
    after = scripted()

    async with hosting(open_storage(), after) as host:
        await host.ask("Go on")
        said = await host.said()

    assert said[:2] == ["user: Count", "assistant: One two (interrupted)"]
    assert seen(after)[2][1] == "[This answer was interrupted before it was finished.]"


async def test_a_deadline_fails_the_turn_and_keeps_what_was_said(
    open_storage: OpenStorage,
) -> None:
    gate = Gate(at=2)
    agent = scripted_agent(["One two three."], delay=1, sleep=gate.sleep)

    async with hosting(open_storage(), agent) as host, asyncio.timeout(10):
        response = await host.ask("Count", timeout=0.1)
        said = await host.said()

    assert response.status is RequestStatus.FAILED
    assert response.data["error"]["type"] == "DeadlineExceeded"
    assert said == ["user: Count", "assistant: One two (failed)"]


async def test_a_failing_agent_fails_its_turn_and_the_next_one_works(
    open_storage: OpenStorage,
) -> None:
    agent = scripted(["I ", ValueError("no luck")])

    async with hosting(open_storage(), agent) as host:
        failed = await host.ask("Try")
        model_of(agent).script = echo_script
        after = await host.ask("again")

    assert failed.status is RequestStatus.FAILED
    assert failed.data["error"]["message"] == "no luck"
    assert after.status is RequestStatus.COMPLETED
    assert len(seen(agent)) == 4


async def test_fifty_conversations_at_once_keep_to_themselves(
    open_storage: OpenStorage,
) -> None:
    def script(messages: Sequence[Message]) -> list[Step]:
        return [" ".join(m.text for m in messages if m.role == "user")]

    async with hosting(open_storage(), scripted(script)) as host, asyncio.timeout(30):
        answers = await asyncio.gather(
            *[
                host.ask(f"{number}-{turn}", ActorId("agent", f"c{number}"))
                for turn in range(3)
                for number in range(50)
            ]
        )

    last = [response.data["messages"][0]["content"] for response in answers[-50:]]
    assert last == [f"{n}-0 {n}-1 {n}-2" for n in range(50)]


class Unstorable(ContextProvider):
    async def before_run(
        self, *, agent: Any, session: Any, context: Any, state: Any
    ) -> None:
        state["number"] = float("nan")


async def test_a_session_that_is_not_json_is_said_and_the_answer_is_kept(
    open_storage: OpenStorage,
) -> None:
    agent = scripted()
    agent.context_providers.append(Unstorable("odd"))

    async with hosting(open_storage(), agent) as host:
        handle = await host.send("one")
        updates = [update.data async for update in handle.watch_updates()]
        said = await host.said()

    notices = [
        data["progress"]
        for data in updates[:-1]
        if data["progress"]["type"] == "notice"
    ]
    assert ["is not stored" in notice["text"] for notice in notices] == [True]
    assert len(said) == 2


FIRST_PROCESS = """
import asyncio, json, sys
from agent_runtime_nb import (
    ActorId, AgentActor, InProcessActorClient, InProcessActorRuntime, SqliteStateStorage,
    scripted_agent,
)

async def main():
    runtime = InProcessActorRuntime(SqliteStateStorage(sys.argv[1]))
    runtime.register_actor_type("agent", lambda context: AgentActor(scripted_agent(delay=0)))
    await runtime.start()
    client = InProcessActorClient(runtime)
    params = {"messages": [{"role": "user", "content": "delete notes.txt"}]}
    handle = await client.send_request(ActorId("agent", "c1"), "run", params)
    print(json.dumps((await handle.get_response()).data))
    await runtime.stop()

asyncio.run(main())
"""


async def test_an_approval_asked_for_in_one_process_is_given_in_another(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    first = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FIRST_PROCESS, str(path)],
        capture_output=True,
        check=True,
        text=True,
        timeout=50,
    )
    parts = json.loads(first.stdout)["messages"][-1]["contents"]
    (wish,) = [p for p in parts if p["type"] == "function_approval_request"]
    answer = {
        "type": "function_approval_response",
        "id": wish["id"],
        "approved": True,
        "function_call": wish["function_call"],
    }

    async with hosting(SqliteStateStorage(path), scripted_agent(delay=0)) as host:
        response = await host.ask([answer])

    assert response.status is RequestStatus.COMPLETED, response.data
    assert "notes.txt is deleted" in response.data["messages"][-1]["content"]


KILLED_PROCESS = """
import asyncio, sys
from agent_runtime_nb import (
    ActorId, AgentActor, InProcessActorClient, InProcessActorRuntime, SqliteStateStorage,
    scripted_agent,
)

said = 0

async def sleep(seconds):
    global said
    said += 1
    if said == 3:
        print("half-way", flush=True)
        await asyncio.Event().wait()

async def main():
    runtime = InProcessActorRuntime(SqliteStateStorage(sys.argv[1]))
    agent = scripted_agent(["One two three."], delay=1, sleep=sleep)
    runtime.register_actor_type(
        "agent", lambda context: AgentActor(agent, checkpoint_interval=0)
    )
    await runtime.start()
    params = {"messages": [{"role": "user", "content": "Count"}]}
    client = InProcessActorClient(runtime)
    handle = await client.send_request(ActorId("agent", "c1"), "run", params)
    await handle.get_response()

asyncio.run(main())
"""


async def test_what_was_said_before_a_kill_is_kept_and_marked(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_PROCESS, str(path), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(50):
        line = await process.stdout.readline()
    process.kill()
    await process.wait()
    agent = scripted()

    async with hosting(SqliteStateStorage(path), agent) as host:
        await host.ask("Go on")
        said = await host.said()

    assert line == b"half-way\n"
    assert said[:2] == ["user: Count", "assistant: One two (interrupted)"]
    assert [text for _, text in seen(agent)] == [
        "Count",
        "One two",
        "[This answer was interrupted before it was finished.]",
        "Go on",
    ]
