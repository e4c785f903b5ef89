"""What the tests of faults run in processes of their own, for these may not survive.

`python -m tests.faults.children <what> <file> ...`; each line of output is flushed.
The oracle judges inside of the process, too; it ends with status 0 if all was well.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent_runtime_nb.exceptions import AgentRuntimeError, StorageError
from agent_runtime_nb.runtime.client import InProcessActorClient
from agent_runtime_nb.runtime.runtime import InProcessActorRuntime
from agent_runtime_nb.runtime_abstractions import (
    ActorRequestMessage,
    ActorResponseHandle,
    IActorRuntimeContext,
    RequestStatus,
)
from agent_runtime_nb.settings import Environment, RuntimeSettings
from agent_runtime_nb.storage.sqlite.storage import SqliteStateStorage
from agent_runtime_nb.testing.leaks import no_leaks
from tests.fakes import ONE, Gate, Handle, HandlingActor
from tests.faults.oracle import World

if sys.platform != "win32":
    import resource


def say(line: str) -> None:
    """Write a line at once, before anything else can happen to this process."""
    os.write(1, f"{line}\n".encode())


async def heard() -> str:
    """The next line that the test says."""
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


class Records(logging.Handler):
    """The log of this process."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@asynccontextmanager
async def world(handle: Handle, path: str, **more: Any) -> AsyncGenerator[World]:
    """A world on a file, with its log and the look for leaks."""
    log = Records()
    logging.getLogger().addHandler(log)
    await asyncio.to_thread(int)  # the thread that the loop keeps
    async with no_leaks():
        world = World(handle, log.records, SqliteStateStorage(path), **more)
        await world.runtime.start()
        yield world
        await world.runtime.stop(drain=0)


# --- F18


async def poison(path: str, step: str) -> None:
    """A message that kills its process.

    "begin" sends it and one behind it; "again" runs what was left; "last" runs the
    rest, and sends the dead letter again once it is harmless.
    """
    ready = asyncio.Event()

    async def handle(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
        await ready.wait()
        if message.params == "poison" and step != "last":
            os.kill(os.getpid(), signal.SIGKILL)
        return message.params

    async with world(handle, path, on_interrupted="rerun") as here:
        if step == "begin":
            await here.send("poison", message_id="m-poison")
            await here.send("next", message_id="m-next")
        await here.others_answer()
        say("others answered")
        ready.set()
        say(f"poison: {await here.remember('m-poison')}")
        say(f"next: {await here.remember('m-next')}")
        letters = (await here.runtime.dead_letters()).items
        say(f"dead letters: {[one.message_id for one in letters]}")
        again = await here.runtime.requeue(ONE, "m-poison")
        say(f"again: {await here.remember(again)}")
        await here.judge()


# --- F24


async def owner(path: str) -> None:
    """A host whose conversation is taken over in the middle of a turn."""
    gate = Gate()
    async with world(gate, path, host_name="the first") as here:
        running = await here.send("held", message_id="m-held")
        await gate.begun.get()
        say("running")
        await heard()
        await here.others_answer()
        gate.passing.set()
        for sending in (running.get_response(), here.ask("mine?")):
            try:
                say(f"answered: {(await sending).data}")
            except AgentRuntimeError as error:
                say(f"{type(error).__name__}: {error}")
        await heard()  # the other host is gone now
        await here.judge("m-held")


# --- F29


def forked(path: str, where: str) -> None:
    """Fork while a turn runs; the loop is in the forking thread, or in another."""
    if where == "loop":
        asyncio.run(_fork_beside_turn(path))
        return
    done = threading.Thread(target=lambda: asyncio.run(_fork_beside_turn(path)))
    done.start()
    done.join()


async def _fork_beside_turn(path: str) -> None:
    gate = Gate()
    async with world(gate, path) as here:
        running = await here.send("held", message_id="m-held")
        await gate.begun.get()
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=_use_in_child, args=(here.client, here.runtime))
        child.start()
        await asyncio.to_thread(child.join)
        say(f"exit: {child.exitcode}")
        child.close()
        await here.others_answer()
        gate.passing.set()
        say(f"parent: {(await running.get_response()).data}")
        await here.judge()


def _use_in_child(client: InProcessActorClient, runtime: InProcessActorRuntime) -> None:
    async def use() -> None:
        for work in (
            client.send_request(ONE, "run", "from the child"),
            client.get_response(ONE, "m-held"),
            client.cancel(ONE, "m-held"),
            runtime.health(),
            runtime.stop(),
            runtime.start(),
        ):
            await _tell_error(work)

    asyncio.run(use())


