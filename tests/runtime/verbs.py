"""Every verb of the two waists, to be called on a runtime that has something for it."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, NamedTuple

from agent_runtime_nb._base.json_codec import encode_body
from agent_runtime_nb.exceptions import (
    ActorQuarantined,
    DeadLetter,
    NotRunning,
    OutcomeUnknown,
)
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime.turn import Turn
from agent_runtime_nb.runtime_abstractions import (
    ALLOWED_TOOLS,
    ActorId,
    ActorRequestMessage,
    ActorResponseHandle,
    Cursor,
    IActorClient,
    IActorRuntimeContext,
)
from agent_runtime_nb.runtime_directory import RuntimeDirectory
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.memory import InMemoryStateStorage
from agent_runtime_nb.storage_abstractions import IActorStateStorage
from tests.fakes import HandlingActor

NEW = ActorId("worker", "new")
DONE = ActorId("worker", "done")
FULL = ActorId("worker", "full")
BUSY = ActorId("worker", "busy")
DEAD = ActorId("worker", "dead")
SICK = ActorId("worker", "sick")

TURNS = 5
"""How many turns a conversation may have."""

INTERFACES = (IActorClient, ActorResponseHandle, RuntimeDirectory)

Verb = Callable[[IActorClient, RuntimeDirectory], Awaitable[Any]]


def required() -> set[str]:
    """The names of all verbs, as the interfaces have them."""
    return {
        f"{interface.__name__}.{name}"
        for interface in INTERFACES
        for name, member in inspect.getmembers(interface, inspect.isfunction)
        if getattr(member, "__isabstractmethod__", False)
    }


async def first(items: AsyncIterator[Any], number: int) -> list[Any]:
    """The first items."""
    return [await anext(items) for _ in range(number)]


async def running(client: IActorClient) -> ActorResponseHandle:
    """The handle of the running request."""
    return await client.get_response(BUSY, "running")


async def answer_of(client: IActorClient, actor_id: ActorId, message_id: str) -> Any:
    handle = await client.get_response(actor_id, message_id)
    return await handle.get_response()


async def answer_of_running(client: IActorClient) -> Any:
    return await (await running(client)).get_response()


async def updates_of_running(client: IActorClient) -> Any:
    return [one async for one in (await running(client)).watch_updates()]


async def cancel_running(client: IActorClient) -> Any:
    return await (await running(client)).cancel()


async def copy_turns(directory: RuntimeDirectory) -> Any:
    view = await directory.read_actor(DONE)
    await directory.import_turns(NEW, view.turns, "imported")


VERBS: dict[str, Verb] = {
    "IActorClient.send_request": lambda c, _: c.send_request(NEW, "run", "x"),
    "IActorClient.send_request to a stored actor": lambda c, _: c.send_request(
        DONE, "run", "x"
    ),
    "IActorClient.send_request to a busy actor": lambda c, _: c.send_request(
        BUSY, "run", "x"
    ),
    "IActorClient.send_request that is known": lambda c, _: c.send_request(
        DONE, "run", "done", "done"
    ),
    "IActorClient.send_request to a full conversation": lambda c, _: c.send_request(
        FULL, "run", "x", "full-1"
    ),
    "IActorClient.send_request that interrupts": lambda c, _: c.send_request(
        BUSY, "run", "x", when_busy="interrupt"
    ),
    "IActorClient.get_response": lambda c, _: answer_of(c, DONE, "done"),
    "IActorClient.get_response of no request": lambda c, _: answer_of(c, NEW, "no"),
    "IActorClient.cancel": lambda c, _: c.cancel(BUSY, "waiting"),
    "IActorClient.watch_actor": lambda c, _: first(c.watch_actor(BUSY), 9),
    "IActorClient.watch_actor from a cursor": lambda c, _: first(
        c.watch_actor(DONE, Cursor(0, -1)), 4
    ),
    "ActorResponseHandle.get_response": lambda c, _: answer_of_running(c),
    "ActorResponseHandle.watch_updates": lambda c, _: updates_of_running(c),
    "ActorResponseHandle.cancel": lambda c, _: cancel_running(c),
    "RuntimeDirectory.actor_types": lambda _, d: d.actor_types(),
    "RuntimeDirectory.list_actors": lambda _, d: d.list_actors(),
    "RuntimeDirectory.read_actor": lambda _, d: d.read_actor(DONE),
    "RuntimeDirectory.delete_actor": lambda _, d: d.delete_actor(DONE),
    "RuntimeDirectory.delete_actor that is busy": lambda _, d: d.delete_actor(BUSY),
    "RuntimeDirectory.withdraw": lambda _, d: d.withdraw(BUSY, "waiting"),
    "RuntimeDirectory.run_again": lambda _, d: d.run_again(DONE, "done"),
    "RuntimeDirectory.discard": lambda _, d: d.discard(DONE, "cancelled"),
    "RuntimeDirectory.dead_letters": lambda _, d: d.dead_letters(),
    "RuntimeDirectory.requeue": lambda _, d: d.requeue(DEAD, "dead"),
    "RuntimeDirectory.revive": lambda _, d: d.revive(SICK),
    "RuntimeDirectory.list_conversations": lambda _, d: d.list_conversations(),
    "RuntimeDirectory.rename": lambda _, d: d.rename(DONE, "another name"),
    "RuntimeDirectory.disallow_tool": lambda _, d: d.disallow_tool(DONE, "tool"),
    "RuntimeDirectory.fork": lambda _, d: d.fork(DONE, to=NEW),
    "RuntimeDirectory.import_turns": lambda _, d: copy_turns(d),
    "RuntimeDirectory.health": lambda _, d: d.health(),
    "RuntimeDirectory.watch_events": lambda _, d: first(d.watch_events(), 9),
}
"""Each verb, by its name in `required()`; what comes behind a blank is a variant."""

ENDLESS = frozenset(
    {
        "IActorClient.watch_actor",
        "ActorResponseHandle.get_response",
        "ActorResponseHandle.watch_updates",
        "RuntimeDirectory.watch_events",
    }
)
"""Those that wait for something that does not come."""


class Ended(NamedTuple):
    """How a verb ended, and whether that was before it was cut off."""

    in_time: bool
    value: Any
    error: BaseException | None


_AWAITS_A_WRITE = ("send_request", "run_again", "requeue", "get_response", "updates")
"""Verbs that wait for the accept or the commit of a request."""


def judge(name: str, when: str, ended: Ended, *, silent: bool = False) -> None:
    """A result or NotRunning; before the stop, a result.

    If a silent storage was asked to write a request, nobody knows whether it did.
    """
    allowed: tuple[type[Exception], ...] = (NotRunning,)
    if silent and any(one in name for one in _AWAITS_A_WRITE):
        allowed = (NotRunning, OutcomeUnknown)
    as_agreed = ended.error is None or isinstance(ended.error, allowed)
    assert as_agreed, f"{name}, stopped {when}, ended with {ended.error!r}"
    if ended.in_time:
        assert ended.error is None, f"{name} failed: {ended.error!r}"


async def _work(context: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
    if message.params == "for ever":
        context.on_progress_update(message.message_id, 0, "begun")
        await asyncio.get_running_loop().create_future()
    if message.params == "allows":
        await context.write_state(ALLOWED_TOOLS, ["tool"])
    return message.params


def _runtime(
    storage: IActorStateStorage,
    settings: RuntimeSettings | None = None,
    environment: Environment | None = None,
) -> InProcessActorRuntime:
    runtime = InProcessActorRuntime(storage, settings=settings, environment=environment)
    runtime.register_actor_type("worker", lambda _: HandlingActor(_work))
    return runtime


async def stored(environment: Environment | None = None) -> InMemoryStateStorage:
    """What an earlier process has left: ended turns, a dead letter, a permission."""
    storage = InMemoryStateStorage()
    runtime = _runtime(storage, environment=environment)
    await runtime.start()
    client = InProcessActorClient(runtime)
    for message_id in ("allows", "done"):
        handle = await client.send_request(DONE, "run", message_id, message_id)
        await handle.get_response()
    handle = await client.send_request(DONE, "run", "for ever", "cancelled")
    await handle.cancel()
    await handle.get_response()
    for number in range(TURNS):
        handle = await client.send_request(FULL, "run", "x", f"full-{number}")
        await handle.get_response()
    letter = Turn(DEAD, 0, "dead", encode_body("run", "x", None))
    await runtime._actors.store_dead_letter(letter, DeadLetter(DEAD, 3), 3)
    await runtime.stop()
    return InMemoryStateStorage(storage)


async def started(
    storage: IActorStateStorage,
    settings: RuntimeSettings | None = None,
    environment: Environment | None = None,
) -> InProcessActorRuntime:
    """A runtime on that, with a running and a waiting request and a sick actor."""
    settings = replace(settings or RuntimeSettings(), turn_limit=TURNS)
    runtime = _runtime(storage, settings, environment)
    await runtime.start()
    client = InProcessActorClient(runtime)
    for message_id in ("running", "waiting"):
        await client.send_request(BUSY, "run", "for ever", message_id)
    async for _ in (await running(client)).watch_updates():
        break
    runtime._actors.quarantined[SICK] = ActorQuarantined(SICK, 3, "it was ill")
    return runtime