async def _tell_error(work: Coroutine[Any, Any, Any]) -> None:
    try:
        async with asyncio.timeout(5):
            await work
        say(f"child: {work.__name__} worked")
    except (AgentRuntimeError, TimeoutError) as error:
        say(f"child: {work.__name__}: {type(error).__name__}")


# --- F31, F32


async def memory(path: str) -> None:
    """A turn that needs more memory than there may be."""

    async def handle(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
        if message.params == "hungry":
            return len(bytearray(4_000_000_000))
        return message.params

    async with world(handle, path) as here:
        await here.ask("before")
        pages = int(Path("/proc/self/statm").read_text().split()[0])  # noqa: ASYNC240
        limit = pages * resource.getpagesize() + 500_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        failed = await here.ask("hungry", message_id="m-hungry")
        say(f"failed: {failed.data['error']['type']}")
        await here.others_answer()
        await here.judge("m-hungry")


async def files(path: str) -> None:
    """Turns, and another host, when no file can be opened any more."""

    async def handle(_: IActorRuntimeContext, message: ActorRequestMessage) -> Any:
        if message.params == "opens":
            with open(path, "rb") as file:  # noqa: ASYNC230, PTH123
                return len(file.read(1))
        return message.params

    async with world(handle, path) as here:
        await here.ask("before")
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
        with contextlib.ExitStack() as taken:
            take_all_files(taken)
            failed = await here.ask("opens", message_id="m-opens")
            say(f"failed: {failed.data['error']['type']}")
            await here.others_answer()
            say(f"other actor: {(await here.ask('kept', actor_id=ONE)).data}")
            await _begin_another(path + ".other")
        await _begin_another(path + ".other")
        await here.judge("m-opens")


def take_all_files(taken: contextlib.ExitStack) -> None:
    """Open what may be opened."""
    while True:
        try:
            descriptor = os.open(os.devnull, os.O_RDONLY)
        except OSError:
            return
        taken.callback(os.close, descriptor)


async def _begin_another(path: str) -> None:
    other = InProcessActorRuntime(SqliteStateStorage(path))
    try:
        await other.start()
        say("another host: started")
    except StorageError as error:
        say(f"another host: {type(error).__name__}")
    await other.stop()


# --- two hosts that fight over one conversation


async def fight(path: str, name: str, wins: str) -> None:
    """A host that takes the actor for each request of its two senders.

    Each goes on until so many of its turns have completed, and says what each request
    ended with, as this host was told.
    """
    runtime = InProcessActorRuntime(
        SqliteStateStorage(path, synchronous="NORMAL"),
        settings=RuntimeSettings(keep_results=100_000),  # all are compared in the end
        host_name=name,
    )

    async def handle(
        context: IActorRuntimeContext, message: ActorRequestMessage
    ) -> Any:
        n = await context.read_state("n", 0)
        await asyncio.sleep(0)  # the other host may come in between
        await context.write_state("n", n + 1)
        return n + 1

    runtime.register_actor_type("worker", lambda _: HandlingActor(handle))
    runtime.take_over = True
    client = InProcessActorClient(runtime)
    await runtime.start()
    say("ready")
    await heard()
    senders = (_count_up(client, f"{name}{n}", int(wins)) for n in range(2))
    await asyncio.gather(*senders)
    await runtime.stop(drain=0)
    say("end")


async def _count_up(client: InProcessActorClient, name: str, wins: int) -> None:
    number = 0
    while wins:
        number += 1
        message_id = f"{name}-{number}"
        handle = await _send_until_accepted(client, message_id)
        try:
            response = await handle.get_response()
        except AgentRuntimeError as error:
            say(f"{message_id} {type(error).__name__} -")
        else:
            wins -= response.status is RequestStatus.COMPLETED
            say(f"{message_id} {response.status.value} {response.data}")
        # Else one host would do all its turns while the other one is not scheduled.
        await Environment().sleep(0.001)


async def _send_until_accepted(
    client: InProcessActorClient, message_id: str
) -> ActorResponseHandle:
    while True:
        try:
            return await client.send_request(ONE, "run", None, message_id)
        except AgentRuntimeError:  # the other one was faster
            continue


ASYNC = {one.__name__: one for one in (poison, owner, memory, files, fight)}

if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "forked":
        forked(*arguments)
    else:
        asyncio.run(ASYNC[what](*arguments))
    say("done")
